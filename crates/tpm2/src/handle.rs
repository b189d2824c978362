//! Handles (TPM 2.0 Part 2, 7) and names (Part 1, 16).

use alloc::vec::Vec;
use core::fmt;

use crate::algorithms::HashAlgorithm;
use crate::wire::{Reader, WireError};

/// A TPM handle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u32);

impl Handle {
    /// TPM_RH_OWNER.
    pub const OWNER: Self = Self(0x4000_0001);
    /// TPM_RH_NULL.
    pub const NULL: Self = Self(0x4000_0007);
    /// TPM_RS_PW, the password pseudo-session.
    pub const PASSWORD: Self = Self(0x4000_0009);
    /// TPM_RH_LOCKOUT.
    pub const LOCKOUT: Self = Self(0x4000_000a);
    /// TPM_RH_ENDORSEMENT.
    pub const ENDORSEMENT: Self = Self(0x4000_000b);
    /// TPM_RH_PLATFORM.
    pub const PLATFORM: Self = Self(0x4000_000c);
    /// Where platforms keep the RSA-2048 endorsement key (TCG Provisioning Guidance, 7.8).
    pub const PERSISTENT_EK_RSA: Self = Self(0x8101_0001);
    /// Where platforms keep the P-256 endorsement key.
    pub const PERSISTENT_EK_P256: Self = Self(0x8101_0002);
    /// Where the software TPM keeps the P-384 endorsement key.
    pub const PERSISTENT_EK_P384: Self = Self(0x8101_0016);
    /// NV index of the RSA-2048 endorsement certificate (EK Credential Profile, 2.2.1.4).
    pub const NV_EK_CERTIFICATE_RSA: Self = Self(0x01c0_0002);
    /// NV index of the P-256 endorsement certificate.
    pub const NV_EK_CERTIFICATE_P256: Self = Self(0x01c0_000a);
    /// NV index of the P-384 endorsement certificate.
    pub const NV_EK_CERTIFICATE_P384: Self = Self(0x01c0_0016);

    /// Where transient objects begin.
    pub const FIRST_TRANSIENT: Self = Self(0x8000_0000);
    /// Where loaded sessions begin.
    pub const FIRST_LOADED_SESSION: Self = Self(0x0200_0000);

    /// The handle of a PCR.
    pub fn pcr(index: u8) -> Self {
        Self(u32::from(index))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:#010x})", self.0)
    }
}

/// The longest name: an algorithm and a SHA-512 digest.
pub const MAX_NAME: usize = 2 + 64;

/// The name of an entity: what an authorization, a credential or a quote ties itself to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// The name of a PCR or a permanent entity: its handle.
    pub fn of_handle(handle: Handle) -> Self {
        Self(handle.0.to_be_bytes().to_vec())
    }

    /// The name of an object or an NV index: the algorithm and the digest of its public area.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let algorithm = HashAlgorithm::read(&mut reader)?;
        reader.take(algorithm.size())?;
        reader.finish()?;
        Ok(Self(bytes.to_vec()))
    }

    pub(crate) fn from_digest(algorithm: HashAlgorithm, digest: &[u8]) -> Self {
        let mut name = algorithm.id().to_be_bytes().to_vec();
        name.extend_from_slice(digest);
        Self(name)
    }

    /// The bytes of the name, algorithm first.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A handle with the name that authorizations over it cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Where the TPM keeps it now.
    pub handle: Handle,
    /// What it is.
    pub name: Name,
}

impl Entity {
    /// An entity that is its own name: a hierarchy or a PCR.
    pub fn permanent(handle: Handle) -> Self {
        Self { handle, name: Name::of_handle(handle) }
    }
}
