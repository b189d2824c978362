//! Big-endian bytes, read strictly and written in one pass (TPM 2.0 Part 2, 4 and Part 1, 11).
//!
//! A reader never indexes and never accepts more than a stated length; whoever parses a whole structure ends with
//! [`Reader::finish`], so that no trailing byte goes unnoticed.

use alloc::vec::Vec;

/// Why bytes are not the structure that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end inside the structure.
    #[error("the structure is cut short")]
    Truncated,
    /// Bytes follow where the structure ends.
    #[error("{0} bytes follow the structure")]
    Trailing(usize),
    /// A length is above what this field may have.
    #[error("{what} has {length} bytes, more than {limit}")]
    TooLong {
        /// The field.
        what: &'static str,
        /// The length that it claims.
        length: usize,
        /// The most that we accept.
        limit: usize,
    },
    /// A value is not one of those that this field may have.
    #[error("{what} has the value {value:#x}, which is not accepted")]
    Value {
        /// The field.
        what: &'static str,
        /// The value found.
        value: u32,
    },
}

/// The longest TPM2B that any command or response of ours carries.
pub const MAX_SIZED: usize = 4096;

/// Reads a structure from the front of some bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(u8::from_be_bytes)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A TPM2B: two bytes of length, then that many, at most `limit`.
    pub fn sized(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], WireError> {
        let length = usize::from(self.u16()?);
        if length > limit {
            return Err(WireError::TooLong { what, length, limit });
        }
        self.take(length)
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the structure: nothing may be left.
    pub fn finish(self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(WireError::Trailing(left)),
        }
    }
}

/// Writes a structure; a field that is too long is remembered and refused by [`Writer::finish`].
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    failed: Option<WireError>,
}

impl Writer {
    /// Starts empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Appends two bytes.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Appends a TPM2B.
    pub fn sized(&mut self, what: &'static str, bytes: &[u8]) -> &mut Self {
        match u16::try_from(bytes.len()) {
            Ok(length) if bytes.len() <= MAX_SIZED => {
                self.u16(length).bytes(bytes);
            }
            _ => {
                self.failed.get_or_insert(WireError::TooLong { what, length: bytes.len(), limit: MAX_SIZED });
            }
        }
        self
    }

    /// The bytes, unless a field was too long.
    pub fn finish(self) -> Result<Vec<u8>, WireError> {
        match self.failed {
            None => Ok(self.bytes),
            Some(error) => Err(error),
        }
    }
}
