//! Rounds: honest evidence of an allowed node gets a verdict of a minute, everything else its reason.

use evidence::{Bytes, Evidence, VERDICT_TYPE, VerdictClaims};
use names::{Digest, Level, Part};
use pki::{Oid, jws::Unverified, profile::KeyPurpose};
use proto::v1::verifier_client::VerifierClient;
use proto::v1::{AttestRequest, NewRoundRequest};
use tpm2::{Handle, template};

use crate::node::{Node, agent, facade};
use crate::{World, code, domain, world};

fn booted(folder: &tempfile::TempDir, name: &str) -> Node {
    Node::boot(&folder.path().join(name))
}

async fn enrolled(folder: &tempfile::TempDir) -> (World, Node) {
    let mut node = booted(folder, "a");
    let world = world(node.policy(), &[&node]);
    world.enrol(&mut node, "node-1").await;
    (world, node)
}

async fn honest(world: &World, node: &mut Node) -> Evidence {
    let round = world.new_round("node-1").await.unwrap();
    let statement = node.statement("node-1", &round.audience, &round.nonce);
    node.evidence(&statement)
}

fn claims(world: &World, verdict: &str) -> VerdictClaims {
    let token = Unverified::parse(verdict).unwrap().expect_type(VERDICT_TYPE).unwrap();
    let roots = [world.authority.root.clone()];
    let (verified, _) = token.verify_chain(&roots, world.time.now(), Oid::PART_VERIFIER).unwrap();
    verified.claims().unwrap()
}

#[tokio::test]
async fn an_allowed_node_gets_a_verdict_of_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let (world, mut node) = enrolled(&folder).await;
    let verdict = world.round(&mut node, "node-1").await.unwrap();
    let claims = claims(&world, &verdict);
    let now = world.time.now();
    assert_eq!((claims.iat, claims.exp), (now, now + 60));
    assert_eq!(claims.iss, domain().part(Part::Verifier));
    let said = claims.submods.node;
    assert_eq!((said.status.as_str(), said.level), ("affirming", Level::Simulated));
    assert_eq!(said.node, domain().node("node-1").unwrap());
    assert_eq!(said.ak_names["ak-enclave"], names::hex(node.enclave_key.name().as_bytes()));
    assert_eq!(said.ak_names["ak-keylime"], names::hex(node.keylime_key.name().as_bytes()));
    assert_eq!((said.agent_digest, said.facade_digests), (Some(agent().digest), vec![facade().digest]));
    assert_eq!(said.policy.digest, node.policy().digest());
    assert_eq!(said.ima_position, 2);
    let moving = [evidence::IMA_PCR, evidence::ENCLAVE_LOG_PCR];
    assert!(said.boot_pcrs.0.keys().all(|pcr| !moving.contains(pcr)) && said.boot_pcrs.0.len() == 11);
}

#[tokio::test]
async fn a_round_is_answered_once_and_in_time_by_the_node_that_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let (world, mut node) = enrolled(&folder).await;
    assert_eq!(code(world.new_round("node-2").await), "node_not_enrolled");
    let evidence = honest(&world, &mut node).await;
    world.attest(&evidence).await.unwrap();
    assert_eq!(code(world.attest(&evidence).await), "round_unknown");
    let late = honest(&world, &mut node).await;
    world.time.pass(61);
    assert_eq!(code(world.attest(&late).await), "round_unknown");
    // Also a refused answer uses the round up.
    let good = honest(&world, &mut node).await;
    let bad = Evidence { ima_log: None, ..good.clone() };
    assert_eq!(code(world.attest(&bad).await), "node_logs_missing");
    assert_eq!(code(world.attest(&good).await), "round_unknown");
}

#[tokio::test]
async fn evidence_for_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (world, mut node) = enrolled(&folder).await;
    let round = world.new_round("node-1").await.unwrap();
    let signer = domain().part(Part::Signer).to_string();
    let statement = node.statement("node-1", &signer, &round.nonce);
    let evidence = node.evidence(&statement);
    assert_eq!(code(world.attest(&evidence).await), "audience_mismatch");
    let statement = node.statement("node-1", &round.audience, &[7; 32]);
    let evidence = node.evidence(&statement);
    assert_eq!(code(world.attest(&evidence).await), "round_unknown");
}

#[tokio::test]
async fn another_node_can_not_answer_the_round() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, mut other) = (booted(&folder, "a"), booted(&folder, "b"));
    let world = world(node.policy(), &[&node, &other]);
    world.enrol(&mut node, "node-1").await;
    world.enrol(&mut other, "node-2").await;
    let round = world.new_round("node-1").await.unwrap();
    let statement = other.statement("node-2", &round.audience, &round.nonce);
    let evidence = other.evidence(&statement);
    assert_eq!(code(world.attest(&evidence).await), "round_other_node");
    // Nor under the other's name: its certificate says who it is.
    let round = world.new_round("node-1").await.unwrap();
    let statement = other.statement("node-1", &round.audience, &round.nonce);
    let evidence = other.evidence(&statement);
    assert_eq!(code(world.attest(&evidence).await), "ak_node_mismatch");
}

