//! What a TPM says in a quote: TPMS_ATTEST (TPM 2.0 Part 2, 10.12.12).
//!
//! A restricted key signs any structure that begins with the TPM's own magic, and nothing else that does. Checking
//! the magic and the type is therefore what makes the signature mean something (CVE-2024-29038 is about this check).

use alloc::vec::Vec;

use crate::handle::MAX_NAME;
use crate::pcr::PcrSelection;
use crate::wire::{Reader, WireError};

/// TPM_GENERATED_VALUE.
pub const MAGIC: u32 = 0xff54_4347;
/// TPM_ST_ATTEST_QUOTE.
pub const QUOTE: u16 = 0x8018;
/// The most caller data that a quote carries (TPM2B_DATA: a SHA-512 name).
pub const MAX_EXTRA_DATA: usize = 66;
const MAX_DIGEST: usize = 64;

/// Why bytes are not a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttestError {
    /// The structure is malformed.
    #[error("malformed attestation structure")]
    Wire(#[from] WireError),
    /// It does not begin as the structures that a TPM makes.
    #[error("the structure was not made by a TPM: its magic is {0:#010x}")]
    Magic(u32),
    /// It is a TPM's statement about something else.
    #[error("the structure is not a quote but of type {0:#06x}")]
    NotAQuote(u16),
}

/// The TPM's clock and counters (Part 2, 10.11.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockInfo {
    /// Milliseconds that the TPM has been powered.
    pub clock: u64,
    /// Resets of the TPM since it was last cleared.
    pub reset_count: u32,
    /// Restarts and resumes since the last reset.
    pub restart_count: u32,
    /// Whether the clock can be trusted not to have gone back.
    pub safe: bool,
}

/// A quote as the TPM made it, before anybody has checked the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest {
    raw: Vec<u8>,
    qualified_signer: Vec<u8>,
    extra_data: Vec<u8>,
    clock: ClockInfo,
    firmware_version: u64,
    selection: PcrSelection,
    pcr_digest: Vec<u8>,
}

impl Attest {
    /// Reads a whole TPMS_ATTEST of type quote.
    pub fn parse(bytes: &[u8]) -> Result<Self, AttestError> {
        let mut reader = Reader::new(bytes);
        let magic = reader.u32()?;
        if magic != MAGIC {
            return Err(AttestError::Magic(magic));
        }
        let kind = reader.u16()?;
        if kind != QUOTE {
            return Err(AttestError::NotAQuote(kind));
        }
        let qualified_signer = reader.sized("qualified signer", MAX_NAME)?.to_vec();
        let extra_data = reader.sized("extra data", MAX_EXTRA_DATA)?.to_vec();
        let clock = ClockInfo {
            clock: reader.u64()?,
            reset_count: reader.u32()?,
            restart_count: reader.u32()?,
            safe: yes_or_no(&mut reader)?,
        };
        let firmware_version = reader.u64()?;
        let selection = PcrSelection::read(&mut reader)?;
        let pcr_digest = reader.sized("PCR digest", MAX_DIGEST)?.to_vec();
        reader.finish()?;
        Ok(Self {
            raw: bytes.to_vec(),
            qualified_signer,
            extra_data,
            clock,
            firmware_version,
            selection,
            pcr_digest,
        })
    }

    /// The bytes that are signed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// The qualified name of the signing key: its name with those of all its parents.
    pub fn qualified_signer(&self) -> &[u8] {
        &self.qualified_signer
    }

    /// What the asker gave.
    pub fn extra_data(&self) -> &[u8] {
        &self.extra_data
    }

    /// Clock and counters; obfuscated unless the key is in the endorsement or platform hierarchy.
    pub fn clock(&self) -> ClockInfo {
        self.clock
    }

    /// The TPM vendor's version number.
    pub fn firmware_version(&self) -> u64 {
        self.firmware_version
    }

    /// Which PCRs were quoted.
    pub fn selection(&self) -> &PcrSelection {
        &self.selection
    }

    /// The digest over their values; compare with [`crate::pcr::composite`].
    pub fn pcr_digest(&self) -> &[u8] {
        &self.pcr_digest
    }
}

fn yes_or_no(reader: &mut Reader<'_>) -> Result<bool, WireError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(WireError::Value { what: "yes or no", value: u32::from(other) }),
    }
}
