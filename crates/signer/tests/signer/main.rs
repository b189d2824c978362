//! The signer against a real software TPM: who gets a certificate, and by which name everybody else is refused.
#![allow(clippy::unwrap_used)]

mod authority;
mod enclaves;
mod keys;
mod node;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use attested_tls::LocalKey;
use evidence::{
    MAX_VERDICT_LIFE, NodeClaims, PcrValues, PolicyRef, Submods, VERDICT_PROFILE, VERDICT_TYPE, VerdictClaims,
};
use names::{Digest, Level, Part};
use pki::{
    SigningKey,
    enrolment::{self, EnrolmentClaims, MAX_ENROLMENT_LIFE},
    jws::{self, KeyHint},
};
use signer::{Ca, Clock, Config, Refusal, Signer};
use tpm2::Attest;

use node::{Node, domain};

const NOW: u64 = 1_795_000_000;

/// A clock that a test moves.
#[derive(Clone)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn clock(&self) -> Clock {
        let time = self.0.clone();
        Arc::new(move || time.load(Ordering::SeqCst))
    }

    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// A signer whose root key is in memory, and a verifier that it believes.
struct World {
    ca: Arc<Ca>,
    signer: Signer,
    time: Time,
    verifier_key: LocalKey,
    verifier_chain: Vec<Vec<u8>>,
    folder: tempfile::TempDir,
}

fn world(min_level: Level) -> World {
    let folder = tempfile::tempdir().unwrap();
    let root_key = LocalKey::generate().unwrap();
    let ca = Arc::new(Ca::open(Box::new(root_key), &folder.path().join("ca"), domain(), NOW).unwrap());
    let config =
        Config { min_level, ..Config::new(folder.path().join("socket"), folder.path().join("ca"), domain()) };
    let time = Time(Arc::new(AtomicU64::new(NOW)));
    let signer = Signer::new(ca.clone(), &config, time.clock());
    let verifier_key = LocalKey::generate().unwrap();
    let leave = ca.authorize_part(Part::Verifier, verifier_key.public_key_spki(), &[]);
    let verifier_chain = ca.certify_part(&leave, NOW).unwrap();
    World { ca, signer, time, verifier_key, verifier_chain, folder }
}

impl World {
    fn enrolment(&self, public: &tpm2::PublicArea, purpose: &str, jti: &str) -> EnrolmentClaims {
        EnrolmentClaims {
            iss: domain().part(Part::Verifier),
            iat: NOW,
            exp: NOW + MAX_ENROLMENT_LIFE,
            jti: jti.into(),
            ak_name: names::hex(public.name().as_bytes()),
            purpose: purpose.into(),
            node: domain().node("node-1").unwrap(),
            level: Level::Simulated,
        }
    }

    fn sign_enrolment(&self, claims: &EnrolmentClaims) -> String {
        enrolment::sign(claims, &self.verifier_chain, &self.verifier_key).unwrap()
    }

    /// A node whose attestation key for enclaves is certified.
    fn node(&self, spki: &[u8]) -> Node {
        let mut node = Node::start(&self.folder.path().join("tpm"), spki);
        let public = node.enclave_key.public();
        let token = self.sign_enrolment(&self.enrolment(public, "ak-enclave", "node"));
        let node_id = domain().node("node-1").unwrap();
        let certified =
            self.signer.certify_attestation_key(public.as_bytes(), "ak-enclave", node_id.as_str(), &token);
        node.chain = certified.unwrap();
        node
    }

    /// The verifier's word about a node in the state that was quoted.
    fn verdict(&self, node: (Digest, Digest), attest: &Attest, pcrs: &PcrValues, ak_name: &[u8]) -> String {
        let moves = |pcr: &u8| *pcr == evidence::IMA_PCR || *pcr == evidence::ENCLAVE_LOG_PCR;
        let boot_pcrs: BTreeMap<u8, Digest> =
            pcrs.0.iter().filter(|(pcr, _)| !moves(pcr)).map(|(pcr, value)| (*pcr, *value)).collect();
        let claims = VerdictClaims {
            eat_profile: VERDICT_PROFILE.into(),
            iss: domain().part(Part::Verifier),
            iat: NOW,
            exp: NOW + MAX_VERDICT_LIFE,
            submods: Submods {
                node: NodeClaims {
                    status: "affirming".into(),
                    node: domain().node("node-1").unwrap(),
                    level: Level::Simulated,
                    ak_names: BTreeMap::from([("ak-enclave".into(), names::hex(ak_name))]),
                    reset_count: attest.clock().reset_count,
                    restart_count: attest.clock().restart_count,
                    policy: PolicyRef { id: "test".into(), digest: Digest::of(b"policy") },
                    ima_position: 0,
                    boot_pcrs: PcrValues(boot_pcrs),
                    agent_digest: Some(node.0),
                    facade_digests: vec![node.1],
                },
            },
        };
        jws::sign(VERDICT_TYPE, &KeyHint::Chain(self.verifier_chain.clone()), &claims, &self.verifier_key)
            .unwrap()
    }
}

fn code<T>(result: Result<T, Refusal>) -> &'static str {
    match result {
        Ok(_) => "accepted",
        Err(refusal) => refusal.code(),
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
