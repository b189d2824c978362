//! Certificates for enclaves: one good way, and the refusals.

use attested_tls::LocalKey;
use evidence::{Audience, Evidence, Purpose, Statement};
use names::{Digest, Level, Part};
use pki::{Oid, SigningKey, csr, path};
use proto::v1::signer_client::SignerClient;
use proto::v1::{CertifyEnclaveRequest, NewChallengeRequest};
use server::Tasks;
use signer::Config;

use crate::{NOW, World, code, domain, node::Node, world};

const HOST: &str = "notes-alice.enclaves.localhost";

struct Enclave {
    world: World,
    node: Node,
    key: LocalKey,
    csr: Vec<u8>,
}

fn enclave(min_level: Level) -> Enclave {
    let world = world(min_level);
    let key = LocalKey::generate().unwrap();
    let node = world.node(key.public_key_spki());
    let csr = csr::build(&key, "enclave").unwrap();
    Enclave { world, node, key, csr }
}

impl Enclave {
    fn statement(&self, nonce: [u8; 32]) -> Statement {
        self.node.statement(Audience::Service(domain().part(Part::Signer)), nonce, &self.csr)
    }

    fn evidence(&mut self, statement: &Statement) -> Evidence {
        let appraised = (self.node.agent, self.node.claim.facade);
        let name = self.node.enclave_key.name().as_bytes().to_vec();
        let world = &self.world;
        self.node.evidence(statement, |attest, pcrs| Some(world.verdict(appraised, attest, pcrs, &name)))
    }

    async fn ask(&self, evidence: &Evidence) -> &'static str {
        code(self.world.signer.certify_enclave(&self.csr, evidence.to_json(), HOST).await)
    }

    /// Asks with a statement that `change` has spoilt.
    async fn ask_with(&mut self, change: impl FnOnce(&mut Statement)) -> &'static str {
        let mut statement = self.statement(self.world.signer.new_challenge().unwrap());
        change(&mut statement);
        let evidence = self.evidence(&statement);
        self.ask(&evidence).await
    }
}

#[tokio::test]
async fn an_attested_enclave_gets_its_certificate_once_per_challenge() {
    let mut enclave = enclave(Level::Simulated);
    let statement = enclave.statement(enclave.world.signer.new_challenge().unwrap());
    let evidence = enclave.evidence(&statement).to_json();
    let signer = &enclave.world.signer;
    let chain = signer.certify_enclave(&enclave.csr, evidence.clone(), HOST).await.unwrap();
    let root = enclave.world.ca.root().clone();
    let verified = path::verify(&chain, &[root], NOW, Oid::SERVER_AUTH).unwrap();
    assert_eq!(verified.leaf().dns_names(), [HOST]);
    assert_eq!(verified.leaf().uris(), [domain().enclave(&enclave.node.claim.id).to_string()]);
    assert_eq!(verified.leaf().spki(), enclave.key.public_key_spki());
    let again = signer.certify_enclave(&enclave.csr, evidence, HOST).await;
    assert_eq!(code(again), "challenge_unknown");
}

#[tokio::test]
async fn a_failed_request_uses_its_challenge_up() {
    let mut enclave = enclave(Level::Simulated);
    let statement = enclave.statement(enclave.world.signer.new_challenge().unwrap());
    let evidence = enclave.evidence(&statement).to_json();
    let signer = &enclave.world.signer;
    assert_eq!(code(signer.certify_enclave(b"no csr", evidence.clone(), HOST).await), "csr_refused");
    assert_eq!(code(signer.certify_enclave(&enclave.csr, evidence, HOST).await), "challenge_unknown");
}

#[tokio::test]
async fn a_late_answer_is_refused() {
    let mut enclave = enclave(Level::Simulated);
    let statement = enclave.statement(enclave.world.signer.new_challenge().unwrap());
    let evidence = enclave.evidence(&statement);
    enclave.world.time.pass(61);
    assert_eq!(enclave.ask(&evidence).await, "challenge_unknown");
}

