//! Assembles and signs a certificate: every field set here, nothing copied from a request but its key.

use alloc::{string::String, vec, vec::Vec};

use crate::{
    asn1,
    certificate::Certificate,
    extensions::{BasicConstraints, KeyUsage},
    issue::{IssueError, Serial, Validity},
    oid::Oid,
    sha256,
    signature::{SignatureAlgorithm, SigningKey},
};

/// All that a profile decides about a certificate.
pub(crate) struct Template<'a> {
    pub(crate) serial: Serial,
    pub(crate) issuer: Vec<u8>,
    pub(crate) authority_key_id: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) validity: Validity,
    pub(crate) spki: &'a [u8],
    pub(crate) constraints: BasicConstraints,
    pub(crate) usage: KeyUsage,
    pub(crate) purposes: Vec<Oid>,
    pub(crate) dns_names: Vec<String>,
    pub(crate) uris: Vec<String>,
}

impl Template<'_> {
    pub(crate) fn sign(&self, key: &dyn SigningKey) -> Result<Certificate, IssueError> {
        let to_be_signed = self.to_be_signed()?;
        let signature = key.sign_sha256(&to_be_signed)?;
        let der = asn1::sequence(&[
            &to_be_signed,
            &SignatureAlgorithm::es256_identifier(),
            &asn1::bit_string(&signature),
        ]);
        // Reading back what was written keeps builder and parser honest with each other.
        Ok(Certificate::from_der(&der)?)
    }

    fn to_be_signed(&self) -> Result<Vec<u8>, IssueError> {
        let not_before = asn1::time(self.validity.not_before()).ok_or(IssueError::Validity)?;
        let not_after = asn1::time(self.validity.not_after()).ok_or(IssueError::Validity)?;
        Ok(asn1::sequence(&[
            &[0xa0, 3, 2, 1, 2],
            &asn1::unsigned(self.serial.as_bytes()),
            &SignatureAlgorithm::es256_identifier(),
            &self.issuer,
            &asn1::sequence(&[&not_before, &not_after]),
            &self.subject,
            self.spki,
            &asn1::tlv(0xa3, &self.extensions()),
        ]))
    }

    fn extensions(&self) -> Vec<u8> {
        let mut list = vec![
            critical(Oid::BASIC_CONSTRAINTS, &basic_constraints(self.constraints)),
            critical(Oid::KEY_USAGE, &key_usage(self.usage)),
        ];
        if !self.purposes.is_empty() {
            let purposes: Vec<u8> = self.purposes.iter().flat_map(|purpose| asn1::oid(*purpose)).collect();
            list.push(extension(Oid::EXTENDED_KEY_USAGE, &asn1::tlv(asn1::TAG_SEQUENCE, &purposes)));
        }
        let mut names: Vec<u8> =
            self.dns_names.iter().flat_map(|name| asn1::tlv(0x82, name.as_bytes())).collect();
        names.extend(self.uris.iter().flat_map(|uri| asn1::tlv(0x86, uri.as_bytes())));
        if !names.is_empty() {
            list.push(extension(Oid::SUBJECT_ALT_NAME, &asn1::tlv(asn1::TAG_SEQUENCE, &names)));
        }
        let subject_key_id = asn1::tlv(asn1::TAG_OCTET_STRING, &key_id(self.spki));
        list.push(extension(Oid::SUBJECT_KEY_ID, &subject_key_id));
        let authority_key_id = asn1::sequence(&[&asn1::tlv(0x80, &self.authority_key_id)]);
        list.push(extension(Oid::AUTHORITY_KEY_ID, &authority_key_id));
        asn1::tlv(asn1::TAG_SEQUENCE, &list.concat())
    }
}

/// First 160 bits of SHA-256 over the public key: RFC 7093, 2, method 4 (over the whole SPKI).
pub(crate) fn key_id(spki: &[u8]) -> Vec<u8> {
    sha256(spki).iter().take(20).copied().collect()
}

/// A Name of one commonName.
pub(crate) fn common_name(text: &str) -> Vec<u8> {
    let value = asn1::tlv(asn1::TAG_UTF8_STRING, text.as_bytes());
    let attribute = asn1::sequence(&[&asn1::oid(Oid::COMMON_NAME), &value]);
    asn1::sequence(&[&asn1::tlv(asn1::TAG_SET, &attribute)])
}

fn extension(oid: Oid, content: &[u8]) -> Vec<u8> {
    asn1::sequence(&[&asn1::oid(oid), &asn1::tlv(asn1::TAG_OCTET_STRING, content)])
}

fn critical(oid: Oid, content: &[u8]) -> Vec<u8> {
    let flag = asn1::tlv(asn1::TAG_BOOLEAN, &[0xff]);
    asn1::sequence(&[&asn1::oid(oid), &flag, &asn1::tlv(asn1::TAG_OCTET_STRING, content)])
}

fn basic_constraints(constraints: BasicConstraints) -> Vec<u8> {
    let mut content = Vec::new();
    if constraints.ca {
        content.extend(asn1::tlv(asn1::TAG_BOOLEAN, &[0xff]));
    }
    if let Some(length) = constraints.path_length {
        content.extend(asn1::unsigned(&[length]));
    }
    asn1::tlv(asn1::TAG_SEQUENCE, &content)
}

/// All usages that we write fit the first byte of the named bit list.
fn key_usage(usage: KeyUsage) -> Vec<u8> {
    let byte = (usage.bits() as u8).reverse_bits();
    asn1::tlv(asn1::TAG_BIT_STRING, &[byte.trailing_zeros() as u8, byte])
}
