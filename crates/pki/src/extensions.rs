//! Extensions (RFC 5280, 4.2): the ones that we process are read strictly, critical others are remembered by name.

use alloc::{string::String, vec::Vec};

use der::{AnyRef, Decode, Header, Reader, SliceReader, Tag, TagNumber};

use crate::{
    asn1::{self, malformed},
    certificate::{CertificateError, read_name},
    oid::Oid,
};

/// More extensions are refused.
const MAX_EXTENSIONS: usize = 32;
/// More alternative names or key purposes are refused.
const MAX_NAMES: usize = 64;

/// Key usage bits of RFC 5280, 4.2.1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// digitalSignature alone.
    pub const DIGITAL_SIGNATURE: KeyUsage = KeyUsage(1);
    /// keyEncipherment alone.
    pub const KEY_ENCIPHERMENT: KeyUsage = KeyUsage(1 << 2);
    /// keyAgreement alone.
    pub const KEY_AGREEMENT: KeyUsage = KeyUsage(1 << 4);
    /// keyCertSign alone.
    pub const KEY_CERT_SIGN: KeyUsage = KeyUsage(1 << 5);
    /// cRLSign alone.
    pub const CRL_SIGN: KeyUsage = KeyUsage(1 << 6);

    /// The bits of both.
    pub const fn with(self, other: KeyUsage) -> KeyUsage {
        KeyUsage(self.0 | other.0)
    }

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: KeyUsage) -> bool {
        self.0 & other.0 == other.0
    }

    /// Bit `n` of the ASN.1 named bit list is bit `n` here.
    pub(crate) const fn bits(self) -> u16 {
        self.0
    }
}

/// Basic constraints of RFC 5280, 4.2.1.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicConstraints {
    /// The subject is a certificate authority.
    pub ca: bool,
    /// How many intermediate certificates may follow.
    pub path_length: Option<u8>,
}

/// What the extensions of one certificate say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) extended_key_usages: Vec<Vec<u8>>,
    pub(crate) dns_names: Vec<String>,
    pub(crate) uris: Vec<String>,
    pub(crate) directory_names: Vec<Vec<u8>>,
    pub(crate) other_names: usize,
    pub(crate) subject_key_id: Option<Vec<u8>>,
    pub(crate) authority_key_id: Option<Vec<u8>>,
    pub(crate) unknown_critical: Vec<Vec<u8>>,
    seen: Vec<Vec<u8>>,
}

/// Extensions [3] EXPLICIT, the last field of a TBSCertificate.
pub(crate) fn read_extensions(
    tbs: &mut SliceReader<'_>,
    fault: &mut CertificateError,
) -> der::Result<Extensions> {
    let mut found = Extensions::default();
    let header = Header::decode(tbs)?;
    let expected = Tag::ContextSpecific { constructed: true, number: TagNumber(3) };
    header.tag().assert_eq(expected)?;
    tbs.read_nested(header.length(), |explicit| {
        explicit.sequence(|list| {
            while !list.is_finished() {
                list.sequence(|extension| read_extension(extension, &mut found, fault))?;
            }
            Ok::<_, der::Error>(())
        })
    })?;
    if found.seen.is_empty() { Err(malformed(Tag::Sequence)) } else { Ok(found) }
}

/// Extension ::= SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }.
fn read_extension(
    extension: &mut SliceReader<'_>,
    found: &mut Extensions,
    fault: &mut CertificateError,
) -> der::Result<()> {
    let oid = asn1::read_oid(extension)?;
    let critical = match Tag::peek(extension)? {
        // Real endorsement certificates write the default FALSE out, which DER forbids; refused all the same.
        Tag::Boolean => match asn1::value(extension, Tag::Boolean)? {
            [0xff] => true,
            _ => return Err(malformed(Tag::Boolean)),
        },
        _ => false,
    };
    let content = asn1::value(extension, Tag::OctetString)?;
    if found.seen.iter().any(|seen| seen == oid) {
        *fault = CertificateError::DuplicateExtension;
        return Err(malformed(Tag::Sequence));
    }
    found.seen.push(oid.to_vec());
    if found.seen.len() > MAX_EXTENSIONS {
        *fault = CertificateError::TooMany;
        return Err(malformed(Tag::Sequence));
    }
    asn1::whole(content, |reader| {
        if oid == Oid::BASIC_CONSTRAINTS.as_bytes() {
            found.basic_constraints = Some(read_basic_constraints(reader)?);
        } else if oid == Oid::KEY_USAGE.as_bytes() {
            found.key_usage = Some(read_key_usage(reader)?);
        } else if oid == Oid::EXTENDED_KEY_USAGE.as_bytes() {
            found.extended_key_usages = read_purposes(reader, fault)?;
        } else if oid == Oid::SUBJECT_ALT_NAME.as_bytes() {
            read_alternative_names(reader, found, fault)?;
        } else if oid == Oid::SUBJECT_KEY_ID.as_bytes() {
            found.subject_key_id = Some(asn1::value(reader, Tag::OctetString)?.to_vec());
        } else if oid == Oid::AUTHORITY_KEY_ID.as_bytes() {
            found.authority_key_id = read_authority_key_id(reader)?;
        } else {
            reader.drain(reader.remaining_len())?;
            if critical {
                found.unknown_critical.push(oid.to_vec());
            }
        }
        Ok(())
    })
}

