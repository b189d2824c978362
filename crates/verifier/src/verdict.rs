//! Signs verdicts: only against a `TrustedNode`, for a minute at most, about the keys that were enrolled together.

use std::collections::BTreeMap;

use appraisal::node::{NodePolicy, TrustedNode};
use evidence::{
    MAX_VERDICT_LIFE, NodeClaims, PolicyRef, Submods, VERDICT_PROFILE, VERDICT_TYPE, VerdictClaims,
};
use names::SpiffeId;
use pki::{
    jws::{self, JwsError, KeyHint},
    profile::KeyPurpose,
};

use crate::{enrolment::Enrolled, identity::Identity};

/// The claim `ear.status` of a node that its policy allows; no other verdict is ever signed.
const AFFIRMING: &str = "affirming";

pub(crate) fn sign(
    trusted: &TrustedNode,
    enrolled: &Enrolled,
    policy: &NodePolicy,
    issuer: &SpiffeId,
    identity: &Identity,
    now: u64,
) -> Result<String, JwsError> {
    let (reset_count, restart_count) = trusted.counts();
    let ak_names: BTreeMap<String, String> = [KeyPurpose::Enclave, KeyPurpose::Keylime]
        .into_iter()
        .filter_map(|purpose| Some((purpose.as_str().to_owned(), enrolled.ak_name(purpose)?)))
        .collect();
    let claims = VerdictClaims {
        eat_profile: VERDICT_PROFILE.to_owned(),
        iss: issuer.clone(),
        iat: now,
        exp: now.saturating_add(MAX_VERDICT_LIFE),
        submods: Submods {
            node: NodeClaims {
                status: AFFIRMING.to_owned(),
                node: trusted.node().clone(),
                level: trusted.level().min(enrolled.level),
                ak_names,
                reset_count,
                restart_count,
                policy: PolicyRef { id: policy.id.clone(), digest: policy.digest() },
                ima_position: trusted.ima_position(),
                boot_pcrs: trusted.boot_pcrs().clone(),
                agent_digest: trusted.agent().copied(),
                facade_digests: trusted.facades().to_vec(),
            },
        },
    };
    jws::sign(VERDICT_TYPE, &KeyHint::Chain(identity.chain.clone()), &claims, &identity.key)
}
