//! A certificate as a value: parsed once, strictly; the bytes as received are kept.

use alloc::{string::String, vec::Vec};

use der::{Decode, Reader, SliceReader, Tag, asn1::UintRef};

use crate::{
    asn1::{self, malformed},
    extensions::{BasicConstraints, Extensions, KeyUsage, read_extensions},
    oid::Oid,
    pem, sha256,
    signature::{PublicKey, PublicKeyError, SignatureAlgorithm, SignatureError},
};

/// Larger certificates are refused before they are parsed.
pub(crate) const MAX_CERTIFICATE: usize = 16 * 1024;

/// Why bytes are not a certificate that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// More than 16 KiB.
    #[error("certificate is too large")]
    TooLarge,
    /// Not PEM, or not exactly one certificate in it.
    #[error("not one certificate in PEM")]
    Pem,
    /// Not an X.509 v3 certificate in strict DER.
    #[error("certificate is not well-formed DER")]
    Der,
    /// The two algorithm fields differ (RFC 5280, 4.1.1.2).
    #[error("the two signature algorithm fields differ")]
    AlgorithmMismatch,
    /// Signed with an algorithm that we don't verify.
    #[error("signature algorithm is not supported")]
    Algorithm,
    /// The serial number is zero, negative or longer than 20 bytes.
    #[error("serial number is out of bounds")]
    Serial,
    /// The same extension twice (RFC 5280, 4.2).
    #[error("an extension appears twice")]
    DuplicateExtension,
    /// Too many extensions or names.
    #[error("too many extensions or names")]
    TooMany,
}

/// An X.509 v3 certificate, parsed strictly. Made only by [`Certificate::from_der`] and its relatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    to_be_signed: Vec<u8>,
    serial: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    not_before: u64,
    not_after: u64,
    spki: Vec<u8>,
    spki_sha256: [u8; 32],
    algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
    extensions: Extensions,
}

impl Certificate {
    /// Parses one certificate; trailing bytes, BER forms and unknown versions are refused.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertificateError::TooLarge);
        }
        let mut fault = CertificateError::Der;
        asn1::whole(der, |reader| {
            reader.sequence(|outer| {
                let to_be_signed = outer.tlv_bytes()?;
                let algorithm_start = outer.tlv_bytes()?;
                let signature = asn1::read_bit_string(outer)?.to_vec();
                read_to_be_signed(der, to_be_signed, algorithm_start, signature, &mut fault)
            })
        })
        .map_err(|_| fault)
    }

    /// Parses text that holds exactly one certificate in PEM.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let blocks = pem::certificates(text).ok_or(CertificateError::Pem)?;
        match blocks.as_slice() {
            [der] => Self::from_der(der),
            _ => Err(CertificateError::Pem),
        }
    }

    /// Parses every certificate in `text`, in order; at least one.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, CertificateError> {
        let blocks = pem::certificates(text).ok_or(CertificateError::Pem)?;
        if blocks.is_empty() {
            return Err(CertificateError::Pem);
        }
        blocks.iter().map(|der| Self::from_der(der)).collect()
    }

    /// The bytes as received.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// PEM of the same bytes.
    pub fn to_pem(&self) -> String {
        pem::encode(&self.der)
    }

    /// SHA-256 of the DER: statement field 15, and the thumbprint of `x5t#S256`.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// Serial number, big-endian without leading zeros.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// DER of the issuer's name.
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// DER of the subject's name.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// First valid second, unix time.
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Last valid second, unix time.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// DER of the SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of [`Certificate::spki`].
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.spki_sha256
    }

    /// The subject's key.
    pub fn public_key(&self) -> Result<PublicKey, PublicKeyError> {
        PublicKey::from_spki(&self.spki)
    }

    /// Subject alternative names of type dNSName.
    pub fn dns_names(&self) -> &[String] {
        &self.extensions.dns_names
    }

    /// Subject alternative names of type uniformResourceIdentifier.
    pub fn uris(&self) -> &[String] {
        &self.extensions.uris
    }

    /// Subject alternative names of type directoryName, as DER of the Name.
    pub fn directory_names(&self) -> &[Vec<u8>] {
        &self.extensions.directory_names
    }

    /// Number of subject alternative names of other types than the three above.
    pub fn other_names(&self) -> usize {
        self.extensions.other_names
    }

    /// Whether the certificate names `purpose` in its extended key usage.
    pub fn has_purpose(&self, purpose: Oid) -> bool {
        self.extensions.extended_key_usages.iter().any(|oid| oid == purpose.as_bytes())
    }

    /// The key usage extension, if there is one.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.extensions.key_usage
    }

    /// The basic constraints extension, if there is one.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.extensions.basic_constraints
    }

    /// The subject key identifier, if there is one.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.extensions.subject_key_id.as_deref()
    }

    /// The key identifier of the issuer, if there is one.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.extensions.authority_key_id.as_deref()
    }

    /// Critical extensions that this crate does not process, as DER content bytes of their identifiers.
    pub fn unknown_critical(&self) -> &[Vec<u8>] {
        &self.extensions.unknown_critical
    }

    /// Whether this certificate says that it was issued by `issuer`: the names are the same byte for byte, and so are
    /// the key identifiers where both are there (several authorities may share a name). The signature is another
    /// question.
    pub fn names_issuer(&self, issuer: &Certificate) -> bool {
        let same_key = match (self.authority_key_id(), issuer.subject_key_id()) {
            (Some(wanted), Some(found)) => wanted == found,
            (None, _) | (_, None) => true,
        };
        self.issuer == issuer.subject && same_key
    }

    /// Whether `issuer_key` signed this certificate.
    pub fn verify_signature(&self, issuer_key: &PublicKey) -> Result<(), SignatureError> {
        issuer_key.verify(self.algorithm, &self.to_be_signed, &self.signature)
    }
}

