//! The project's certificates, one type per profile: what a certificate says follows from its profile and
//! from what the issuer decided, never from the request.

use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};

use names::{SpiffeId, TrustDomain};

use crate::{
    build::{Template, common_name, key_id},
    certificate::{BasicConstraints, Certificate, CertificateError, KeyUsage},
    oid::Oid,
    signature::{PublicKey, PublicKeyError, SigningError, SigningKey},
};

/// Certificates start this long before the moment of issue: clocks differ.
pub const BACKDATE: u64 = 60;
const DAY: u64 = 24 * 3600;
/// The root's life.
pub const ROOT_LIFE: u64 = 3650 * DAY;
/// An issuing key signs for 24 hours; its certificate lives as long as the longest leaf on top of that,
/// because a leaf must not outlive its issuer.
pub const ISSUING_LIFE: u64 = 8 * DAY;
/// How long an issuing key signs.
pub const ISSUING_KEY_LIFE: u64 = DAY;
/// Longest life of a facade's certificate.
pub const FACADE_LIFE: u64 = DAY;
/// Longest life of an attestation key's certificate.
pub const ATTESTATION_KEY_LIFE: u64 = 7 * DAY;
/// Longest life of a part's certificate.
pub const PART_LIFE: u64 = 7 * DAY;
/// Longest life of a person's self-signed certificate.
pub const USER_LIFE: u64 = 3650 * DAY;
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
    /// The subject's key is not one that we certify: all our keys are P-256.
    #[error("subject key is not a P-256 key")]
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

    fn checked(self, longest: u64) -> Result<Self, IssueError> {
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

    fn issue(
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

/// What differs between profiles.
struct Leaf {
    subject: Vec<u8>,
    constraints: BasicConstraints,
    usage: KeyUsage,
    purposes: Vec<Oid>,
    dns_names: Vec<String>,
    uris: Vec<String>,
}

impl Leaf {
    fn end_entity(
        subject: &str,
        purposes: Vec<Oid>,
        dns_names: &[&str],
        id: Option<&SpiffeId>,
    ) -> Result<Self, IssueError> {
        if dns_names.len() > MAX_DNS_NAMES {
            return Err(IssueError::Name);
        }
        Ok(Self {
            subject: subject_name(subject)?,
            constraints: BasicConstraints { ca: false, path_length: None },
            usage: KeyUsage::DIGITAL_SIGNATURE,
            purposes,
            dns_names: dns_names.iter().map(|name| dns_name(name)).collect::<Result<_, _>>()?,
            uris: id.into_iter().map(SpiffeId::to_string).collect(),
        })
    }

    fn authority(subject: &str, path_length: u8) -> Result<Self, IssueError> {
        Ok(Self {
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
        match PublicKey::from_spki(spki)? {
            PublicKey::P256(_) => {}
            PublicKey::P384(_) | PublicKey::Rsa(_) => {
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

    fn self_signed(
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

/// The root authority: self-signed, its key in the TPM, at most ten years, one authority below it.
pub struct Root<'a> {
    /// Common name of the subject.
    pub common_name: &'a str,
}

impl Root<'_> {
    /// Signs the root with its own key.
    pub fn issue(
        &self,
        key: &dyn SigningKey,
        validity: Validity,
        serial: Serial,
    ) -> Result<Certificate, IssueError> {
        let validity = validity.checked(ROOT_LIFE)?;
        Leaf::authority(self.common_name, 1)?.self_signed(key, validity, serial)
    }
}

/// The issuing authority: a key in memory, certified by the root, no authority below it.
pub struct Issuing<'a> {
    /// Common name of the subject.
    pub common_name: &'a str,
}

impl Issuing<'_> {
    /// Signs the issuing authority's certificate with the root.
    pub fn issue(
        &self,
        root: &Issuer<'_>,
        spki: &[u8],
        validity: Validity,
        serial: Serial,
    ) -> Result<Certificate, IssueError> {
        root.issue(spki, validity.checked(ISSUING_LIFE)?, serial, Leaf::authority(self.common_name, 0)?)
    }
}

/// A facade: the TLS key of one enclave, one exact name, at most a day.
pub struct Facade<'a> {
    /// The one DNS name.
    pub dns_name: &'a str,
    /// SPIFFE id of the enclave.
    pub enclave: &'a SpiffeId,
}

impl Facade<'_> {
    /// Signs a facade's certificate.
    pub fn issue(
        &self,
        issuer: &Issuer<'_>,
        spki: &[u8],
        validity: Validity,
        serial: Serial,
    ) -> Result<Certificate, IssueError> {
        let leaf = Leaf::end_entity("enclave", vec![Oid::SERVER_AUTH], &[self.dns_name], Some(self.enclave))?;
        issuer.issue(spki, validity.checked(FACADE_LIFE)?, serial, leaf)
    }
}

/// What an attestation key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPurpose {
    /// Signs only tree heads that the agent itself built.
    Enclave,
    /// Answers Keylime verifiers.
    Keylime,
}

impl KeyPurpose {
    /// The purpose's object identifier in the certificate.
    pub const fn oid(self) -> Oid {
        match self {
            Self::Enclave => Oid::AK_ENCLAVE,
            Self::Keylime => Oid::AK_KEYLIME,
        }
    }

    /// The purpose's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enclave => "ak-enclave",
            Self::Keylime => "ak-keylime",
        }
    }

    /// The purpose of a name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Enclave, Self::Keylime].into_iter().find(|purpose| purpose.as_str() == name)
    }
}

