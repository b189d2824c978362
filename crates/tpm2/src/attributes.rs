//! Object attributes: TPMA_OBJECT (TPM 2.0 Part 2, 8.3).

use core::ops::BitOr;

use crate::wire::{Reader, WireError};

/// The attributes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectAttributes(u32);

impl ObjectAttributes {
    /// The object can't leave this TPM.
    pub const FIXED_TPM: Self = Self(1 << 1);
    /// Saved contexts do not survive a restart.
    pub const ST_CLEAR: Self = Self(1 << 2);
    /// The object can't change its parent.
    pub const FIXED_PARENT: Self = Self(1 << 4);
    /// The TPM made the secret part itself.
    pub const SENSITIVE_DATA_ORIGIN: Self = Self(1 << 5);
    /// USER actions need only the authorization value.
    pub const USER_WITH_AUTH: Self = Self(1 << 6);
    /// ADMIN actions need the policy.
    pub const ADMIN_WITH_POLICY: Self = Self(1 << 7);
    /// No lock-out after wrong values.
    pub const NO_DA: Self = Self(1 << 10);
    /// Duplicated only in encrypted form.
    pub const ENCRYPTED_DUPLICATION: Self = Self(1 << 11);
    /// Signs (or decrypts) only structures that the TPM made.
    pub const RESTRICTED: Self = Self(1 << 16);
    /// Decrypts.
    pub const DECRYPT: Self = Self(1 << 17);
    /// Signs (or encrypts).
    pub const SIGN: Self = Self(1 << 18);

    const KNOWN: u32 = Self::FIXED_TPM.0
        | Self::ST_CLEAR.0
        | Self::FIXED_PARENT.0
        | Self::SENSITIVE_DATA_ORIGIN.0
        | Self::USER_WITH_AUTH.0
        | Self::ADMIN_WITH_POLICY.0
        | Self::NO_DA.0
        | Self::ENCRYPTED_DUPLICATION.0
        | Self::RESTRICTED.0
        | Self::DECRYPT.0
        | Self::SIGN.0;

    /// Whether all of `wanted` are set.
    pub fn contains(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match reader.u32()? {
            bits if bits & !Self::KNOWN == 0 => Ok(Self(bits)),
            bits => Err(WireError::Value { what: "object attributes", value: bits }),
        }
    }
}

impl BitOr for ObjectAttributes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
