//! Who is who in forged evidence: a CA, a node, a verifier, an enclave with its owner.

use evidence::{
    Anchor, Audience, Challenge, Channel, ChannelRule, EnclaveClaim, Expectation, NodeClaims, PcrValues,
    PolicyRef, Purpose, Roots, Statement, Submods, VERDICT_PROFILE, VerdictClaims,
};
use logs::enclave::{Event, Start};
use names::{Digest, EnclaveId, Level, Part, SpiffeId, TrustDomain, hex};
use pki::profile::{self, KeyPurpose};
use pki::{Certificate, Issuer, Serial, SigningKey, SoftwareKey, Validity};

use crate::{Draft, TpmKey};

/// The time in this world, unix seconds.
pub const NOW: u64 = 1_800_000_000;
pub(crate) const AGENT: Digest = Digest::from_bytes([0xa6; 32]);
pub(crate) const FACADE: Digest = Digest::from_bytes([0xfa; 32]);
pub(crate) const AGENT_PATH: &str = "/usr/bin/sealwright";
pub(crate) const FACADE_PATH: &str = "/usr/bin/sealwright-facade";
pub(crate) const OTHER: Digest = Digest::from_bytes([0x77; 32]);
pub(crate) const OTHER_PATH: &str = "/usr/bin/true";
const PCRS: [u8; 13] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14];

/// Everybody's keys and certificates.
pub struct World {
    /// The root.
    pub root: Certificate,
    /// The issuing authority.
    pub issuing: Certificate,
    issuing_key: SoftwareKey,
    /// The node's `ak-enclave`.
    pub ak: TpmKey,
    /// Its certificate.
    pub ak_certificate: Certificate,
    /// The verifier's certificate.
    pub verifier: Certificate,
    /// The verifier's key.
    pub verifier_key: SoftwareKey,
    /// The enclave's TLS key.
    pub facade_key: SoftwareKey,
    /// The enclave's certificate.
    pub facade_certificate: Certificate,
    /// The node.
    pub node: SpiffeId,
    /// The enclave.
    pub enclave: EnclaveClaim,
    /// The enclave's one DNS name.
    pub dns_name: String,
    pub(crate) trust_domain: TrustDomain,
}

fn key(seed: u8) -> SoftwareKey {
    SoftwareKey::from_bytes(&[seed; 32]).expect("a small number is a scalar")
}

