//! PCR banks and the values in them; a [`Value`] always has exactly its bank's size.

use core::fmt;

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The largest digest of any bank, in bytes.
pub const MAX_DIGEST: usize = 64;

/// A bank of PCRs, named by its hash algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bank {
    /// SHA-1: parsed because old logs have nothing else; never a basis for trust.
    Sha1,
    /// SHA-256: the bank that evidence uses.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Bank {
    /// Every bank that can be replayed.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Bytes of a value in this bank.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// `TPM_ALG_ID` (TPM 2.0 Part 2, 6.3).
    #[must_use]
    pub const fn algorithm_id(self) -> u16 {
        match self {
            Self::Sha1 => 0x0004,
            Self::Sha256 => 0x000b,
            Self::Sha384 => 0x000c,
            Self::Sha512 => 0x000d,
        }
    }

    /// The bank of a `TPM_ALG_ID`, if it is one that can be replayed.
    #[must_use]
    pub fn from_algorithm_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|bank| bank.algorithm_id() == id)
    }

    /// The lower-case name that files use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The hash of byte strings one after the other.
    #[must_use]
    pub fn hash(self, parts: &[&[u8]]) -> Value {
        match self {
            Self::Sha1 => Value::copied(self, &digest::<Sha1>(parts)),
            Self::Sha256 => Value::copied(self, &digest::<Sha256>(parts)),
            Self::Sha384 => Value::copied(self, &digest::<Sha384>(parts)),
            Self::Sha512 => Value::copied(self, &digest::<Sha512>(parts)),
        }
    }
}

impl fmt::Display for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn digest<D: Digest>(parts: &[&[u8]]) -> sha2::digest::Output<D> {
    let mut hash = D::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize()
}

/// A PCR value, or a digest that extends one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value {
    bank: Bank,
    // Bytes past the bank's size are zero, so that derived equality is right.
    bytes: [u8; MAX_DIGEST],
}

impl Value {
    /// A value of exactly the bank's size; nothing is padded or cut.
    #[must_use]
    pub fn from_bytes(bank: Bank, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == bank.size()).then(|| Self::copied(bank, bytes))
    }

    /// The value of a PCR after a reset that clears it.
    #[must_use]
    pub fn zeros(bank: Bank) -> Self {
        Self { bank, bytes: [0; MAX_DIGEST] }
    }

    /// All bits set: what the dynamic-launch PCRs start with, and what IMA extends for a violation.
    #[must_use]
    pub fn ones(bank: Bank) -> Self {
        let mut value = Self::zeros(bank);
        value.bytes.iter_mut().take(bank.size()).for_each(|byte| *byte = 0xff);
        value
    }

    /// PCR 0 after `TPM2_Startup` at a locality: zeros and the locality in the last byte
    /// (TCG PC Client Platform Firmware Profile 1.06, 10.4.5.3).
    #[must_use]
    pub(crate) fn started_at(bank: Bank, locality: u8) -> Self {
        let mut value = Self::zeros(bank);
        if let Some(last) = value.bytes.get_mut(bank.size().saturating_sub(1)) {
            *last = locality;
        }
        value
    }

    /// The bank that it belongs to.
    #[must_use]
    pub const fn bank(&self) -> Bank {
        self.bank
    }

    /// The bytes, as many as the bank's size.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.bank.size()).unwrap_or_default()
    }

    /// The value after `TPM2_PCR_Extend`: the hash of the old value and the digest.
    #[must_use]
    pub fn extended(&self, digest: &[u8]) -> Self {
        self.bank.hash(&[self.as_bytes(), digest])
    }

    fn copied(bank: Bank, bytes: &[u8]) -> Self {
        let mut value = Self::zeros(bank);
        if let Some(start) = value.bytes.get_mut(..bytes.len()) {
            start.copy_from_slice(bytes);
        }
        value
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&names::hex(self.as_bytes()))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.bank)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_have_their_banks_size_and_nothing_else() {
        for bank in Bank::ALL {
            assert_eq!(Value::ones(bank).as_bytes().len(), bank.size());
            assert_eq!(Bank::from_algorithm_id(bank.algorithm_id()), Some(bank));
            let long = [7u8; MAX_DIGEST + 1];
            assert!(Value::from_bytes(bank, &long[..bank.size() - 1]).is_none());
            assert!(Value::from_bytes(bank, &long[..bank.size() + 1]).is_none());
            assert_eq!(
                Value::from_bytes(bank, &long[..bank.size()]).unwrap().as_bytes(),
                &long[..bank.size()]
            );
        }
        assert_eq!(Bank::from_algorithm_id(0x0012), None);
    }

    #[test]
    fn an_extend_hashes_the_old_value_and_the_digest() {
        let zeros = Value::zeros(Bank::Sha256);
        let separator = Bank::Sha256.hash(&[&[0; 4]]);
        let text = "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969";
        assert_eq!(names::hex(zeros.extended(separator.as_bytes()).as_bytes()), text);
    }
}
