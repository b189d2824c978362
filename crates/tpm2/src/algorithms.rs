//! Algorithm identifiers (TCG Algorithm Registry) and the few that we compute ourselves.

use alloc::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha384};

use crate::wire::{Reader, WireError};

pub(crate) const RSA: u16 = 0x0001;
pub(crate) const AES: u16 = 0x0006;
pub(crate) const KEYED_HASH: u16 = 0x0008;
pub(crate) const NULL: u16 = 0x0010;
pub(crate) const RSASSA: u16 = 0x0014;
pub(crate) const RSAPSS: u16 = 0x0016;
pub(crate) const OAEP: u16 = 0x0017;
pub(crate) const ECDSA: u16 = 0x0018;
pub(crate) const ECC: u16 = 0x0023;
pub(crate) const CFB: u16 = 0x0043;

/// A hash algorithm as a TPM names it: for PCR banks and signature schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// SHA-1: named in old banks and signatures, never accepted for either.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// TPM_ALG_ID.
    pub fn id(self) -> u16 {
        match self {
            Self::Sha1 => 0x0004,
            Self::Sha256 => 0x000b,
            Self::Sha384 => 0x000c,
            Self::Sha512 => 0x000d,
        }
    }

    /// The algorithm with this TPM_ALG_ID.
    pub fn from_id(id: u16) -> Result<Self, WireError> {
        match id {
            0x0004 => Ok(Self::Sha1),
            0x000b => Ok(Self::Sha256),
            0x000c => Ok(Self::Sha384),
            0x000d => Ok(Self::Sha512),
            other => Err(WireError::Value { what: "hash algorithm", value: u32::from(other) }),
        }
    }

    /// Bytes in a digest.
    pub fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Self::from_id(reader.u16()?)
    }
}

/// The hash behind a key's name, its key derivation and its OAEP padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameAlgorithm {
    /// SHA-256: all keys of ours.
    Sha256,
    /// SHA-384: endorsement keys on P-384 and RSA-3072 (EK Credential Profile, H templates).
    Sha384,
}

impl NameAlgorithm {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match HashAlgorithm::read(reader)? {
            HashAlgorithm::Sha256 => Ok(Self::Sha256),
            HashAlgorithm::Sha384 => Ok(Self::Sha384),
            other @ (HashAlgorithm::Sha1 | HashAlgorithm::Sha512) => {
                Err(WireError::Value { what: "name algorithm", value: u32::from(other.id()) })
            }
        }
    }

    /// The same algorithm as an identifier.
    pub fn hash(self) -> HashAlgorithm {
        match self {
            Self::Sha256 => HashAlgorithm::Sha256,
            Self::Sha384 => HashAlgorithm::Sha384,
        }
    }

    /// Bytes in a digest.
    pub fn size(self) -> usize {
        self.hash().size()
    }

    /// The digest of `parts`, one after the other.
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn over<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            parts.iter().fold(D::new(), |digest, part| digest.chain_update(part)).finalize().to_vec()
        }
        match self {
            Self::Sha256 => over::<Sha256>(parts),
            Self::Sha384 => over::<Sha384>(parts),
        }
    }

    pub(crate) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        fn over<M: Mac>(start: M, parts: &[&[u8]]) -> Vec<u8> {
            parts.iter().fold(start, |mac, part| mac.chain_update(part)).finalize().into_bytes().to_vec()
        }
        match self {
            Self::Sha256 => over(Hmac::<Sha256>::new(&self.block::<64>(key).into()), parts),
            Self::Sha384 => over(Hmac::<Sha384>::new(&self.block::<128>(key).into()), parts),
        }
    }

    /// The key as one block of the hash (RFC 2104, 2).
    fn block<const N: usize>(self, key: &[u8]) -> [u8; N] {
        let mut block = [0; N];
        if key.len() > N {
            return self.block(&self.digest(&[key]));
        }
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        block
    }
}

/// A curve that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

impl Curve {
    /// TPM_ECC_CURVE.
    pub fn id(self) -> u16 {
        match self {
            Self::P256 => 0x0003,
            Self::P384 => 0x0004,
        }
    }

    /// Bytes in a coordinate or a scalar.
    pub fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match reader.u16()? {
            0x0003 => Ok(Self::P256),
            0x0004 => Ok(Self::P384),
            other => Err(WireError::Value { what: "curve", value: u32::from(other) }),
        }
    }
}