/// TBSCertificate of RFC 5280, 4.1.
fn read_to_be_signed(
    der: &[u8],
    to_be_signed: &[u8],
    outer_algorithm: &[u8],
    signature: Vec<u8>,
    fault: &mut CertificateError,
) -> der::Result<Certificate> {
    asn1::whole(to_be_signed, |reader| {
        reader.sequence(|tbs| {
            let version = tbs.tlv_bytes()?;
            // [0] EXPLICIT INTEGER 2: version 3.
            if version != [0xa0, 3, 2, 1, 2] {
                return Err(malformed(Tag::Integer));
            }
            let serial = read_serial(tbs, fault)?;
            let inner_algorithm = tbs.tlv_bytes()?;
            if inner_algorithm != outer_algorithm {
                *fault = CertificateError::AlgorithmMismatch;
                return Err(malformed(Tag::Sequence));
            }
            let algorithm = asn1::whole(inner_algorithm, SignatureAlgorithm::read)?.ok_or_else(|| {
                *fault = CertificateError::Algorithm;
                malformed(Tag::Sequence)
            })?;
            let issuer = read_name(tbs)?;
            let (not_before, not_after) = tbs.sequence(|validity| {
                Ok::<_, der::Error>((asn1::read_time(validity)?, asn1::read_time(validity)?))
            })?;
            let subject = read_name(tbs)?;
            let spki = tbs.tlv_bytes()?.to_vec();
            Tag::peek(&SliceReader::new(&spki)?)?.assert_eq(Tag::Sequence)?;
            // Unique identifiers ([1], [2]) are not accepted: nothing of this century has them.
            let extensions =
                if tbs.is_finished() { Extensions::default() } else { read_extensions(tbs, fault)? };
            Ok(Certificate {
                der: der.to_vec(),
                to_be_signed: to_be_signed.to_vec(),
                serial,
                issuer,
                subject,
                not_before,
                not_after,
                spki_sha256: sha256(&spki),
                spki,
                algorithm,
                signature,
                extensions,
            })
        })
    })
}

/// RFC 5280, 4.1.2.2: positive, at most 20 bytes.
fn read_serial(tbs: &mut SliceReader<'_>, fault: &mut CertificateError) -> der::Result<Vec<u8>> {
    let number = UintRef::decode(tbs).inspect_err(|_| *fault = CertificateError::Serial)?;
    let bytes = number.as_bytes();
    if bytes.len() > 20 || bytes.iter().all(|byte| *byte == 0) {
        *fault = CertificateError::Serial;
        return Err(malformed(Tag::Integer));
    }
    Ok(bytes.to_vec())
}

pub(crate) fn read_name(reader: &mut SliceReader<'_>) -> der::Result<Vec<u8>> {
    Tag::peek(reader)?.assert_eq(Tag::Sequence)?;
    Ok(reader.tlv_bytes()?.to_vec())
}
