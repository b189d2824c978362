//! The verifier's word on a node: a short-lived signed verdict, so that clients need not appraise other people's logs.
//!
//! An EAR token (draft-ietf-rats-ear) with one submodule, `node`, under our own profile.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use names::{Digest, Level, SpiffeId};
use pki::Oid;
use pki::jws::{JwsError, Unverified};
use serde::{Deserialize, Serialize};

use crate::{PcrValues, Rejected, Roots, unique};

/// The JWS header's `typ`.
pub const VERDICT_TYPE: &str = "sealwright-verdict+jwt";
/// The claim `eat_profile`.
pub const VERDICT_PROFILE: &str = "tag:sealwright.internal,2026:verdict/v1";
/// Longest life of a verdict in seconds: the time for which a bad node can still pass.
pub const MAX_VERDICT_LIFE: u64 = 60;
/// How far a verifier's clock may run ahead of the reader's, in seconds.
const MAX_SKEW: u64 = 5;
/// The only value of `ear.status` that is good enough.
pub const AFFIRMING: &str = "affirming";

/// Claims of a verdict as signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictClaims {
    /// [`VERDICT_PROFILE`].
    pub eat_profile: String,
    /// The verifier.
    pub iss: SpiffeId,
    /// Issued, unix seconds.
    pub iat: u64,
    /// Ends, unix seconds.
    pub exp: u64,
    /// What it is about.
    pub submods: Submods,
}

/// The one submodule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submods {
    /// The node.
    pub node: NodeClaims,
}

/// What the verifier says of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeClaims {
    /// [`AFFIRMING`], or the evidence is rejected.
    #[serde(rename = "ear.status")]
    pub status: String,
    /// Which node.
    pub node: SpiffeId,
    /// Level of the anchor that the node's EK led to.
    pub level: Level,
    /// TPM names of the attestation keys in hex, by purpose.
    #[serde(deserialize_with = "unique::map")]
    pub ak_names: BTreeMap<String, String>,
    /// TPM resets at the time of the appraised quote.
    pub reset_count: u32,
    /// TPM restarts at the time of the appraised quote.
    pub restart_count: u32,
    /// The node policy.
    pub policy: PolicyRef,
    /// Entries of the IMA list that were appraised.
    pub ima_position: u64,
    /// Appraised values of the quoted PCRs, without those that move (IMA's and the enclave log's).
    pub boot_pcrs: PcrValues,
    /// The agent's binary, if the policy pins it and the IMA list has it.
    pub agent_digest: Option<Digest>,
    /// Facade binaries that the policy allows and the IMA list has.
    pub facade_digests: Vec<Digest>,
}

/// Which policy a node was appraised by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRef {
    /// Its name.
    pub id: String,
    /// SHA-256 of its canonical form.
    pub digest: Digest,
}

/// A verdict whose signature, chain, age and subject were checked. Made only by the check of an evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    claims: VerdictClaims,
    level: Level,
    anchor: String,
}

impl Verdict {
    /// The claims.
    #[must_use]
    pub const fn claims(&self) -> &VerdictClaims {
        &self.claims
    }

    /// The lower of the level that the verifier saw and the level of the verifier's own anchor.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Name of the anchor that the verifier's certificate leads to.
    #[must_use]
    pub fn anchor(&self) -> &str {
        &self.anchor
    }

    pub(crate) fn check(token: &str, roots: &Roots, now: u64) -> Result<Self, Rejected> {
        let token = Unverified::parse(token).and_then(|token| token.expect_type(VERDICT_TYPE));
        let token = token.map_err(|_| Rejected::VerdictMalformed)?;
        let verified = token.verify_chain(roots.certificates(), now, Oid::PART_VERIFIER);
        let (verified, chain) = verified.map_err(|error| match error {
            JwsError::Signature => Rejected::VerdictSignature,
            JwsError::NoChain | JwsError::Chain(_) => Rejected::VerdictChain,
            _ => Rejected::VerdictMalformed,
        })?;
        let claims: VerdictClaims = verified.claims().map_err(|_| Rejected::VerdictMalformed)?;
        if claims.eat_profile != VERDICT_PROFILE {
            return Err(Rejected::VerdictMalformed);
        }
        if chain.leaf().uris() != [claims.iss.as_str()] {
            return Err(Rejected::VerdictChain);
        }
        let life = claims.exp.checked_sub(claims.iat).ok_or(Rejected::VerdictMalformed)?;
        if life > MAX_VERDICT_LIFE || now >= claims.exp || claims.iat > now.saturating_add(MAX_SKEW) {
            return Err(Rejected::VerdictExpired);
        }
        if claims.submods.node.status != AFFIRMING {
            return Err(Rejected::VerdictStatus);
        }
        let anchor = roots.anchor(chain.anchor()).ok_or(Rejected::VerdictChain)?;
        let level = claims.submods.node.level.min(anchor.level);
        Ok(Self { claims, level, anchor: anchor.name.clone() })
    }
}
