//! The registration's credential: a challenge that only the TPM with this endorsement and this attestation key opens, and its answer.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha384;
use subtle::ConstantTimeEq;
use tpm2::Credential;
use tpm2::wire::{Reader, WireError, Writer};
use zeroize::Zeroizing;

use crate::base64;

/// Begins a credential blob.
const MAGIC: u32 = 0xbadc_c0de;
const VERSION: u32 = 1;
/// Integrity and encrypted identity, of the longest name algorithm.
const MAX_ID_OBJECT: usize = 132;
/// Of an RSA-4096 key.
const MAX_SECRET: usize = 512;
/// Characters of a challenge: as many bytes as the digest of every endorsement key has at least.
pub const CHALLENGE: usize = 32;

/// Why something is not a registration's credential or answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActivationError {
    /// Not canonical base64.
    #[error("the blob is not base64")]
    Base64,
    /// Malformed.
    #[error("the blob")]
    Wire(#[from] WireError),
    /// It does not begin as a blob of this version.
    #[error("the blob begins with {0:#010x}")]
    Magic(u32),
    /// Not 96 lower-case hex digits.
    #[error("the answer is not the hex of 48 bytes")]
    Answer,
}

/// A credential as `results.blob` carries it (tpm2-tools' file format, inherited by Keylime).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialBlob(pub Credential);

impl CredentialBlob {
    /// Base64 of the blob, without a byte after the secret: agents take all that follows for it.
    ///
    /// # Errors
    /// [`WireError`] when a part is longer than a TPM makes.
    pub fn to_text(&self) -> Result<String, WireError> {
        let mut writer = Writer::new();
        writer.u32(MAGIC).u32(VERSION);
        writer.sized("id object", &self.0.id_object).sized("encrypted secret", &self.0.encrypted_secret);
        Ok(base64::encode(&writer.finish()?))
    }

    /// Reads a whole blob.
    ///
    /// # Errors
    /// [`ActivationError`].
    pub fn parse(text: &str) -> Result<Self, ActivationError> {
        let bytes = base64::decode(text).ok_or(ActivationError::Base64)?;
        let mut reader = Reader::new(&bytes);
        for expected in [MAGIC, VERSION] {
            let found = reader.u32()?;
            if found != expected {
                return Err(ActivationError::Magic(found));
            }
        }
        let id_object: Vec<u8> = reader.sized("id object", MAX_ID_OBJECT)?.to_vec();
        let encrypted_secret = reader.sized("encrypted secret", MAX_SECRET)?.to_vec();
        reader.finish()?;
        Ok(Self(Credential { id_object, encrypted_secret }))
    }
}

/// The answer to a challenge: HMAC-SHA-384 over the agent's id, keyed by the base64 text of the challenge. Never printed.
pub struct AuthTag(Zeroizing<[u8; 48]>);

impl AuthTag {
    /// The right answer of the agent with this id.
    #[must_use]
    pub fn of(challenge: &[u8; CHALLENGE], agent_id: &str) -> Self {
        let key = Zeroizing::new(base64::encode(challenge));
        let mut block = Zeroizing::new([0; 128]);
        block.iter_mut().zip(key.bytes()).for_each(|(place, byte)| *place = byte);
        let mac = Hmac::<Sha384>::new(&(*block).into()).chain_update(agent_id.as_bytes());
        Self(Zeroizing::new(mac.finalize().into_bytes().into()))
    }

    /// Reads `auth_tag`.
    ///
    /// # Errors
    /// [`ActivationError::Answer`].
    pub fn parse(text: &str) -> Result<Self, ActivationError> {
        names::unhex::<48>(text).map(|tag| Self(Zeroizing::new(tag))).map_err(|_| ActivationError::Answer)
    }

    /// As `auth_tag` carries it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(names::hex(&*self.0))
    }

    /// Whether both are the same, in the same time wherever they differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl fmt::Debug for AuthTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthTag(..)")
    }
}
