//! The kernel's IMA measurement list, ascii and binary, templates `ima`, `ima-ng`, `ima-sig` and `ima-buf`.
//!
//! Each entry's template hash is recomputed while it is read, so an entry's path and file digest are what its
//! template hash covers, except in a [violation](Entry::is_violation), where nothing covers them. A quote of PCR 10
//! vouches for a prefix of the list; see [`ImaLog::prefix_matching`].

mod ascii;
mod binary;
mod entry;
mod replay;

use alloc::vec::Vec;

use crate::bank::{Bank, Value};

pub use entry::{Entry, EntryFault, FileDigest, Template};
pub use replay::{Progress, boot_aggregate};

/// The PCR that IMA extends.
pub const PCR: u32 = 10;
/// The largest list, in bytes.
pub const MAX_LIST: usize = 64 << 20;
/// The most entries of a list.
pub const MAX_ENTRIES: usize = 1 << 18;
/// The longest path or event name, in bytes (`PATH_MAX`).
pub const MAX_PATH: usize = 4096;
/// The largest signature or buffer of an entry, in bytes.
pub const MAX_EXTRA: usize = 1 << 20;
/// The largest file digest, in bytes.
pub const MAX_FILE_DIGEST: usize = 64;
/// The longest name of a file digest's algorithm, in bytes.
pub const MAX_ALGORITHM: usize = 32;

/// Why bytes are not an IMA list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImaError {
    /// More than [`MAX_LIST`] bytes.
    #[error("ima list of {size} bytes is larger than {MAX_LIST}")]
    TooLarge {
        /// Bytes given.
        size: usize,
    },
    /// More than [`MAX_ENTRIES`] entries.
    #[error("ima list has more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// One entry is wrong.
    #[error("ima entry {entry}: {fault}")]
    Entry {
        /// Position of the entry, from 0.
        entry: usize,
        /// What is wrong with it.
        fault: EntryFault,
    },
}

/// A well-formed list whose template hashes all recompute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImaLog<'a> {
    entries: Vec<Entry<'a>>,
}

impl<'a> ImaLog<'a> {
    /// Reads `ascii_runtime_measurements`. Every line must be complete.
    ///
    /// The kernel writes paths as they are, so a file name with a line feed breaks its line; the template hash then
    /// does not recompute and the list is refused. The binary list has no such ambiguity.
    ///
    /// # Errors
    /// Anything that is not exactly a list within the bounds, or an entry whose template hash does not recompute.
    pub fn parse_ascii(bytes: &'a [u8]) -> Result<Self, ImaError> {
        let bytes = size_checked(bytes)?;
        let lines = memchr::memchr_iter(b'\n', bytes).count();
        collect(lines, ascii::entries(bytes))
    }

    /// What [`Self::parse_ascii`] and then [`Self::prefix_matching`] say, in one pass that keeps no entry: a verifier
    /// asks that of lists with tens of thousands of lines.
    ///
    /// # Errors
    /// As [`Self::parse_ascii`], for entries after the prefix too.
    pub fn prefix_of_ascii(bytes: &[u8], quoted: &Value) -> Result<Option<usize>, ImaError> {
        let mut progress = Progress::start(quoted.bank());
        let mut found = (progress.value() == *quoted).then_some(0);
        let mut template_data = Vec::new();
        for (position, line) in ascii::lines(size_checked(bytes)?).enumerate() {
            if position >= MAX_ENTRIES {
                return Err(ImaError::TooManyEntries);
            }
            let entry = line.and_then(|line| ascii::entry(line, &mut template_data));
            let entry = entry.map_err(|fault| ImaError::Entry { entry: position, fault })?;
            if found.is_none() {
                progress = progress.extended(&entry.extension_of(quoted.bank(), &template_data));
                found = (progress.value() == *quoted).then_some(progress.entries());
            }
        }
        Ok(found)
    }

    /// Reads `binary_runtime_measurements` of a little-endian machine.
    ///
    /// # Errors
    /// As [`Self::parse_ascii`].
    pub fn parse_binary(bytes: &'a [u8]) -> Result<Self, ImaError> {
        collect(0, binary::entries(size_checked(bytes)?))
    }

    /// The entries in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// PCR 10 after exactly these entries.
    #[must_use]
    pub fn replay(&self, bank: Bank) -> Value {
        Progress::start(bank).after_all(&self.entries).value()
    }

    /// How many entries, counted from the first, a quoted value of PCR 10 vouches for; `None` when no prefix
    /// replays to it. Entries after the prefix are not proved and must be ignored.
    #[must_use]
    pub fn prefix_matching(&self, quoted: &Value) -> Option<usize> {
        Progress::start(quoted.bank()).until(&self.entries, quoted).map(|progress| progress.entries())
    }

    /// As [`Self::prefix_matching`], going on where an earlier replay of the same list stopped.
    #[must_use]
    pub fn prefix_matching_from(&self, earlier: Progress, quoted: &Value) -> Option<Progress> {
        earlier.until(self.entries.get(earlier.entries()..)?, quoted)
    }
}

fn size_checked(bytes: &[u8]) -> Result<&[u8], ImaError> {
    if bytes.len() > MAX_LIST { Err(ImaError::TooLarge { size: bytes.len() }) } else { Ok(bytes) }
}

/// `expected` saves growing; it is bounded like the number of entries.
fn collect<'a>(
    expected: usize,
    parsed: impl Iterator<Item = Result<Entry<'a>, EntryFault>>,
) -> Result<ImaLog<'a>, ImaError> {
    let mut entries = Vec::with_capacity(expected.min(MAX_ENTRIES));
    for (position, entry) in parsed.enumerate() {
        if position >= MAX_ENTRIES {
            return Err(ImaError::TooManyEntries);
        }
        entries.push(entry.map_err(|fault| ImaError::Entry { entry: position, fault })?);
    }
    Ok(ImaLog { entries })
}