#[tokio::test]
async fn evidence_for_something_else_is_refused() {
    let mut enclave = enclave(Level::Simulated);
    assert_eq!(enclave.ask_with(|statement| statement.nonce = [1; 32]).await, "challenge_unknown");
    let gateway = Audience::Service(domain().part(Part::Gateway));
    assert_eq!(enclave.ask_with(|statement| statement.audience = gateway).await, "audience_mismatch");
    let other = Some(Digest::of(b"other request"));
    assert_eq!(enclave.ask_with(|statement| statement.request = other).await, "request_mismatch");
    let node = |statement: &mut Statement| {
        statement.purpose = Purpose::Node;
        (statement.enclave, statement.request) = (None, None);
    };
    assert_eq!(enclave.ask_with(node).await, "purpose_mismatch");
    let older = |statement: &mut Statement| statement.enclave.as_mut().unwrap().incarnation = 2;
    assert_eq!(enclave.ask_with(older).await, "log_statement_mismatch");
}

#[tokio::test]
async fn a_request_for_another_key_is_refused() {
    let mut enclave = enclave(Level::Simulated);
    // A thief's request, with evidence that speaks of the enclave's own key.
    enclave.csr = csr::build(&LocalKey::generate().unwrap(), "thief").unwrap();
    assert_eq!(enclave.ask_with(|_| ()).await, "request_key_mismatch");
}

#[tokio::test]
async fn names_outside_the_enclaves_domain_are_refused() {
    let mut enclave = enclave(Level::Simulated);
    for name in
        ["localhost", "enclaves.localhost", ".enclaves.localhost", "a.b.enclaves.localhost", "a.example"]
    {
        let statement = enclave.statement(enclave.world.signer.new_challenge().unwrap());
        let evidence = enclave.evidence(&statement).to_json();
        let answer = enclave.world.signer.certify_enclave(&enclave.csr, evidence, name).await;
        assert_eq!(code(answer), "dns_name_refused", "{name}");
    }
}

/// One half of CVE-2026-46354 (Coder believed a certificate chain and never checked the signature): the certificate of a genuine
/// attestation key lends nothing to a quote that another key has signed.
#[tokio::test]
async fn a_genuine_keys_certificate_with_a_forged_quote_is_refused() {
    let enclave = enclave(Level::Simulated);
    let mut forger = Node::start(&enclave.world.folder.path().join("forger"), enclave.key.public_key_spki());
    let statement = enclave.statement(enclave.world.signer.new_challenge().unwrap());
    let (world, genuine) = (&enclave.world, &enclave.node);
    let name = genuine.enclave_key.name().as_bytes();
    let mut forged = forger.evidence(&statement, |attest, pcrs| {
        Some(world.verdict((genuine.agent, genuine.claim.facade), attest, pcrs, name))
    });
    forged.ak_public = evidence::Bytes(genuine.enclave_key.public().as_bytes().to_vec());
    forged.ak_chain = genuine.chain.iter().cloned().map(evidence::Bytes).collect();
    // The quote says below which key of which hierarchy its signer is: not the genuine one.
    assert_eq!(enclave.ask(&forged).await, "ak_hierarchy");
    // With the key that did sign it, the genuine key's certificate and name are somebody else's.
    let mut statement = enclave.statement(enclave.world.signer.new_challenge().unwrap());
    statement.ak_name = forger.enclave_key.name().as_bytes().try_into().unwrap();
    let mut forged = forger.evidence(&statement, |_, _| None);
    forged.ak_chain = enclave.node.chain.iter().cloned().map(evidence::Bytes).collect();
    assert_eq!(enclave.ask(&forged).await, "ak_certificate_mismatch");
}

