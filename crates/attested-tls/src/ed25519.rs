//! Ed25519 (RFC 8032) of the one crypto provider, for licence files: made here, kept in a file of the part's own, never shown.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V2Der};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::KeyError;
use crate::key::{read_private, write_private};

/// A private key that signs licence files. There is no accessor of the secret, and no Debug.
#[derive(Clone)]
pub struct Ed25519Key {
    pair: Arc<Ed25519KeyPair>,
    public: [u8; 32],
}

impl Ed25519Key {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeyError::Generate`].
    pub fn generate() -> Result<Self, KeyError> {
        Self::from_pair(Ed25519KeyPair::generate().map_err(|_| KeyError::Generate)?)
    }

    /// Loads a key that [`Ed25519Key::save`] wrote; refuses a file that others may read.
    ///
    /// # Errors
    /// [`KeyError::File`], [`KeyError::Permissions`], [`KeyError::Content`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let pkcs8 = read_private(path)?;
        Self::from_pair(Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| KeyError::Content)?)
    }

    /// Writes the key as PKCS#8 with mode 0600, whole or not at all. Its files outlive restarts, and so does the key.
    ///
    /// # Errors
    /// [`KeyError::File`].
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let pkcs8: Pkcs8V2Der<'static> = self.pair.as_der().map_err(|_| KeyError::Generate)?;
        write_private(path, pkcs8.as_ref())
    }

    /// The public key.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.public
    }

    /// Signs a message.
    ///
    /// # Errors
    /// [`KeyError::Generate`] where the provider does not answer with 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError> {
        self.pair.sign(message).as_ref().try_into().map_err(|_| KeyError::Generate)
    }

    fn from_pair(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Content)?;
        Ok(Self { pair: Arc::new(pair), public })
    }
}

/// Whether the signature is the key's over this message.
#[must_use]
pub fn verify_ed25519(public_key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(message, signature).is_ok()
}
