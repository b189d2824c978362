//! PEM (RFC 7468), because trust stores and people's files come that way: certificates are read, certificates and public keys written.

use alloc::{string::String, vec::Vec};

use base64ct::{Base64, Encoding};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The DER of every certificate in `text`, in order. `None` when a block isn't well formed.
pub(crate) fn certificates(text: &str) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (body, tail) = after.split_once(END)?;
        let joined: String = body.split_ascii_whitespace().collect();
        found.push(Base64::decode_vec(&joined).ok()?);
        rest = tail;
    }
    Some(found)
}

/// One certificate as PEM with lines of 64 characters.
pub(crate) fn encode(der: &[u8]) -> String {
    labelled(BEGIN, der, END)
}

/// A key (SubjectPublicKeyInfo, DER) as PEM.
#[must_use]
pub fn public_key_pem(spki: &[u8]) -> String {
    labelled("-----BEGIN PUBLIC KEY-----", spki, "-----END PUBLIC KEY-----")
}

fn labelled(begin: &str, der: &[u8], end: &str) -> String {
    let mut out = String::from(begin);
    for (index, character) in Base64::encode_string(der).chars().enumerate() {
        if index % 64 == 0 {
            out.push('\n');
        }
        out.push(character);
    }
    out.push('\n');
    out.push_str(end);
    out.push('\n');
    out
}
