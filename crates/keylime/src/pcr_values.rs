//! PCR values as Keylime's agents send them: tpm2-tools' structures in memory, little endian.
//!
//! A `TPML_PCR_SELECTION` of sixteen places, then lists (`TPML_DIGEST`) of eight places each. Places that are not used are zero: anything else
//! in them would be a second form of the same values, so it is refused.

use alloc::vec::Vec;

use tpm2::HashAlgorithm;
use tpm2::pcr::PCR_COUNT;

const BANKS: usize = 16;
const DIGESTS: usize = 8;
const DIGEST_SIZE: usize = 64;
/// As many lists as 24 PCRs fill, in each of the four banks that exist.
const MAX_LISTS: u32 = 12;

/// Why bytes are not PCR values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PcrValuesError {
    /// The bytes end inside a structure.
    #[error("the PCR values are cut short")]
    Truncated,
    /// Bytes follow where the structure ends.
    #[error("bytes follow the PCR values")]
    Trailing,
    /// A count or a size is not one that it can be.
    #[error("{0} of the PCR values is out of range")]
    Range(&'static str),
    /// A place that is not used is not zero.
    #[error("an unused place of the PCR values is not zero")]
    Padding,
    /// Exactly one bank has to be selected.
    #[error("the PCR values are not of exactly one bank")]
    Banks,
    /// A bank that no TPM of ours has.
    #[error("the PCR values are of an unknown bank")]
    UnknownBank,
    /// As many values as selected PCRs, each as long as the bank's digest.
    #[error("the PCR values do not fit their selection")]
    Selection,
}

/// Values of PCRs of one bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrValues {
    bank: HashAlgorithm,
    values: Vec<(u8, Vec<u8>)>,
}

impl PcrValues {
    /// Values by PCR, ascending and each as long as the bank's digest.
    ///
    /// # Errors
    /// [`PcrValuesError::Selection`], [`PcrValuesError::Range`] for an index that no TPM has.
    pub fn new(bank: HashAlgorithm, values: Vec<(u8, Vec<u8>)>) -> Result<Self, PcrValuesError> {
        if values.iter().any(|(index, _)| *index >= PCR_COUNT) {
            return Err(PcrValuesError::Range("a PCR index"));
        }
        let ascending = values.iter().map(|(index, _)| index).is_sorted_by(|a, b| a < b);
        if !ascending || values.iter().any(|(_, value)| value.len() != bank.size()) {
            return Err(PcrValuesError::Selection);
        }
        Ok(Self { bank, values })
    }

    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// [`PcrValuesError`]: anything but the one form that [`PcrValues::to_bytes`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, PcrValuesError> {
        let mut reader = Little(bytes);
        let (bank, pcrs) = read_selection(&mut reader)?;
        let lists = reader.u32()?;
        if lists > MAX_LISTS {
            return Err(PcrValuesError::Range("the number of lists"));
        }
        let mut digests = Vec::new();
        for list in 1..=lists {
            read_list(&mut reader, list == lists, &mut digests)?;
        }
        if !reader.0.is_empty() {
            return Err(PcrValuesError::Trailing);
        }
        if digests.len() != pcrs.len() {
            return Err(PcrValuesError::Selection);
        }
        Self::new(bank, pcrs.into_iter().zip(digests).collect())
    }

    /// As an agent sends them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(self.bank.id().to_le_bytes());
        bytes.push(3);
        let bits = self.values.iter().fold(0u32, |bits, (index, _)| bits | 1 << index);
        let [low, middle, high, _] = bits.to_le_bytes();
        bytes.extend([low, middle, high, 0, 0]);
        bytes.extend([0; (BANKS - 1) * 8]);
        let lists = self.values.chunks(DIGESTS);
        bytes.extend((lists.len() as u32).to_le_bytes());
        for list in lists {
            bytes.extend((list.len() as u32).to_le_bytes());
            for (_, value) in list {
                bytes.extend((value.len() as u16).to_le_bytes());
                bytes.extend(value);
                bytes.extend(core::iter::repeat_n(0, DIGEST_SIZE.saturating_sub(value.len())));
            }
            bytes.extend(core::iter::repeat_n(0, (DIGESTS - list.len()) * (2 + DIGEST_SIZE)));
        }
        bytes
    }

    /// The bank.
    #[must_use]
    pub fn bank(&self) -> HashAlgorithm {
        self.bank
    }

    /// Index and value, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.values.iter().map(|(index, value)| (*index, value.as_slice()))
    }

    /// The value of a PCR.
    #[must_use]
    pub fn get(&self, pcr: u8) -> Option<&[u8]> {
        self.iter().find_map(|(index, value)| (index == pcr).then_some(value))
    }
}