fn read_basic_constraints(reader: &mut SliceReader<'_>) -> der::Result<BasicConstraints> {
    reader.sequence(|inner| {
        let mut constraints = BasicConstraints { ca: false, path_length: None };
        if !inner.is_finished() && Tag::peek(inner)? == Tag::Boolean {
            match asn1::value(inner, Tag::Boolean)? {
                [0xff] => constraints.ca = true,
                _ => return Err(malformed(Tag::Boolean)),
            }
        }
        if !inner.is_finished() {
            constraints.path_length = Some(u8::decode(inner)?);
        }
        Ok(constraints)
    })
}

/// A named bit list: trailing zero bits are not encoded (X.690, 11.2.2).
fn read_key_usage(reader: &mut SliceReader<'_>) -> der::Result<KeyUsage> {
    let value = asn1::value(reader, Tag::BitString)?;
    let (unused, bytes) = value.split_first().ok_or_else(|| malformed(Tag::BitString))?;
    let last = bytes.last().copied().unwrap_or(0);
    if bytes.is_empty() || bytes.len() > 2 || u32::from(*unused) != last.trailing_zeros() || last == 0 {
        return Err(malformed(Tag::BitString));
    }
    let mut bits = 0u16;
    for (index, byte) in bytes.iter().enumerate() {
        bits |= u16::from(byte.reverse_bits()) << (8 * index);
    }
    Ok(KeyUsage(bits))
}

fn read_purposes(reader: &mut SliceReader<'_>, fault: &mut CertificateError) -> der::Result<Vec<Vec<u8>>> {
    reader.sequence(|inner| {
        let mut purposes = Vec::new();
        while !inner.is_finished() {
            if purposes.len() >= MAX_NAMES {
                *fault = CertificateError::TooMany;
                return Err(malformed(Tag::Sequence));
            }
            purposes.push(asn1::read_oid(inner)?.to_vec());
        }
        if purposes.is_empty() { Err(malformed(Tag::Sequence)) } else { Ok(purposes) }
    })
}

/// GeneralNames of RFC 5280, 4.2.1.6.
fn read_alternative_names(
    reader: &mut SliceReader<'_>,
    found: &mut Extensions,
    fault: &mut CertificateError,
) -> der::Result<()> {
    reader.sequence(|inner| {
        let mut count = 0usize;
        while !inner.is_finished() {
            count = count.saturating_add(1);
            if count > MAX_NAMES {
                *fault = CertificateError::TooMany;
                return Err(malformed(Tag::Sequence));
            }
            let name = AnyRef::decode(inner)?;
            match name.header().tag() {
                Tag::ContextSpecific { constructed: false, number: TagNumber(2) } => {
                    found.dns_names.push(ia5(name.value())?);
                }
                Tag::ContextSpecific { constructed: false, number: TagNumber(6) } => {
                    found.uris.push(ia5(name.value())?);
                }
                Tag::ContextSpecific { constructed: true, number: TagNumber(4) } => {
                    found.directory_names.push(asn1::whole(name.value(), read_name)?);
                }
                Tag::ContextSpecific { .. } => found.other_names = found.other_names.saturating_add(1),
                _ => return Err(malformed(Tag::Sequence)),
            }
        }
        if count == 0 { Err(malformed(Tag::Sequence)) } else { Ok(()) }
    })
}

/// IA5String without control characters: no NUL, no line break may hide in a name.
fn ia5(bytes: &[u8]) -> der::Result<String> {
    let text = core::str::from_utf8(bytes).map_err(|_| malformed(Tag::Ia5String))?;
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { Ok(String::from(text)) } else { Err(malformed(Tag::Ia5String)) }
}

/// AuthorityKeyIdentifier of RFC 5280, 4.2.1.1; only keyIdentifier [0] is kept.
fn read_authority_key_id(reader: &mut SliceReader<'_>) -> der::Result<Option<Vec<u8>>> {
    reader.sequence(|inner| {
        let mut key_id = None;
        while !inner.is_finished() {
            let field = AnyRef::decode(inner)?;
            if field.header().tag() == (Tag::ContextSpecific { constructed: false, number: TagNumber(0) }) {
                key_id = Some(field.value().to_vec());
            }
        }
        Ok(key_id)
    })
}
