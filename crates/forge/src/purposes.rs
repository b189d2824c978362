//! The other purposes: a certificate, secrets; and the policies that good evidence satisfies.

use std::collections::BTreeMap;

use appraisal::node::{Binary, NodePolicy};
use appraisal::{Policy, Reference, Source, Versions};
use evidence::{Audience, Challenge, Channel, Expectation, NoChannel, Purpose, Statement};
use names::{Digest, Part, hex};

use crate::world::{AGENT, AGENT_PATH, FACADE, FACADE_PATH, OTHER, OTHER_PATH};
use crate::{Draft, NOW, World};

const REQUEST: Digest = Digest::from_bytes([0x55; 32]);

impl World {
    /// The challenge of a signer that got a certificate request, which [`World::issue_draft`] answers.
    #[must_use]
    pub fn issue_challenge(&self) -> Challenge {
        let audience = Audience::Service(self.trust_domain.part(Part::Signer));
        let expectation = Expectation::Issue { csr: REQUEST, spki: self.enclave.spki };
        Challenge::new([0x42; 32], NOW - 1, 10, audience, expectation)
    }

    /// What the agent says when the signer asks before it issues: there is no certificate yet.
    #[must_use]
    pub fn issue_draft(&self) -> Draft<'_> {
        let mut draft = self.draft();
        draft.statement = Statement {
            purpose: Purpose::Issue,
            audience: Audience::Service(self.trust_domain.part(Part::Signer)),
            request: Some(REQUEST),
            certificate: None,
            channel: Channel::None(NoChannel::NotOffered),
            ..draft.statement
        };
        draft.certificate = None;
        draft
    }

    /// What the agent says when secrets are asked for.
    #[must_use]
    pub fn release_draft(&self) -> Draft<'_> {
        let mut draft = self.draft();
        draft.statement.purpose = Purpose::Release;
        draft.statement.request = Some(REQUEST);
        draft
    }

    /// A client's policy that good evidence satisfies.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let version = Reference { digest: self.enclave.version, source: Source::PublisherSignature };
        Policy::new(Versions::OneOf(vec![version]))
    }

    /// The verifier's policy that the node satisfies.
    #[must_use]
    pub fn node_policy(&self) -> NodePolicy {
        let allowed: BTreeMap<u8, Vec<Digest>> =
            self.node_draft().boot_pcrs().0.into_iter().map(|(pcr, value)| (pcr, vec![value])).collect();
        let named = format!("sha256:{}", hex(OTHER.as_bytes()));
        NodePolicy {
            id: "forged".into(),
            pcrs: Self::pcrs().to_vec(),
            boot_pcrs: allowed,
            secure_boot: false,
            files: [(OTHER_PATH.to_owned(), [named].into())].into(),
            excluded: Vec::new(),
            agents: vec![Binary { path: AGENT_PATH.into(), digest: AGENT }],
            facades: vec![Binary { path: FACADE_PATH.into(), digest: FACADE }],
        }
    }
}