/// The bank and its PCRs, ascending.
fn read_selection(reader: &mut Little<'_>) -> Result<(HashAlgorithm, Vec<u8>), PcrValuesError> {
    if reader.u32()? != 1 {
        return Err(PcrValuesError::Banks);
    }
    let bank = HashAlgorithm::from_id(reader.u16()?).map_err(|_| PcrValuesError::UnknownBank)?;
    if reader.array()? != [3] {
        return Err(PcrValuesError::Range("the size of the selection"));
    }
    let [low, middle, high] = reader.array()?;
    reader.zeros(2 + (BANKS - 1) * 8)?;
    let bits = u32::from_le_bytes([low, middle, high, 0]);
    Ok((bank, (0..PCR_COUNT).filter(|index| bits >> index & 1 == 1).collect()))
}

/// Every list but the last is full; the last is not empty.
fn read_list(reader: &mut Little<'_>, last: bool, digests: &mut Vec<Vec<u8>>) -> Result<(), PcrValuesError> {
    let count = reader.u32()? as usize;
    if count == 0 || count > DIGESTS || (!last && count != DIGESTS) {
        return Err(PcrValuesError::Range("the length of a list"));
    }
    for _ in 0..count {
        let size = usize::from(reader.u16()?);
        if size > DIGEST_SIZE {
            return Err(PcrValuesError::Range("the size of a value"));
        }
        digests.push(reader.take(size)?.to_vec());
        reader.zeros(DIGEST_SIZE - size)?;
    }
    reader.zeros((DIGESTS - count) * (2 + DIGEST_SIZE))
}

/// Little-endian bytes, from the front.
struct Little<'a>(&'a [u8]);

impl<'a> Little<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], PcrValuesError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(PcrValuesError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], PcrValuesError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(PcrValuesError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    fn u16(&mut self) -> Result<u16, PcrValuesError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, PcrValuesError> {
        self.array().map(u32::from_le_bytes)
    }

    fn zeros(&mut self, length: usize) -> Result<(), PcrValuesError> {
        if self.take(length)?.iter().any(|&byte| byte != 0) {
            return Err(PcrValuesError::Padding);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn values(pcrs: impl IntoIterator<Item = u8>, bank: HashAlgorithm) -> PcrValues {
        PcrValues::new(bank, pcrs.into_iter().map(|pcr| (pcr, vec![pcr + 1; bank.size()])).collect()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again_in_every_bank_and_with_any_number_of_lists() {
        for bank in [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512]
        {
            for last in [0, 1, 7, 8, 9, 15, 16, 23] {
                let written = values(0..=last, bank);
                assert_eq!(PcrValues::parse(&written.to_bytes()), Ok(written));
            }
        }
    }

    #[test]
    fn every_cut_and_every_byte_more_is_refused() {
        let bytes = values([10, 16], HashAlgorithm::Sha256).to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(PcrValues::parse(&bytes[..length]), Err(PcrValuesError::Truncated), "{length}");
        }
        assert_eq!(PcrValues::parse(&[&bytes[..], &[0]].concat()), Err(PcrValuesError::Trailing));
    }

    /// A reader that takes what is not canonical gives two forms of one value to whoever compares or signs them.
    #[test]
    fn there_is_one_form_of_the_same_values() {
        let written = values([10, 16], HashAlgorithm::Sha256);
        let bytes = written.to_bytes();
        for place in 0..bytes.len() {
            let mut other = bytes.clone();
            other[place] ^= 1;
            if let Ok(read) = PcrValues::parse(&other) {
                assert_ne!(read, written, "byte {place} does not count");
            }
        }
    }

    #[test]
    fn counts_that_do_not_fit_are_refused() {
        let bytes = values([10, 16], HashAlgorithm::Sha256).to_bytes();
        let with = |place: usize, value: u8| {
            let mut other = bytes.clone();
            other[place] = value;
            PcrValues::parse(&other).unwrap_err()
        };
        assert_eq!(with(0, 0), PcrValuesError::Banks);
        assert_eq!(with(0, 2), PcrValuesError::Banks);
        assert_eq!(with(4, 0x12), PcrValuesError::UnknownBank);
        assert_eq!(with(6, 4), PcrValuesError::Range("the size of the selection"));
        assert_eq!(with(7, 1), PcrValuesError::Selection);
        assert_eq!(with(135, 1), PcrValuesError::Range("the number of lists"));
        assert_eq!(with(136, 9), PcrValuesError::Range("the length of a list"));
        assert_eq!(with(140, 65), PcrValuesError::Range("the size of a value"));
        assert_eq!(with(140, 31), PcrValuesError::Padding);
    }
}
