//! PKCS#10 requests (RFC 2986): proof that the asker holds the key, and nothing else. Names and extensions that
//! a request asks for are not even kept: the profile sets them.

use alloc::vec::Vec;

use der::{AnyRef, Decode, Reader, Tag, TagNumber};

use crate::{
    asn1::{self, malformed},
    build::common_name,
    sha256,
    signature::{PublicKey, PublicKeyError, SignatureAlgorithm, SigningError, SigningKey},
};

/// Larger requests are refused before they are parsed.
pub const MAX_REQUEST: usize = 4096;

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// More than 4 KiB.
    #[error("request is too large")]
    TooLarge,
    /// Not a PKCS#10 request in strict DER.
    #[error("request is not well-formed DER")]
    Der,
    /// The key is not one that we certify.
    #[error("request's key is not a P-256 key")]
    Key(#[from] PublicKeyError),
    /// Not signed by its own key with ES256.
    #[error("request is not signed by its own key")]
    Signature,
}

/// A request whose signature was verified under its own key. Made only by [`Csr::from_der`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr {
    der: Vec<u8>,
    spki: Vec<u8>,
}

impl Csr {
    /// Parses a request and verifies that it is signed by the key that it is for.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_REQUEST {
            return Err(CsrError::TooLarge);
        }
        let (info, algorithm, signature) = asn1::whole(der, |reader| {
            reader.sequence(|outer| {
                let info = outer.tlv_bytes()?;
                let algorithm = SignatureAlgorithm::read(outer)?;
                Ok::<_, der::Error>((info, algorithm, asn1::read_bit_string(outer)?))
            })
        })
        .map_err(|_| CsrError::Der)?;
        let spki = asn1::whole(info, |reader| reader.sequence(read_info)).map_err(|_| CsrError::Der)?;
        let key = PublicKey::from_spki(spki)?;
        if !matches!(key, PublicKey::P256(_)) {
            return Err(CsrError::Key(PublicKeyError::Algorithm));
        }
        if algorithm != Some(SignatureAlgorithm::EcdsaSha256) {
            return Err(CsrError::Signature);
        }
        key.verify(SignatureAlgorithm::EcdsaSha256, info, signature).map_err(|_| CsrError::Signature)?;
        Ok(Self { der: der.to_vec(), spki: spki.to_vec() })
    }

    /// The bytes as received.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the request: statement field 5.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// DER of the key's SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of [`Csr::spki`]: statement field 14.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.spki)
    }
}

/// Makes a request for `key`: no attributes; the common name is a hint for people who read it.
pub fn build(key: &dyn SigningKey, hint: &str) -> Result<Vec<u8>, SigningError> {
    let info =
        asn1::sequence(&[&[2, 1, 0], &common_name(hint), key.public_key_spki(), &asn1::tlv(0xa0, &[])]);
    let signature = key.sign_sha256(&info)?;
    Ok(asn1::sequence(&[&info, &SignatureAlgorithm::es256_identifier(), &asn1::bit_string(&signature)]))
}

/// CertificationRequestInfo: version 0, subject, key, attributes [0].
fn read_info<'a>(info: &mut der::SliceReader<'a>) -> der::Result<&'a [u8]> {
    if asn1::value(info, Tag::Integer)? != [0] {
        return Err(malformed(Tag::Integer));
    }
    asn1::value(info, Tag::Sequence)?;
    Tag::peek(info)?.assert_eq(Tag::Sequence)?;
    let spki = info.tlv_bytes()?;
    let attributes = AnyRef::decode(info)?;
    attributes.header().tag().assert_eq(Tag::ContextSpecific { constructed: true, number: TagNumber(0) })?;
    Ok(spki)
}