#[tokio::test]
async fn only_the_enrolled_key_for_enclaves_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (world, mut node) = enrolled(&folder).await;
    let node_id = domain().node("node-1").unwrap();
    // A third key of the same TPM, certified for the same node by mistake, but never activated.
    let third = template::attestation_key(&[8; 32]).unwrap();
    let third = node.tpm.create_primary(Handle::ENDORSEMENT, &third).unwrap();
    let now = world.time.now();
    node.chain = world.authority.certify(third.public(), KeyPurpose::Enclave, &node_id, now);
    node.enclave_key = third;
    assert_eq!(code(world.round(&mut node, "node-1").await), "round_other_key");
    // The key that answers Keylime verifiers, with its own certificate.
    node.chain = world.authority.certify(node.keylime_key.public(), KeyPurpose::Keylime, &node_id, now);
    std::mem::swap(&mut node.enclave_key, &mut node.keylime_key);
    assert_eq!(code(world.round(&mut node, "node-1").await), "ak_purpose");
}

#[tokio::test]
async fn a_node_that_goes_bad_gets_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let (world, mut node) = enrolled(&folder).await;
    world.round(&mut node, "node-1").await.unwrap();
    node.measure("/tmp/rootkit", &Digest::of(b"rootkit"));
    assert_eq!(code(world.round(&mut node, "node-1").await), "node_unknown_file");
}

#[tokio::test]
async fn a_changed_binary_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (world, mut node) = enrolled(&folder).await;
    node.measure(&agent().path, &Digest::of(b"another agent"));
    assert_eq!(code(world.round(&mut node, "node-1").await), "node_changed_file");
}

#[tokio::test]
async fn a_boot_that_the_log_does_not_tell_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (world, mut node) = enrolled(&folder).await;
    node.tpm.extend(4, &[1; 32]).unwrap();
    assert_eq!(code(world.round(&mut node, "node-1").await), "boot_log_replay");
}

#[tokio::test]
async fn a_boot_that_the_policy_does_not_allow_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = booted(&folder, "a");
    let mut policy = node.policy();
    policy.boot_pcrs.insert(7, vec![Digest::of(b"another boot")]);
    let world = world(policy, &[&node]);
    world.enrol(&mut node, "node-1").await;
    assert_eq!(code(world.round(&mut node, "node-1").await), "node_boot_register");
}

#[tokio::test]
async fn doctored_logs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (world, mut node) = enrolled(&folder).await;
    node.measure("/tmp/rootkit", &Digest::of(b"rootkit"));
    let mut evidence = honest(&world, &mut node).await;
    // The last line left out, to hide the rootkit.
    let list = evidence.ima_log.take().unwrap().0;
    let end = list[..list.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    evidence.ima_log = Some(Bytes(list[..end].to_vec()));
    assert_eq!(code(world.attest(&evidence).await), "ima_replay");
    let mut evidence = honest(&world, &mut node).await;
    evidence.boot_log = None;
    assert_eq!(code(world.attest(&evidence).await), "node_logs_missing");
    let mut evidence = honest(&world, &mut node).await;
    *evidence.signature.0.last_mut().unwrap() ^= 1;
    assert_eq!(code(world.attest(&evidence).await), "quote_signature");
}

#[tokio::test]
async fn an_old_enrolment_must_be_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let (world, mut node) = enrolled(&folder).await;
    world.time.pass(4 * 24 * 3600);
    assert_eq!(code(world.new_round("node-1").await), "node_not_enrolled");
    world.enrol(&mut node, "node-1").await;
    world.round(&mut node, "node-1").await.unwrap();
}

#[tokio::test]
async fn open_rounds_of_one_node_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let (world, _node) = enrolled(&folder).await;
    for _ in 0..8 {
        world.new_round("node-1").await.unwrap();
    }
    assert_eq!(code(world.new_round("node-1").await), "too_many_rounds");
}

#[tokio::test]
async fn the_socket_answers_with_verdicts_and_reason_codes() {
    let folder = tempfile::tempdir().unwrap();
    let (world, mut node) = enrolled(&folder).await;
    let World { verifier, tasks, folder, time: _time, authority: _authority, _identity } = world;
    let socket = folder.path().join("verifier.sock");
    verifier::serve(verifier, &socket, &tasks).unwrap();
    let mut client = VerifierClient::new(proto::connect(&socket));
    let asked = NewRoundRequest { node: domain().node("node-1").unwrap().to_string() };
    let round = client.new_round(asked).await.unwrap().into_inner();
    let statement = node.statement("node-1", &round.audience, &round.nonce);
    let request = AttestRequest { evidence: node.evidence(&statement).to_json() };
    assert!(!client.attest(request.clone()).await.unwrap().into_inner().verdict.is_empty());
    assert_eq!(client.attest(request).await.unwrap_err().message(), "round_unknown");
    drop(client);
    assert!(tasks.drain().await);
}
