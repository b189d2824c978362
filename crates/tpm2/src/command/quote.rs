//! PCRs, quotes and signatures (Part 3, 18.4, 20.2, 22).

use alloc::vec::Vec;

use crate::algorithms::{self, HashAlgorithm};
use crate::frame::Request;
use crate::handle::{Entity, Handle};
use crate::pcr::PcrSelection;
use crate::signature::{Signature, SignatureError};
use crate::wire::{Reader, WireError, Writer};

const MAX_ATTEST: usize = 1024;
/// TPM2_PCR_Read gives at most eight values (TPML_DIGEST).
const MAX_DIGESTS: u32 = 8;
const NULL_TICKET: u16 = 0x8024;

/// TPM2_PCR_Extend in the SHA-256 bank.
pub struct PcrExtend<'a> {
    /// The PCR; authorized.
    pub pcr: u8,
    /// What to extend with.
    pub digest: &'a [u8; 32],
}

impl Request for PcrExtend<'_> {
    type Response = ();
    const CODE: u32 = 0x182;

    fn entities(&self) -> Vec<Entity> {
        [Entity::permanent(Handle::pcr(self.pcr))].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32(1).u16(HashAlgorithm::Sha256.id()).bytes(self.digest);
    }

    fn read(&self, _: Handle, _: &mut Reader<'_>) -> Result<(), WireError> {
        Ok(())
    }
}

/// TPM2_PCR_Read: the first few of a selection.
pub struct PcrRead<'a>(pub &'a PcrSelection);

/// What the TPM read.
pub struct PcrValues {
    /// Which PCRs it read; possibly fewer than asked.
    pub selection: PcrSelection,
    /// Their values, in order.
    pub values: Vec<Vec<u8>>,
}

impl Request for PcrRead<'_> {
    type Response = PcrValues;
    const CODE: u32 = 0x17e;

    fn entities(&self) -> Vec<Entity> {
        Vec::new()
    }

    fn write(&self, writer: &mut Writer) {
        self.0.write(writer);
    }

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<PcrValues, WireError> {
        parameters.u32()?;
        let selection = PcrSelection::read(parameters)?;
        let count = parameters.u32()?;
        if count > MAX_DIGESTS {
            return Err(WireError::Value { what: "digest count", value: count });
        }
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(parameters.sized("PCR value", 64)?.to_vec());
        }
        Ok(PcrValues { selection, values })
    }
}

/// TPM2_Quote by the key's own scheme.
pub struct Quote<'a> {
    /// The attestation key; authorized.
    pub key: Entity,
    /// What the asker gave.
    pub extra_data: &'a [u8],
    /// Which PCRs.
    pub selection: &'a PcrSelection,
}

/// A quote as bytes, to be shipped as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// TPMS_ATTEST.
    pub attest: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
}

impl Request for Quote<'_> {
    type Response = Quoted;
    const CODE: u32 = 0x158;

    fn entities(&self) -> Vec<Entity> {
        [self.key.clone()].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer.sized("extra data", self.extra_data).u16(algorithms::NULL);
        self.selection.write(writer);
    }

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<Quoted, WireError> {
        let attest = parameters.sized("attestation structure", MAX_ATTEST)?.to_vec();
        let before = parameters.rest();
        read_signature(parameters)?;
        let length = before.len() - parameters.rest().len();
        let signature = before.get(..length).ok_or(WireError::Truncated)?.to_vec();
        Ok(Quoted { attest, signature })
    }
}

/// TPM2_Sign over a SHA-256 digest of data from outside the TPM, by the key's own scheme.
pub struct Sign<'a> {
    /// The key; authorized. A restricted key refuses.
    pub key: Entity,
    /// The digest.
    pub digest: &'a [u8; 32],
}

impl Request for Sign<'_> {
    type Response = Signature;
    const CODE: u32 = 0x15d;

    fn entities(&self) -> Vec<Entity> {
        [self.key.clone()].into()
    }

    fn write(&self, writer: &mut Writer) {
        writer.sized("digest", self.digest).u16(algorithms::NULL);
        // TPMT_TK_HASHCHECK that says nothing: the digest was not made by the TPM.
        writer.u16(NULL_TICKET).u32(Handle::NULL.0).sized("ticket", &[]);
    }

    fn read(&self, _: Handle, parameters: &mut Reader<'_>) -> Result<Signature, WireError> {
        read_signature(parameters)
    }
}

fn read_signature(parameters: &mut Reader<'_>) -> Result<Signature, WireError> {
    Signature::read(parameters).map_err(|error| match error {
        SignatureError::Wire(error) => error,
        SignatureError::HashRefused(hash) => {
            WireError::Value { what: "signature hash", value: u32::from(hash.id()) }
        }
        SignatureError::SchemeMismatch | SignatureError::Key(_) | SignatureError::Invalid => {
            WireError::Value { what: "signature", value: 0 }
        }
    })
}
