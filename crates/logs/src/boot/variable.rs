//! `UEFI_VARIABLE_DATA`: what the variable events carry.

use crate::reader::Reader;

/// A measured UEFI variable (TCG PC Client Platform Firmware Profile 1.06, 10.4.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EfiVariable<'a> {
    guid: [u8; 16],
    name: &'a [u8],
    data: &'a [u8],
}

impl<'a> EfiVariable<'a> {
    /// Reads event data that is exactly one variable.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let guid = reader.array()?;
        let name_units = usize::try_from(reader.u64_le()?).ok()?;
        let data_size = usize::try_from(reader.u64_le()?).ok()?;
        let name = reader.take(name_units.checked_mul(2)?)?;
        let data = reader.take(data_size)?;
        reader.is_empty().then_some(Self { guid, name, data })
    }

    /// The vendor GUID as the firmware stores it (first three parts little-endian).
    #[must_use]
    pub const fn guid(&self) -> &[u8; 16] {
        &self.guid
    }

    /// Whether the name, UTF-16 without a terminator, is this one.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        name.encode_utf16().flat_map(u16::to_le_bytes).eq(self.name.iter().copied())
    }

    /// The variable's content.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }
}
