//! The files' format, and the first verifier's word on a vector.

use appraisal::{Outcome, Policy, appraise, report};
use base64ct::{Base64, Encoding};
use evidence::{
    Anchor, Audience, Challenge, ChannelRule, Evidence, Expectation, Proof, Roots, verify, verify_recorded,
};
use names::{Digest, Level};
use pki::Certificate;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One case: evidence with its question, or a proof.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    pub name: String,
    /// The bundle; a text where it is not even JSON of the right form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Value>,
    /// None: judged as a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Question>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<Root>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeCase>,
    /// `ok` or the reason code; of a policy's reasons the first.
    pub expect: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub nonce: Digest,
    /// Empty, the SHA-256 of a key in hex, or a SPIFFE id.
    pub audience: String,
    /// `serve`, `issue` or `node`.
    pub purpose: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spki: Option<Digest>,
    pub made_at: u64,
    pub max_age: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    pub name: String,
    pub level: Level,
    /// Base64 DER.
    pub certificate: String,
}

/// Whether a proof leads from a leaf to a root.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeCase {
    pub leaf: Digest,
    pub index: u32,
    pub count: u32,
    pub path: Vec<Digest>,
    pub root: Digest,
}

pub fn tree_outcome(case: &TreeCase) -> String {
    let proof = Proof { index: case.index, count: case.count, path: case.path.clone() };
    match proof.root(&case.leaf) {
        Err(_) => "proof_invalid",
        Ok(root) if root != case.root => "quote_data_mismatch",
        Ok(_) => "ok",
    }
    .to_owned()
}

fn challenge(question: &Question) -> Challenge {
    let audience = match question.audience.as_str() {
        "" => Audience::Anonymous,
        text if text.starts_with("spiffe://") => Audience::Service(text.parse().unwrap()),
        text => Audience::Key(text.parse().unwrap()),
    };
    let expectation = match question.purpose.as_str() {
        "serve" => Expectation::Serve {
            certificate: question.certificate.unwrap(),
            channel: match question.channel {
                Some(channel) => ChannelRule::Required(*channel.as_bytes()),
                None => ChannelRule::Unbound,
            },
        },
        "issue" => Expectation::Issue { csr: question.request.unwrap(), spki: question.spki.unwrap() },
        "node" => Expectation::Node,
        other => panic!("no such purpose: {other}"),
    };
    Challenge::new(*question.nonce.as_bytes(), question.made_at, question.max_age, audience, expectation)
}

fn roots(list: &[Root]) -> Roots {
    let anchor = |root: &Root| Anchor {
        name: root.name.clone(),
        certificate: Certificate::from_der(&Base64::decode_vec(&root.certificate).unwrap()).unwrap(),
        level: root.level,
    };
    Roots::new(list.iter().map(anchor).collect())
}

pub fn judge(vector: &Vector) -> String {
    let json = match vector.bundle.as_ref().unwrap() {
        Value::String(text) => text.clone().into_bytes(),
        bundle => serde_json::to_vec(bundle).unwrap(),
    };
    let (roots, at) = (roots(&vector.roots), vector.at.unwrap());
    let policy = vector.policy.as_ref().unwrap();
    let evidence = match Evidence::from_json(&json) {
        Ok(evidence) => evidence,
        Err(rejected) => return rejected.code().to_owned(),
    };
    let code = match &vector.challenge {
        Some(question) => match verify(challenge(question), &evidence, &roots, at) {
            Err(rejected) => Some(rejected.code()),
            Ok(verified) => appraise(policy, verified)
                .err()
                .and_then(|refused| refused.reasons().next())
                .map(|reason| reason.code()),
        },
        None => match verify_recorded(&evidence, &roots, at) {
            Err(rejected) => Some(rejected.code()),
            Ok(recorded) => report(policy, &recorded).checks.iter().find_map(|check| match check.outcome {
                Outcome::Fail(reason) => Some(reason.code()),
                Outcome::Pass => None,
            }),
        },
    };
    code.unwrap_or("ok").to_owned()
}
