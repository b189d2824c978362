//! PCR 10 entry by entry, from the beginning or from where an earlier replay stopped.

use alloc::vec::Vec;

use super::Entry;
use crate::bank::{Bank, Value};

/// PCR 10 after a number of entries. Whoever keeps one between rounds must know that it is of the same boot
/// (the quote's reset count) and of the same list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    value: Value,
    entries: usize,
}

impl Progress {
    /// No entry yet.
    #[must_use]
    pub fn start(bank: Bank) -> Self {
        Self::resume(Value::zeros(bank), 0)
    }

    /// What an earlier replay had reached.
    #[must_use]
    pub const fn resume(value: Value, entries: usize) -> Self {
        Self { value, entries }
    }

    /// PCR 10.
    #[must_use]
    pub const fn value(&self) -> Value {
        self.value
    }

    /// Entries replayed.
    #[must_use]
    pub const fn entries(&self) -> usize {
        self.entries
    }

    /// One entry further.
    #[must_use]
    pub fn after(self, entry: &Entry<'_>) -> Self {
        self.after_with(entry, &mut Vec::new())
    }

    fn after_with(self, entry: &Entry<'_>, scratch: &mut Vec<u8>) -> Self {
        let extension = entry.extension_with(self.value.bank(), scratch);
        self.extended(&extension)
    }

    /// One entry further, which extends the register with this.
    pub(super) fn extended(self, extension: &Value) -> Self {
        Self { value: self.value.extended(extension.as_bytes()), entries: self.entries.saturating_add(1) }
    }

    /// All of the following entries.
    #[must_use]
    pub fn after_all(self, following: &[Entry<'_>]) -> Self {
        let mut scratch = Vec::new();
        following.iter().fold(self, |progress, entry| progress.after_with(entry, &mut scratch))
    }

    /// As many of the following entries as it takes to reach a quoted value, which may be none; `None` when all of
    /// them do not reach it.
    #[must_use]
    pub fn until(self, following: &[Entry<'_>], quoted: &Value) -> Option<Self> {
        let mut scratch = Vec::new();
        let mut progress = self;
        for entry in following {
            if progress.value == *quoted {
                return Some(progress);
            }
            progress = progress.after_with(entry, &mut scratch);
        }
        (progress.value == *quoted).then_some(progress)
    }
}

/// What the digest of the `boot_aggregate` entry must be for PCR values of this bank, from PCR 0 on: the hash over
/// PCR 0 to 7, in other banks than SHA-1 over 0 to 9 (Linux, `ima_calc_boot_aggregate_tfm`, since 5.8). `None` when
/// there are too few values or one of another bank.
#[must_use]
pub fn boot_aggregate(bank: Bank, pcrs: &[Value]) -> Option<Value> {
    let covered = match bank {
        Bank::Sha1 => 8,
        Bank::Sha256 | Bank::Sha384 | Bank::Sha512 => 10,
    };
    let covered = pcrs.get(..covered)?;
    if covered.iter().any(|value| value.bank() != bank) {
        return None;
    }
    let parts: Vec<&[u8]> = covered.iter().map(Value::as_bytes).collect();
    Some(bank.hash(&parts))
}