/// An attestation key that was activated against an endorsement key, at most seven days.
pub struct AttestationKey<'a> {
    /// SPIFFE id of the node.
    pub node: &'a SpiffeId,
    /// What the key is for.
    pub purpose: KeyPurpose,
}

impl AttestationKey<'_> {
    /// Signs an attestation key's certificate.
    pub fn issue(
        &self,
        issuer: &Issuer<'_>,
        spki: &[u8],
        validity: Validity,
        serial: Serial,
    ) -> Result<Certificate, IssueError> {
        let purposes = vec![Oid::TCG_AIK_CERTIFICATE, self.purpose.oid()];
        let leaf = Leaf::end_entity(self.purpose.as_str(), purposes, &[], Some(self.node))?;
        issuer.issue(spki, validity.checked(ATTESTATION_KEY_LIFE)?, serial, leaf)
    }
}

/// The object identifier of a part of the control plane, as it stands in the part's certificate.
pub const fn part_oid(part: names::Part) -> Oid {
    match part {
        names::Part::Verifier => Oid::PART_VERIFIER,
        names::Part::Gateway => Oid::PART_GATEWAY,
        names::Part::Signer => Oid::PART_SIGNER,
        names::Part::Edge => Oid::PART_EDGE,
        names::Part::Controller => Oid::PART_CONTROLLER,
    }
}

/// A part of the control plane: server and client, at most seven days.
pub struct Part<'a> {
    /// Which part.
    pub part: names::Part,
    /// The trust domain that it belongs to.
    pub trust_domain: &'a TrustDomain,
    /// Its DNS names, if any.
    pub dns_names: &'a [&'a str],
}

impl Part<'_> {
    /// Signs a part's certificate.
    pub fn issue(
        &self,
        issuer: &Issuer<'_>,
        spki: &[u8],
        validity: Validity,
        serial: Serial,
    ) -> Result<Certificate, IssueError> {
        let purposes = vec![Oid::SERVER_AUTH, Oid::CLIENT_AUTH, part_oid(self.part)];
        let id = self.trust_domain.part(self.part);
        let leaf = Leaf::end_entity(self.part.as_str(), purposes, self.dns_names, Some(&id))?;
        issuer.issue(spki, validity.checked(PART_LIFE)?, serial, leaf)
    }
}

/// A person's own certificate: self-signed by the client; nobody vouches for it, only its key matters.
pub struct User<'a> {
    /// Common name of the subject: a hint for people.
    pub common_name: &'a str,
}

impl User<'_> {
    /// Signs the certificate with the person's own key.
    pub fn issue(
        &self,
        key: &dyn SigningKey,
        validity: Validity,
        serial: Serial,
    ) -> Result<Certificate, IssueError> {
        let validity = validity.checked(USER_LIFE)?;
        Leaf::end_entity(self.common_name, vec![Oid::CLIENT_AUTH], &[], None)?
            .self_signed(key, validity, serial)
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
