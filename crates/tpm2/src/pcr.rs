//! PCR selections (TPM 2.0 Part 2, 10.6 and 10.9.7) and the composite digest that a quote signs (Part 1, 17.5).

use alloc::vec;
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::algorithms::HashAlgorithm;
use crate::wire::{Reader, WireError, Writer};

/// PCRs in a bank of a PC client TPM.
pub const PCR_COUNT: u8 = 24;
const BITMAP_SIZE: u8 = 3;
const MAX_BANKS: u32 = 16;

/// The selected PCRs of one bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BankSelection {
    hash: HashAlgorithm,
    bitmap: [u8; BITMAP_SIZE as usize],
}

impl BankSelection {
    /// The bank.
    pub fn hash(&self) -> HashAlgorithm {
        self.hash
    }

    /// The PCRs, ascending.
    pub fn pcrs(&self) -> impl Iterator<Item = u8> + use<> {
        let [low, middle, high] = self.bitmap;
        let bits = u32::from_le_bytes([low, middle, high, 0]);
        (0..PCR_COUNT).filter(move |index| bits >> index & 1 == 1)
    }
}

/// Which PCRs of which banks, in the one form that we write and accept: three bytes a bank, no bank twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrSelection {
    banks: Vec<BankSelection>,
}

impl PcrSelection {
    /// PCRs of the SHA-256 bank; an index that no TPM has is refused.
    pub fn sha256(pcrs: &[u8]) -> Result<Self, WireError> {
        let mut bits = 0u32;
        for &index in pcrs {
            if index >= PCR_COUNT {
                return Err(WireError::Value { what: "PCR index", value: u32::from(index) });
            }
            bits |= 1 << index;
        }
        let [a, b, c, _] = bits.to_le_bytes();
        Ok(Self { banks: vec![BankSelection { hash: HashAlgorithm::Sha256, bitmap: [a, b, c] }] })
    }

    /// The banks, in the order of the structure.
    pub fn banks(&self) -> &[BankSelection] {
        &self.banks
    }

    /// The PCRs, if only the SHA-256 bank is selected.
    pub fn sha256_pcrs(&self) -> Option<Vec<u8>> {
        match self.banks.as_slice() {
            [bank] if bank.hash == HashAlgorithm::Sha256 => Some(bank.pcrs().collect()),
            _ => None,
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let count = reader.u32()?;
        if count > MAX_BANKS {
            return Err(WireError::Value { what: "PCR bank count", value: count });
        }
        let mut banks: Vec<BankSelection> = Vec::new();
        for _ in 0..count {
            let hash = HashAlgorithm::read(reader)?;
            let size = reader.u8()?;
            if size != BITMAP_SIZE {
                return Err(WireError::Value { what: "PCR bitmap size", value: u32::from(size) });
            }
            if banks.iter().any(|bank| bank.hash == hash) {
                return Err(WireError::Value { what: "repeated PCR bank", value: u32::from(hash.id()) });
            }
            banks.push(BankSelection { hash, bitmap: reader.array()? });
        }
        Ok(Self { banks })
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u32(self.banks.len() as u32);
        for bank in &self.banks {
            writer.u16(bank.hash.id()).u8(BITMAP_SIZE).bytes(&bank.bitmap);
        }
    }
}

/// The digest over PCR values as a SHA-256 signing key quotes it: the values of the selected PCRs one after the other,
/// banks in the order of the selection, PCRs ascending. The caller passes them in that order.
pub fn composite<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    values.into_iter().fold(Sha256::new(), |digest, value| digest.chain_update(value)).finalize().into()
}