/// The other half (their `TestValidate_UntrustedCertWithValidSignature`): every signature is right, and the chain of the attestation
/// key, or of the verifier, ends at an authority of somebody else's.
#[tokio::test]
async fn a_valid_signature_under_an_untrusted_chain_is_refused() {
    let mut enclave = enclave(Level::Simulated);
    let others = world(Level::Simulated);
    let public = enclave.node.enclave_key.public().clone();
    let token = others.sign_enrolment(&others.enrolment(&public, "ak-enclave", "node"));
    let node = domain().node("node-1").unwrap();
    let chain = others
        .signer
        .certify_attestation_key(public.as_bytes(), "ak-enclave", node.as_str(), &token)
        .unwrap();
    let statement = enclave.statement(enclave.world.signer.new_challenge().unwrap());
    let mut evidence = enclave.evidence(&statement);
    evidence.ak_chain = chain.into_iter().map(evidence::Bytes).collect();
    assert_eq!(enclave.ask(&evidence).await, "ak_chain");

    let statement = enclave.statement(enclave.world.signer.new_challenge().unwrap());
    let appraised = (enclave.node.agent, enclave.node.claim.facade);
    let name = public.name().as_bytes().to_vec();
    let evidence = enclave
        .node
        .evidence(&statement, |attest, pcrs| Some(others.verdict(appraised, attest, pcrs, &name)));
    assert_eq!(enclave.ask(&evidence).await, "verdict_chain");
}

#[tokio::test]
async fn untrusted_evidence_is_refused_with_the_policys_reason() {
    let mut strict = enclave(Level::Tpm);
    assert_eq!(strict.ask_with(|_| ()).await, "level_simulated");
    let mut enclave = enclave(Level::Simulated);
    let statement = enclave.statement(enclave.world.signer.new_challenge().unwrap());
    let without_verdict = enclave.node.evidence(&statement, |_, _| None);
    assert_eq!(enclave.ask(&without_verdict).await, "verdict_missing");
}

/// CVE-2026-46354: one changed byte of what was signed (their `TestValidate_TamperedContent`).
#[tokio::test]
async fn a_changed_quote_is_refused() {
    let mut enclave = enclave(Level::Simulated);
    let statement = enclave.statement(enclave.world.signer.new_challenge().unwrap());
    let mut evidence = enclave.evidence(&statement);
    *evidence.signature.0.last_mut().unwrap() ^= 1;
    assert_eq!(enclave.ask(&evidence).await, "quote_signature");
    assert_eq!(
        code(enclave.world.signer.certify_enclave(&enclave.csr, b"{}".to_vec(), HOST).await),
        "evidence_malformed"
    );
}

#[tokio::test]
async fn open_challenges_are_bounded() {
    let world = world(Level::Simulated);
    for _ in 0..4096 {
        world.signer.new_challenge().unwrap();
    }
    assert_eq!(code(world.signer.new_challenge()), "too_many_challenges");
    world.time.pass(61);
    world.signer.new_challenge().unwrap();
}

#[tokio::test]
async fn the_socket_answers_with_certificates_and_reason_codes() {
    let mut enclave = enclave(Level::Simulated);
    let folder = enclave.world.folder.path();
    let config = Config {
        min_level: Level::Simulated,
        ..Config::new(folder.join("signer.sock"), folder.join("ca"), domain())
    };
    let tasks = Tasks::new();
    signer::serve(enclave.world.ca.clone(), &config, enclave.world.time.clock(), &tasks).unwrap();
    let mut client = SignerClient::new(proto::connect(&config.socket));
    let challenge = client.new_challenge(NewChallengeRequest {}).await.unwrap().into_inner();
    assert_eq!(challenge.audience, domain().part(Part::Signer).to_string());
    let statement = enclave.statement(challenge.nonce.try_into().unwrap());
    let evidence = enclave.evidence(&statement).to_json();
    let request = CertifyEnclaveRequest { csr: enclave.csr.clone(), evidence, dns_name: HOST.into() };
    let chain = client.certify_enclave(request.clone()).await.unwrap().into_inner().certificates;
    assert_eq!(chain.len(), 3);
    // The same again, and as long as it gets when the node's enclave log is at its bound: it is judged, not cut off.
    let mut long = request.clone();
    long.evidence.resize(evidence::MAX_BUNDLE, b' ');
    for request in [request, long] {
        let refused = client.certify_enclave(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (tonic::Code::PermissionDenied, "challenge_unknown"));
    }
    drop(client);
    assert!(tasks.drain().await);
}
