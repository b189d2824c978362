//! The project's certificates, one type per profile: what a certificate says follows from its profile and
//! from what the issuer decided, never from the request.

use alloc::vec;

use names::{SpiffeId, TrustDomain};

use crate::{
    certificate::Certificate,
    issue::{IssueError, Issuer, Leaf, Serial, Validity},
    oid::Oid,
    signature::SigningKey,
};

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
    /// Signs an attestation key's certificate. The key may be RSA: not every TPM has P-256.
    pub fn issue(
        &self,
        issuer: &Issuer<'_>,
        spki: &[u8],
        validity: Validity,
        serial: Serial,
    ) -> Result<Certificate, IssueError> {
        let purposes = vec![Oid::TCG_AIK_CERTIFICATE, self.purpose.oid()];
        let leaf = Leaf::end_entity(self.purpose.as_str(), purposes, &[], Some(self.node))?.or_rsa();
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
