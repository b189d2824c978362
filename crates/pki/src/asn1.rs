//! The few DER forms that certificates need: writers that can't fail and readers that never repair.

use alloc::vec::Vec;

use der::{
    AnyRef, DateTime, Decode, Encode, Error, ErrorKind, Reader, SliceReader, Tag,
    asn1::{BitStringRef, GeneralizedTime, UtcTime},
};

use crate::oid::Oid;

pub(crate) const TAG_BOOLEAN: u8 = 0x01;
pub(crate) const TAG_INTEGER: u8 = 0x02;
pub(crate) const TAG_BIT_STRING: u8 = 0x03;
pub(crate) const TAG_OCTET_STRING: u8 = 0x04;
pub(crate) const TAG_OID: u8 = 0x06;
pub(crate) const TAG_UTF8_STRING: u8 = 0x0c;
pub(crate) const TAG_SEQUENCE: u8 = 0x30;
pub(crate) const TAG_SET: u8 = 0x31;

/// First second of 2050: certificates use GeneralizedTime from here on (RFC 5280, 4.1.2.5).
const YEAR_2050: u64 = 2_524_608_000;

/// One tag, length, value.
pub(crate) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len().saturating_add(6));
    out.push(tag);
    let length = value.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let significant: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | significant.len() as u8);
        out.extend_from_slice(&significant);
    }
    out.extend_from_slice(value);
    out
}

/// A SEQUENCE of already encoded elements.
pub(crate) fn sequence(elements: &[&[u8]]) -> Vec<u8> {
    tlv(TAG_SEQUENCE, &elements.concat())
}

pub(crate) fn oid(oid: Oid) -> Vec<u8> {
    tlv(TAG_OID, oid.as_bytes())
}

/// A BIT STRING of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tlv(TAG_BIT_STRING, &[&[0], bytes].concat())
}

/// A positive INTEGER from big-endian bytes.
pub(crate) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let mut value: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if value.first().is_none_or(|first| first & 0x80 != 0) {
        value.insert(0, 0);
    }
    tlv(TAG_INTEGER, &value)
}

/// A Time as RFC 5280, 4.1.2.5 wants it. `None` when the year is beyond 9999.
pub(crate) fn time(unix: u64) -> Option<Vec<u8>> {
    let moment = DateTime::from_unix_duration(core::time::Duration::from_secs(unix)).ok()?;
    if unix < YEAR_2050 {
        UtcTime::from_date_time(moment).ok()?.to_der().ok()
    } else {
        GeneralizedTime::from_date_time(moment).to_der().ok()
    }
}

/// Decodes the whole of `bytes` with `read`: trailing bytes are an error.
pub(crate) fn whole<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut SliceReader<'a>) -> der::Result<T>,
) -> der::Result<T> {
    let mut reader = SliceReader::new(bytes)?;
    let value = read(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// The value bytes of the next element, which must carry `tag`.
pub(crate) fn value<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> der::Result<&'a [u8]> {
    let any = AnyRef::decode(reader)?;
    any.header().tag().assert_eq(tag)?;
    Ok(any.value())
}

/// The content bytes of the next OBJECT IDENTIFIER: minimal base-128 arcs, at most 64 bytes.
pub(crate) fn read_oid<'a>(reader: &mut SliceReader<'a>) -> der::Result<&'a [u8]> {
    let bytes = value(reader, Tag::ObjectIdentifier)?;
    let ends = bytes.last().is_some_and(|last| last & 0x80 == 0);
    let mut starts_arc = true;
    let mut minimal = true;
    for byte in bytes {
        minimal &= !(starts_arc && *byte == 0x80);
        starts_arc = byte & 0x80 == 0;
    }
    if ends && minimal && bytes.len() <= 64 { Ok(bytes) } else { Err(malformed(Tag::ObjectIdentifier)) }
}

/// The next BIT STRING, which must hold whole bytes.
pub(crate) fn read_bit_string<'a>(reader: &mut SliceReader<'a>) -> der::Result<&'a [u8]> {
    BitStringRef::decode(reader)?.as_bytes().ok_or_else(|| malformed(Tag::BitString))
}

/// The next Time as unix seconds.
pub(crate) fn read_time(reader: &mut SliceReader<'_>) -> der::Result<u64> {
    if Tag::peek(reader)? == Tag::UtcTime {
        Ok(UtcTime::decode(reader)?.to_unix_duration().as_secs())
    } else {
        Ok(GeneralizedTime::decode(reader)?.to_unix_duration().as_secs())
    }
}

/// A value error of `tag`.
pub(crate) fn malformed(tag: Tag) -> Error {
    Error::from(ErrorKind::Value { tag })
}
