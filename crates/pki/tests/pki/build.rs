//! A careless certificate builder: what the crate's own profiles can't say, these tests can.

use pki::{SigningKey, SoftwareKey};

use crate::{NOW, key};

pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let mut out = vec![tag];
    match value.len() {
        length @ 0..0x80 => out.push(length as u8),
        length @ 0x80..0x100 => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(value);
    out
}

pub(crate) const BASIC: &[u8] = &[0x55, 0x1d, 19];
pub(crate) const USAGE: &[u8] = &[0x55, 0x1d, 15];
pub(crate) const PURPOSES: &[u8] = &[0x55, 0x1d, 37];
pub(crate) const NAMES: &[u8] = &[0x55, 0x1d, 17];
/// id-ce-nameConstraints, which the crate does not process.
pub(crate) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const ES256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

pub(crate) fn extension(oid: &[u8], critical: bool, content: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(0x30, &[&tlv(6, &[oid]), flag, &tlv(4, &[content])])
}

pub(crate) fn ca(path_length: Option<u8>) -> Vec<u8> {
    let length = path_length.map(|length| vec![2, 1, length]).unwrap_or_default();
    extension(BASIC, true, &tlv(0x30, &[&[1, 1, 0xff], &length]))
}

pub(crate) fn cert_sign() -> Vec<u8> {
    extension(USAGE, true, &[3, 2, 2, 4])
}

pub(crate) fn digital_signature() -> Vec<u8> {
    extension(USAGE, true, &[3, 2, 7, 0x80])
}

pub(crate) fn server_auth() -> Vec<u8> {
    extension(PURPOSES, false, &tlv(0x30, &[&tlv(6, &[SERVER_AUTH])]))
}

fn name(text: &str) -> Vec<u8> {
    let attribute = tlv(0x30, &[&[6, 3, 0x55, 4, 3], &tlv(0x0c, &[text.as_bytes()])]);
    tlv(0x30, &[&tlv(0x31, &[&attribute])])
}

/// Everything that a test may want to be wrong.
pub(crate) struct Draft {
    pub(crate) subject: &'static str,
    pub(crate) issuer: &'static str,
    pub(crate) key: u8,
    pub(crate) issuer_key: u8,
    pub(crate) version: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) inner_algorithm: Vec<u8>,
    pub(crate) not_before: &'static [u8],
    pub(crate) not_after: &'static [u8],
    pub(crate) extensions: Vec<Vec<u8>>,
}

/// NOW is 2026-11-18: these two surround it.
pub(crate) const BEFORE: &[u8] = b"260101000000Z";
pub(crate) const AFTER: &[u8] = b"270101000000Z";

impl Draft {
    pub(crate) fn new(subject: &'static str, key: u8, issuer: &'static str, issuer_key: u8) -> Self {
        assert!((1_767_225_600..1_798_761_600).contains(&NOW));
        Self {
            subject,
            issuer,
            key,
            issuer_key,
            version: vec![0xa0, 3, 2, 1, 2],
            serial: vec![2, 1, 1],
            inner_algorithm: ES256.to_vec(),
            not_before: BEFORE,
            not_after: AFTER,
            extensions: Vec::new(),
        }
    }

    pub(crate) fn authority(subject: &'static str, key: u8, issuer: &'static str, issuer_key: u8) -> Self {
        Self { extensions: vec![ca(None), cert_sign()], ..Self::new(subject, key, issuer, issuer_key) }
    }

    pub(crate) fn leaf(issuer: &'static str, issuer_key: u8) -> Self {
        let extensions = vec![digital_signature(), server_auth()];
        Self { extensions, ..Self::new("leaf", 30, issuer, issuer_key) }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        let (subject_key, issuer_key): (SoftwareKey, SoftwareKey) = (key(self.key), key(self.issuer_key));
        let extensions = match self.extensions.as_slice() {
            [] => Vec::new(),
            list => tlv(0xa3, &[&tlv(0x30, &[&list.concat()])]),
        };
        let validity = tlv(0x30, &[&tlv(0x17, &[self.not_before]), &tlv(0x17, &[self.not_after])]);
        let to_be_signed = tlv(
            0x30,
            &[
                &self.version,
                &self.serial,
                &self.inner_algorithm,
                &name(self.issuer),
                &validity,
                &name(self.subject),
                subject_key.public_key_spki(),
                &extensions,
            ],
        );
        let signature = issuer_key.sign_sha256(&to_be_signed).unwrap();
        tlv(0x30, &[&to_be_signed, ES256, &tlv(3, &[&[0], &signature])])
    }
}
