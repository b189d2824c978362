//! A P-256 key that is made here and never leaves; only a user's own client key is ever written to a file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use pki::{SigningError, SigningKey};
use rustls::{
    SignatureAlgorithm, SignatureScheme,
    pki_types::CertificateDer,
    sign::{CertifiedKey, Signer},
};
use sandbox::{Custody, Secret, SecretError};
use zeroize::Zeroizing;

use crate::TlsError;

/// A PKCS#8 file of one P-256 key is about 140 bytes.
const MAX_KEY_FILE: u64 = 1024;

/// Why a key was not made, saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The provider did not make a key.
    #[error("key was not generated")]
    Generate,
    /// The file could not be read or written.
    #[error("key file is not accessible")]
    File(#[source] io::Error),
    /// The file may be read by others than its owner.
    #[error("key file is readable by others")]
    Permissions,
    /// The file holds no key of this kind in PKCS#8.
    #[error("key file holds no key of this kind")]
    Content,
    /// There is no memory for it.
    #[error("memory for the key")]
    Memory(#[from] SecretError),
}

/// A P-256 private key in this process, in secret memory where the kernel has it ([`LocalKey::custody`]).
///
/// There is no accessor of the secret. The provider keeps keys in the ordinary heap, so it has ours only for the moment of
/// a signature: it is parsed, used and wiped each time, which costs about as much again as the signature. What can be
/// found of it then is one copy on the heap and what the provider's code leaves on the stack, for some tens of
/// microseconds; a test looks for both afterwards.
#[derive(Clone)]
pub struct LocalKey {
    pkcs8: Arc<Secret>,
    spki: Arc<[u8]>,
}

impl LocalKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeyError::Generate)?;
        // The provider's copy wipes itself, ours is wiped when it moves.
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?;
        Self::keep(&pair, &mut Zeroizing::new(pkcs8.as_ref().to_vec()))
    }

    /// Loads a key that [`LocalKey::save`] wrote; refuses a file that others may read.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let mut pkcs8 = read_private(path)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8)
            .map_err(|_| KeyError::Content)?;
        Self::keep(&pair, &mut pkcs8)
    }

    /// Writes the key as PKCS#8 with mode 0600, whole or not at all. Only for a user's client key: keys of enclaves
    /// and parts stay in memory.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        write_private(path, self.pkcs8.expose())
    }

    /// The key with a certificate chain (DER, leaf first), as rustls wants it.
    pub fn certified_key<B: AsRef<[u8]>>(&self, chain: &[B]) -> Result<Arc<CertifiedKey>, TlsError> {
        let chain: Vec<CertificateDer<'static>> =
            chain.iter().map(|der| CertificateDer::from(der.as_ref().to_vec())).collect();
        let certified = CertifiedKey::new(chain, Arc::new(self.clone()));
        certified.keys_match().map_err(TlsError::Configuration)?;
        Ok(Arc::new(certified))
    }

    /// What kind of memory holds the key.
    #[must_use]
    pub fn custody(&self) -> Custody {
        self.pkcs8.custody()
    }

    fn keep(pair: &EcdsaKeyPair, pkcs8: &mut [u8]) -> Result<Self, KeyError> {
        let point = pair.public_key().as_ref();
        let coordinates = point.split_first_chunk::<1>().and_then(|(form, rest)| {
            let (x, rest) = rest.split_first_chunk::<32>()?;
            (form == &[4]).then_some((x, rest.first_chunk::<32>()?))
        });
        let (x, y) = coordinates.ok_or(KeyError::Content)?;
        let spki = pki::p256_spki(x, y).into();
        Ok(Self { pkcs8: Arc::new(Secret::take(pkcs8)?), spki })
    }
}

/// Reads a key's file; refuses one that others may read.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let file = File::open(path).map_err(KeyError::File)?;
    let metadata = file.metadata().map_err(KeyError::File)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(KeyError::Permissions);
    }
    let mut pkcs8 = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE as usize));
    file.take(MAX_KEY_FILE).read_to_end(&mut pkcs8).map_err(KeyError::File)?;
    Ok(pkcs8)
}

/// Writes a key's file with mode 0600, whole or not at all.
pub(crate) fn write_private(path: &Path, pkcs8: &[u8]) -> Result<(), KeyError> {
    let temporary = path.with_extension("new");
    let write = || {
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(pkcs8)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(KeyError::File)
}

impl SigningKey for LocalKey {
    fn public_key_spki(&self) -> &[u8] {
        &self.spki
    }

    fn sign_sha256(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, self.pkcs8.expose());
        let pair = pair.map_err(|_| SigningError::Holder)?;
        let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| SigningError::Holder)?;
        Ok(signature.as_ref().to_vec())
    }
}

// rustls requires Debug; the public key is all there is to see.
impl std::fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalKey").field("spki_sha256", &pki::sha256(&self.spki)).finish_non_exhaustive()
    }
}

impl rustls::sign::SigningKey for LocalKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<rustls::pki_types::SubjectPublicKeyInfoDer<'_>> {
        Some(self.spki.as_ref().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for LocalKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.sign_sha256(message).map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