fn serial(seed: u8) -> Serial {
    Serial::from_random([seed; 16])
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// The same world each time.
    #[must_use]
    pub fn new() -> Self {
        Self::made_of(1, TpmKey::attestation(5))
    }

    /// The same names below another root: what somebody else's CA can make, down to the names in its certificates.
    #[must_use]
    pub fn of_another_root() -> Self {
        Self::made_of(11, TpmKey::attestation(5))
    }

    /// A world whose node has this attestation key.
    #[must_use]
    pub fn with_attestation_key(ak: TpmKey) -> Self {
        Self::made_of(1, ak)
    }

    fn made_of(root_seed: u8, ak: TpmKey) -> Self {
        let (root_key, issuing_key, verifier_key, facade_key) = (key(root_seed), key(2), key(3), key(4));
        let trust_domain: TrustDomain = "sealwright.internal".parse().expect("it is a domain");
        let node = trust_domain.node("node-1").expect("it is a label");
        let root = profile::Root { common_name: "forged root" };
        let root = root.issue(&root_key, year(), serial(1)).expect("the root is issued");
        let issuing = {
            let issuer = Issuer::new(&root, &root_key).expect("the root is an authority");
            let profile = profile::Issuing { common_name: "forged issuing" };
            profile.issue(&issuer, issuing_key.public_key_spki(), week(), serial(2)).expect("it is issued")
        };
        let id = EnclaveId::from_bytes([0xe1; 16]);
        let enclave_id = trust_domain.enclave(&id);
        let dns_name = "notes-alice.enclaves.localhost".to_owned();
        let issuer = Issuer::new(&issuing, &issuing_key).expect("it is an authority");
        let ak_certificate = ak_certificate(&issuer, &ak, &node, KeyPurpose::Enclave);
        let verifier = profile::Part { part: Part::Verifier, trust_domain: &trust_domain, dns_names: &[] };
        let verifier = verifier.issue(&issuer, verifier_key.public_key_spki(), day(), serial(4));
        let verifier = verifier.expect("the verifier's certificate is issued");
        let facade = profile::Facade { dns_name: &dns_name, enclave: &enclave_id };
        let facade = facade.issue(&issuer, facade_key.public_key_spki(), day(), serial(5));
        let facade_certificate = facade.expect("the facade's certificate is issued");
        let enclave = EnclaveClaim {
            id,
            incarnation: 3,
            owner: Digest::from_bytes([0x01; 32]),
            version: Digest::from_bytes([0x02; 32]),
            instance: Digest::from_bytes([0x03; 32]),
            facade: FACADE,
            spki: Digest::of(facade_key.public_key_spki()),
        };
        Self {
            root,
            issuing,
            issuing_key,
            ak,
            ak_certificate,
            verifier,
            verifier_key,
            facade_key,
            facade_certificate,
            node,
            enclave,
            dns_name,
            trust_domain,
        }
    }

    /// The issuing authority as an issuer.
    #[must_use]
    pub fn issuer(&self) -> Issuer<'_> {
        Issuer::new(&self.issuing, &self.issuing_key).expect("it is an authority")
    }

    /// A certificate for an attestation key.
    #[must_use]
    pub fn certify(&self, ak: &TpmKey, node: &SpiffeId, purpose: KeyPurpose) -> Certificate {
        ak_certificate(&self.issuer(), ak, node, purpose)
    }

    /// A certificate for the facade's key with this name and enclave.
    #[must_use]
    pub fn certify_facade(&self, dns_name: &str, enclave: &EnclaveId) -> Certificate {
        let id = self.trust_domain.enclave(enclave);
        let profile = profile::Facade { dns_name, enclave: &id };
        let issued = profile.issue(&self.issuer(), self.facade_key.public_key_spki(), day(), serial(9));
        issued.expect("the facade's certificate is issued")
    }

    /// A certificate for a part with the verifier's key.
    #[must_use]
    pub fn certify_part(&self, part: Part) -> Certificate {
        let profile = profile::Part { part, trust_domain: &self.trust_domain, dns_names: &[] };
        let issued = profile.issue(&self.issuer(), self.verifier_key.public_key_spki(), day(), serial(8));
        issued.expect("the part's certificate is issued")
    }

    /// A trust store with the root at this level.
    #[must_use]
    pub fn roots(&self, level: Level) -> Roots {
        Roots::new(vec![Anchor { name: "forged root".into(), certificate: self.root.clone(), level }])
    }

    /// The challenge that [`World::draft`] answers.
    #[must_use]
    pub fn challenge(&self) -> Challenge {
        let certificate = Digest::of(self.facade_certificate.der());
        let expectation = Expectation::Serve { certificate, channel: ChannelRule::Required([0xcc; 32]) };
        Challenge::new([0x42; 32], NOW - 1, 10, Audience::Key(Digest::from_bytes([0x01; 32])), expectation)
    }

    /// The challenge that [`World::node_draft`] answers.
    #[must_use]
    pub fn node_challenge(&self) -> Challenge {
        let audience = Audience::Service(self.trust_domain.part(Part::Verifier));
        Challenge::new([0x42; 32], NOW - 1, 10, audience, Expectation::Node)
    }

    /// What the agent says when the owner's client asks, with a verdict.
    #[must_use]
    pub fn draft(&self) -> Draft<'_> {
        let statement = Statement {
            purpose: Purpose::Serve,
            audience: Audience::Key(Digest::from_bytes([0x01; 32])),
            nonce: [0x42; 32],
            request: None,
            ak_name: self.ak.name(),
            node: self.node.clone(),
            enclave: Some(self.enclave.clone()),
            agent: AGENT,
            certificate: Some(Digest::of(self.facade_certificate.der())),
            channel: Channel::Exporter([0xcc; 32]),
            log_count: 0,
            agent_time: NOW,
        };
        let mut draft = Draft::new(self, statement, self.events());
        draft.certificate = Some(self.facade_certificate.clone());
        draft.verdict = Some(self.verdict(&draft));
        draft
    }

    /// What the agent says of its node when the verifier asks, with both logs.
    #[must_use]
    pub fn node_draft(&self) -> Draft<'_> {
        let statement = Statement {
            purpose: Purpose::Node,
            audience: Audience::Service(self.trust_domain.part(Part::Verifier)),
            enclave: None,
            certificate: None,
            channel: Channel::None(evidence::NoChannel::NotOffered),
            ..self.draft().statement
        };
        let mut draft = Draft::new(self, statement, self.events());
        draft.boot_log = Some(crate::BOOT_LOG());
        draft.ima_log = Some(crate::IMA_LIST());
        draft
    }

    /// The enclave's life so far, with another enclave's beside it.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let claim = &self.enclave;
        let other = EnclaveId::from_bytes([0xe2; 16]);
        let start = |enclave, incarnation| {
            let owner = Some(claim.owner);
            let (version, instance, facade) = (claim.version, claim.instance, claim.facade);
            Event::Start(Start { enclave, incarnation, version, instance, owner, facade })
        };
        vec![
            start(other, 1),
            start(claim.id, claim.incarnation),
            Event::Key { enclave: claim.id, incarnation: claim.incarnation, spki: claim.spki },
            Event::Key { enclave: other, incarnation: 1, spki: Digest::from_bytes([0x99; 32]) },
        ]
    }

    fn verdict(&self, draft: &Draft<'_>) -> VerdictClaims {
        let boot: PcrValues = draft.boot_pcrs();
        VerdictClaims {
            eat_profile: VERDICT_PROFILE.into(),
            iss: self.trust_domain.part(Part::Verifier),
            iat: NOW - 10,
            exp: NOW + 40,
            submods: Submods {
                node: NodeClaims {
                    status: "affirming".into(),
                    node: self.node.clone(),
                    level: Level::Tpm,
                    ak_names: [("ak-enclave".to_owned(), hex(&self.ak.name()))].into(),
                    reset_count: draft.counts.0,
                    restart_count: draft.counts.1,
                    policy: PolicyRef { id: "forged".into(), digest: Digest::from_bytes([0x50; 32]) },
                    ima_position: 3,
                    boot_pcrs: boot,
                    agent_digest: Some(AGENT),
                    facade_digests: vec![FACADE],
                },
            },
        }
    }

    /// PCRs that a draft quotes.
    #[must_use]
    pub const fn pcrs() -> [u8; 13] {
        PCRS
    }
}

fn ak_certificate(issuer: &Issuer<'_>, ak: &TpmKey, node: &SpiffeId, purpose: KeyPurpose) -> Certificate {
    let profile = profile::AttestationKey { node, purpose };
    profile.issue(issuer, &ak.spki(), day(), serial(6)).expect("the key's certificate is issued")
}

fn day() -> Validity {
    Validity::starting(NOW, 3600)
}

fn week() -> Validity {
    Validity::starting(NOW, 6 * 86_400)
}

fn year() -> Validity {
    Validity::starting(NOW, 365 * 86_400)
}
