//! CBOR (RFC 8949) in the canonical form of CTAP2 (8, "Message Encoding"): definite lengths, shortest numbers, no tags, no floats. A reader over a
//! slice that hands out what the caller expects next, and nothing else.

use super::Refused;

/// Integers, byte strings and text of a slice, one after the other.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// Major types (RFC 8949, 3.1).
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const MAP: u8 = 5;

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Result<(), Refused> {
        if self.rest.is_empty() { Ok(()) } else { Err(Refused::Malformed) }
    }

    /// Pairs of a map.
    pub(super) fn map(&mut self) -> Result<u64, Refused> {
        self.head(MAP)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Refused> {
        let length = self.head(BYTES)?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Refused> {
        let length = self.head(TEXT)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Refused::Malformed)
    }

    pub(super) fn integer(&mut self) -> Result<i64, Refused> {
        let first = *self.rest.first().ok_or(Refused::Malformed)?;
        let (major, negative) = if first >> 5 == NEGATIVE { (NEGATIVE, true) } else { (UNSIGNED, false) };
        let number = i64::try_from(self.head(major)?).map_err(|_| Refused::Malformed)?;
        Ok(if negative { -1 - number } else { number })
    }

    /// The argument of an item of this major type, in its shortest form.
    fn head(&mut self, major: u8) -> Result<u64, Refused> {
        let (first, rest) = self.rest.split_first().ok_or(Refused::Malformed)?;
        if first >> 5 != major {
            return Err(Refused::Malformed);
        }
        self.rest = rest;
        let (length, least) = match first & 31 {
            small @ 0..=23 => return Ok(u64::from(small)),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(Refused::Malformed),
        };
        let number = self.take(length)?.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        if number < least { Err(Refused::Malformed) } else { Ok(number) }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Refused> {
        let length = usize::try_from(length).map_err(|_| Refused::Malformed)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Refused::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}
