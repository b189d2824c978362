//! Secrets that only one TPM can open: credentials (TPM 2.0 Part 1, 24) and session salts (Part 1, 19.6.13).
//!
//! The randomness is the caller's. Whoever knows it knows the secret, and the same bytes must never be used twice.

use alloc::boxed::Box;
use alloc::vec::Vec;

use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::traits::RandomizedEncryptor;
use sha2::{Sha256, Sha384};
use zeroize::Zeroizing;

use crate::algorithms::{Curve, NameAlgorithm};
use crate::attributes::ObjectAttributes;
use crate::handle::Name;
use crate::kdf::{CipherError, cfb_encrypt, kdfa, kdfe};
use crate::keys::{self, KeyError};
use crate::public::{Key, PublicArea, Symmetric};
use crate::wire::{WireError, Writer};

/// Why a secret could not be wrapped for a TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The key is not a restricted decryption key, so that it is no endorsement key.
    #[error("the key is not a storage key")]
    NotStorageKey,
    /// The secret is longer than a digest of the key's name algorithm.
    #[error("the secret is too long for this key")]
    SecretTooLong,
    /// The public key is not a key.
    #[error("unusable public key")]
    Key(#[from] KeyError),
    /// These random bytes are no scalar of the curve (one in 2^32); take others.
    #[error("the random bytes do not give a key on this curve")]
    Randomness,
    /// The RSA encryption did not work.
    #[error("the RSA encryption was refused")]
    Encryption,
    /// A derived key does not fit the cipher.
    #[error("cipher refused")]
    Cipher(#[from] CipherError),
    /// A field is too long.
    #[error("field too long")]
    Wire(#[from] WireError),
}

/// Fresh random bytes for one wrapped secret, from a good generator and never used again.
pub struct Randomness {
    /// What the seed or the ephemeral key is made of.
    pub seed: Zeroizing<[u8; 48]>,
    /// What OAEP mixes in.
    pub padding: Zeroizing<[u8; 48]>,
}

/// A challenge that only the TPM with this endorsement key and this attestation key can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Content of the TPM2B_ID_OBJECT.
    pub id_object: Vec<u8>,
    /// Content of the TPM2B_ENCRYPTED_SECRET.
    pub encrypted_secret: Vec<u8>,
}

/// Wraps `secret` so that only the TPM that holds `endorsement_key` opens it, and only while it also holds the key of
/// this name (TPM 2.0 Part 3, 12.6).
pub fn make_credential(
    endorsement_key: &PublicArea,
    attestation_key: &Name,
    secret: &[u8],
    randomness: &Randomness,
) -> Result<Credential, CredentialError> {
    let hash = endorsement_key.name_algorithm();
    if secret.is_empty() || secret.len() > hash.size() {
        return Err(CredentialError::SecretTooLong);
    }
    let symmetric_bits = storage_key_bits(endorsement_key)?;
    let (seed, encrypted_secret) = wrap_seed(endorsement_key, b"IDENTITY", randomness)?;
    let name = attestation_key.as_bytes();

    let mut writer = Writer::new();
    writer.sized("secret", secret);
    let mut identity = Zeroizing::new(writer.finish()?);
    let symmetric_key = kdfa(hash, &seed, b"STORAGE", name, &[], symmetric_bits);
    cfb_encrypt(&symmetric_key, &[0; 16], &mut identity)?;

    let hmac_key = kdfa(hash, &seed, b"INTEGRITY", &[], &[], hash.size() as u32 * 8);
    let integrity = hash.hmac(&hmac_key, &[&identity, name]);
    let mut id_object = Writer::new();
    id_object.sized("integrity", &integrity).bytes(&identity);
    Ok(Credential { id_object: id_object.finish()?, encrypted_secret })
}

/// A session salt for the TPM that holds a key.
pub struct Salt {
    pub(crate) plain: Zeroizing<Vec<u8>>,
    pub(crate) encrypted: Vec<u8>,
}

impl Salt {
    /// No salt: the session protects nothing against who sees it begin.
    pub fn none() -> Self {
        Self { plain: Zeroizing::default(), encrypted: Vec::new() }
    }

    /// A salt that only the TPM with this decryption key learns (Part 1, 19.6.13 and annexes B.10.2, C.6.1).
    pub fn for_key(key: &PublicArea, randomness: &Randomness) -> Result<Self, CredentialError> {
        storage_key_bits(key)?;
        let (plain, encrypted) = wrap_seed(key, b"SECRET", randomness)?;
        Ok(Self { plain, encrypted })
    }
}

fn storage_key_bits(key: &PublicArea) -> Result<u32, CredentialError> {
    if !key.attributes().contains(ObjectAttributes::RESTRICTED | ObjectAttributes::DECRYPT) {
        return Err(CredentialError::NotStorageKey);
    }
    match key.key() {
        Key::Rsa { symmetric: Symmetric::Aes128, .. } | Key::Ecc { symmetric: Symmetric::Aes128, .. } => {
            Ok(128)
        }
        Key::Rsa { symmetric: Symmetric::Aes256, .. } | Key::Ecc { symmetric: Symmetric::Aes256, .. } => {
            Ok(256)
        }
        Key::Rsa { symmetric: Symmetric::Null, .. }
        | Key::Ecc { symmetric: Symmetric::Null, .. }
        | Key::Sealed { .. } => Err(CredentialError::NotStorageKey),
    }
}

type Seed = (Zeroizing<Vec<u8>>, Vec<u8>);

/// A seed and its encryption to the key (Part 1, B.10 for RSA, C.6 for elliptic curves).
fn wrap_seed(
    key: &PublicArea,
    label: &'static [u8],
    randomness: &Randomness,
) -> Result<Seed, CredentialError> {
    let hash = key.name_algorithm();
    match key.key() {
        Key::Rsa { modulus, exponent, .. } => {
            let seed = randomness.seed.get(..hash.size()).ok_or(CredentialError::Randomness)?;
            let seed = Zeroizing::new(seed.to_vec());
            let encrypted = oaep(hash, keys::rsa(modulus, *exponent)?, label, &seed, &randomness.padding)?;
            Ok((seed, encrypted))
        }
        Key::Ecc { curve: Curve::P256, x, y, .. } => {
            let theirs = keys::p256(x, y)?;
            let ours = randomness.seed.get(..32).ok_or(CredentialError::Randomness)?;
            let ours = p256::SecretKey::from_slice(ours).map_err(|_| CredentialError::Randomness)?;
            let shared = ours.diffie_hellman(&theirs);
            let parties = [ours.public_key().to_sec1_bytes(), theirs.to_sec1_bytes()];
            agree(hash, label, shared.raw_secret_bytes(), &parties)
        }
        Key::Ecc { curve: Curve::P384, x, y, .. } => {
            let theirs = keys::p384(x, y)?;
            let ours = p384::SecretKey::from_slice(randomness.seed.as_slice())
                .map_err(|_| CredentialError::Randomness)?;
            let shared = ours.diffie_hellman(&theirs);
            let parties = [ours.public_key().to_sec1_bytes(), theirs.to_sec1_bytes()];
            agree(hash, label, shared.raw_secret_bytes(), &parties)
        }
        Key::Sealed { .. } => Err(CredentialError::NotStorageKey),
    }
}

/// The seed that both sides of an agreement derive, and our point for the other side.
fn agree(
    hash: NameAlgorithm,
    label: &[u8],
    z: &[u8],
    [ours, theirs]: &[Box<[u8]>; 2],
) -> Result<Seed, CredentialError> {
    let coordinates = |point: &[u8]| -> Option<(Vec<u8>, Vec<u8>)> {
        // Uncompressed points (SEC 1, 2.3.3): 0x04, x, y.
        let (_, both) = point.split_first()?;
        let (x, y) = both.split_at_checked(both.len() / 2)?;
        Some((x.to_vec(), y.to_vec()))
    };
    let (our_x, our_y) = coordinates(ours).ok_or(CredentialError::Key(KeyError::Point))?;
    let (their_x, _) = coordinates(theirs).ok_or(CredentialError::Key(KeyError::Point))?;
    let seed = kdfe(hash, z, label, &our_x, &their_x, hash.size() as u32 * 8);
    let mut writer = Writer::new();
    writer.sized("ECC coordinate", &our_x).sized("ECC coordinate", &our_y);
    Ok((seed, writer.finish()?))
}

fn oaep(
    hash: NameAlgorithm,
    key: rsa::PublicKey,
    label: &[u8],
    seed: &[u8],
    padding: &[u8; 48],
) -> Result<Vec<u8>, CredentialError> {
    // The label is a C string: its final zero counts (Part 1, B.4).
    let label: Box<[u8]> = label.iter().copied().chain([0]).collect();
    let mut given = Given { rest: padding };
    match hash {
        NameAlgorithm::Sha256 => {
            rsa::oaep::EncryptingKey::<Sha256>::new_with_label(key, label).encrypt_with_rng(&mut given, seed)
        }
        NameAlgorithm::Sha384 => {
            rsa::oaep::EncryptingKey::<Sha384>::new_with_label(key, label).encrypt_with_rng(&mut given, seed)
        }
    }
    .map_err(|_| CredentialError::Encryption)
}

/// The caller's random bytes in the form that `rsa` asks for them: each byte once, then an error.
struct Given<'a> {
    rest: &'a [u8],
}

/// The given bytes are used up.
#[derive(Debug, thiserror::Error)]
#[error("the random bytes are used up")]
struct UsedUp;

impl TryRng for Given<'_> {
    type Error = UsedUp;

    fn try_next_u32(&mut self) -> Result<u32, UsedUp> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, UsedUp> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), UsedUp> {
        let (head, rest) = self.rest.split_at_checked(bytes.len()).ok_or(UsedUp)?;
        bytes.copy_from_slice(head);
        self.rest = rest;
        Ok(())
    }
}

impl TryCryptoRng for Given<'_> {}
