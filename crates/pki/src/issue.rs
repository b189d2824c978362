//! Issuing: who signs, for how long, under which number. What is signed is for the profiles to say.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use names::SpiffeId;

use crate::{
    build::{Template, common_name, key_id},
    certificate::{Certificate, CertificateError},
    extensions::{BasicConstraints, KeyUsage},
    oid::Oid,
    signature::{PublicKey, PublicKeyError, SigningError, SigningKey},
};

/// Certificates start this long before the moment of issue: clocks differ.
pub const BACKDATE: u64 = 60;
/// At most this many DNS names in a part's certificate.
const MAX_DNS_NAMES: usize = 16;
/// Longest DNS name.
const MAX_NAME: usize = 253;
/// ub-common-name of RFC 5280, appendix A.1.
const MAX_COMMON_NAME: usize = 64;

/// Why a certificate was not issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// A name is empty, too long or not plain.
    #[error("name does not fit the profile")]
    Name,
    /// The validity is empty, too long for the profile or outside of what X.509 can say.
    #[error("validity does not fit the profile")]
    Validity,
    /// The certificate would live longer than its issuer's.
    #[error("certificate would outlive its issuer")]
    OutlivesIssuer,
    /// The issuer's certificate does not belong to the issuer's key.
    #[error("issuer certificate does not belong to the key")]
    IssuerKey,
    /// The issuer's certificate is not one of an authority.
    #[error("issuer certificate is not an authority's")]
    NotAnAuthority,
    /// The subject's key is not one that the profile certifies: all our keys are P-256, and a TPM's may be RSA.
    #[error("subject key is not one that the profile certifies")]
    SubjectKey(#[from] PublicKeyError),
    /// The issuer's key did not sign.
    #[error("issuer key did not sign")]
    Signing(#[from] SigningError),
    /// What was built does not read back: a defect of this crate.
    #[error("built certificate does not read back")]
    ReadBack(#[from] CertificateError),
}

/// A serial number from 16 random bytes of the caller; always positive, always 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serial([u8; 16]);

impl Serial {
    /// The first two bits become 01, so that the number is positive and its length does not vary.
    pub fn from_random(mut random: [u8; 16]) -> Self {
        let [first, ..] = &mut random;
        *first = (*first & 0x3f) | 0x40;
        Self(random)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// From when to when, unix seconds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    not_before: u64,
    not_after: u64,
}

impl Validity {
    /// From a minute before `now` until `seconds` after it.
    pub fn starting(now: u64, seconds: u64) -> Self {
        Self { not_before: now.saturating_sub(BACKDATE), not_after: now.saturating_add(seconds) }
    }

    /// First valid second.
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Last valid second.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    pub(crate) fn checked(self, longest: u64) -> Result<Self, IssueError> {
        let life = self.not_after.checked_sub(self.not_before).ok_or(IssueError::Validity)?;
        if life == 0 || life > longest.saturating_add(BACKDATE) {
            Err(IssueError::Validity)
        } else {
            Ok(self)
        }
    }
}

/// A key together with the certificate that makes it an authority.
pub struct Issuer<'a> {
    certificate: &'a Certificate,
    key: &'a dyn SigningKey,
}

impl<'a> Issuer<'a> {
    /// Refuses a certificate of another key or of something that is no authority.
    pub fn new(certificate: &'a Certificate, key: &'a dyn SigningKey) -> Result<Self, IssueError> {
        if certificate.spki() != key.public_key_spki() {
            return Err(IssueError::IssuerKey);
        }
        let signs = certificate.key_usage().is_some_and(|usage| usage.contains(KeyUsage::KEY_CERT_SIGN));
        if !signs || !certificate.basic_constraints().is_some_and(|constraints| constraints.ca) {
            return Err(IssueError::NotAnAuthority);
        }
        Ok(Self { certificate, key })
    }

    /// The issuer's certificate.
    pub fn certificate(&self) -> &Certificate {
        self.certificate
    }

    pub(crate) fn issue(
        &self,
        spki: &[u8],
        validity: Validity,
        serial: Serial,
        leaf: Leaf,
    ) -> Result<Certificate, IssueError> {
        if validity.not_after > self.certificate.not_after() {
            return Err(IssueError::OutlivesIssuer);
        }
        let authority = self.certificate.subject_key_id().ok_or(IssueError::NotAnAuthority)?;
        leaf.template(self.certificate.subject().to_vec(), authority.to_vec(), spki, validity, serial)?
            .sign(self.key)
    }
}

/// Which keys a profile certifies.
#[derive(Clone, Copy)]
enum SubjectKeys {
    P256,
    /// Attestation keys of TPMs without P-256.
    P256OrRsa,
}

/// What differs between profiles.
pub(crate) struct Leaf {
    keys: SubjectKeys,
    subject: Vec<u8>,
    constraints: BasicConstraints,
    usage: KeyUsage,
    purposes: Vec<Oid>,
    dns_names: Vec<String>,
    uris: Vec<String>,
}

impl Leaf {
    pub(crate) fn end_entity(
        subject: &str,
        purposes: Vec<Oid>,
        dns_names: &[&str],
        id: Option<&SpiffeId>,
    ) -> Result<Self, IssueError> {
        if dns_names.len() > MAX_DNS_NAMES {
            return Err(IssueError::Name);
        }
        Ok(Self {
            keys: SubjectKeys::P256,
            subject: subject_name(subject)?,
            constraints: BasicConstraints { ca: false, path_length: None },
            usage: KeyUsage::DIGITAL_SIGNATURE,
            purposes,
            dns_names: dns_names.iter().map(|name| dns_name(name)).collect::<Result<_, _>>()?,
            uris: id.into_iter().map(SpiffeId::to_string).collect(),
        })
    }

    /// Lets the subject's key be RSA.
    pub(crate) fn or_rsa(self) -> Self {
        Self { keys: SubjectKeys::P256OrRsa, ..self }
    }

    pub(crate) fn authority(subject: &str, path_length: u8) -> Result<Self, IssueError> {
        Ok(Self {
            keys: SubjectKeys::P256,
            subject: subject_name(subject)?,
            constraints: BasicConstraints { ca: true, path_length: Some(path_length) },
            usage: KeyUsage::KEY_CERT_SIGN.with(KeyUsage::CRL_SIGN),
            purposes: Vec::new(),
            dns_names: Vec::new(),
            uris: Vec::new(),
        })
    }

    fn template<'k>(
        self,
        issuer: Vec<u8>,
        authority_key_id: Vec<u8>,
        spki: &'k [u8],
        validity: Validity,
        serial: Serial,
    ) -> Result<Template<'k>, IssueError> {
        match (PublicKey::from_spki(spki)?, self.keys) {
            (PublicKey::P256(_), _) | (PublicKey::Rsa(_), SubjectKeys::P256OrRsa) => {}
            (PublicKey::Rsa(_), SubjectKeys::P256) | (PublicKey::P384(_), _) => {
                return Err(IssueError::SubjectKey(PublicKeyError::Algorithm));
            }
        }
        Ok(Template {
            serial,
            issuer,
            authority_key_id,
            subject: self.subject,
            validity,
            spki,
            constraints: self.constraints,
            usage: self.usage,
            purposes: self.purposes,
            dns_names: self.dns_names,
            uris: self.uris,
        })
    }

    pub(crate) fn self_signed(
        self,
        key: &dyn SigningKey,
        validity: Validity,
        serial: Serial,
    ) -> Result<Certificate, IssueError> {
        let spki = key.public_key_spki();
        let issuer = self.subject.clone();
        self.template(issuer, key_id(spki), spki, validity, serial)?.sign(key)
    }
}

fn subject_name(text: &str) -> Result<Vec<u8>, IssueError> {
    let plain =
        !text.is_empty() && text.chars().count() <= MAX_COMMON_NAME && !text.chars().any(char::is_control);
    if plain { Ok(common_name(text)) } else { Err(IssueError::Name) }
}

/// A lower-case host name of at least one label; no wildcard, no trailing dot, no address.
fn dns_name(text: &str) -> Result<String, IssueError> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    let fits = text.len() <= MAX_NAME && text.split('.').all(label) && !numeric;
    if fits { Ok(text.to_string()) } else { Err(IssueError::Name) }
}
