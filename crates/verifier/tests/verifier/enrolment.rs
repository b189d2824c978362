//! Enrolment: one TPM, two keys in it, a name of its own.

use attested_tls::LocalKey;
use names::Level;
use pki::{Oid, Serial, Validity, path, profile};
use tokio::sync::watch;
use tonic::Code;
use tpm2::PublicArea;
use tpm2::attributes::ObjectAttributes as Attribute;
use tpm2::public::{Key, PublicFields};
use tpm2::{Handle, template};
use verifier::Verifier;

use crate::{code, node::Node, setup, world};

fn booted(folder: &tempfile::TempDir, name: &str) -> Node {
    Node::boot(&folder.path().join(name))
}

#[tokio::test]
async fn a_node_is_enrolled_with_both_keys_and_the_anchors_level() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = booted(&folder, "a");
    let world = world(node.policy(), &[&node]);
    let finished = world.enrol(&mut node, "node-1").await;
    assert_eq!(finished.node, "spiffe://sealwright.internal/node/node-1");
    assert_eq!(finished.level, Level::Simulated.as_str());
    let roots = [world.authority.root.clone()];
    for (key, purpose, oid, public) in [
        (&finished.keys[0], "ak-enclave", Oid::AK_ENCLAVE, node.enclave_key.public()),
        (&finished.keys[1], "ak-keylime", Oid::AK_KEYLIME, node.keylime_key.public()),
    ] {
        assert_eq!(key.purpose, purpose);
        let verified = path::verify(&key.certificates, &roots, world.time.now(), oid).unwrap();
        assert_eq!(verified.leaf().spki(), public.spki_der().unwrap());
    }
    // Again, as after a restart of the agent.
    world.enrol(&mut node, "node-1").await;
    world.tasks.drain().await;
}

#[tokio::test]
async fn wrong_answers_end_the_enrolment() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = booted(&folder, "a");
    let world = world(node.policy(), &[&node]);
    let begun = world.begin(node.begin("node-1")).await.unwrap();
    let right = node.answer(&begun);
    let mut wrong = right.clone();
    wrong.answers[1].mac[0] ^= 1;
    assert_eq!(code(world.finish(wrong).await), "activation_failed");
    assert_eq!(code(world.finish(right).await), "enrolment_session_unknown");

    for spoil in [
        |answer: &mut proto::v1::FinishEnrolmentRequest| answer.answers.swap_remove(0).purpose.clear(),
        |answer: &mut proto::v1::FinishEnrolmentRequest| answer.answers.clear(),
    ] {
        let begun = world.begin(node.begin("node-1")).await.unwrap();
        let mut answer = node.answer(&begun);
        spoil(&mut answer);
        assert_eq!(code(world.finish(answer).await), "ak_keys");
    }
    let begun = world.begin(node.begin("node-1")).await.unwrap();
    let mut swapped = node.answer(&begun);
    let [first, second] = swapped.answers.as_mut_slice() else { panic!("two answers") };
    std::mem::swap(&mut first.mac, &mut second.mac);
    assert_eq!(code(world.finish(swapped).await), "activation_failed");

    let begun = world.begin(node.begin("node-1")).await.unwrap();
    let late = node.answer(&begun);
    world.time.pass(61);
    assert_eq!(code(world.finish(late).await), "enrolment_session_expired");
    assert_eq!(code(world.new_round("node-1").await), "node_not_enrolled");
}

/// CVE-2026-46354: a certificate proves nothing about a key that was not shown to be in its TPM.
#[tokio::test]
async fn a_key_of_another_tpm_can_not_be_smuggled_in() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, other) = (booted(&folder, "a"), booted(&folder, "b"));
    let world = world(node.policy(), &[&node, &other]);
    let mut request = node.begin("node-1");
    request.keys[1].public_area = other.keylime_key.public().as_bytes().to_vec();
    let begun = world.begin(request).await.unwrap();
    // The TPM opens no credential for a key that it does not hold; the best that a liar can do is guess.
    let credential = tpm2::Credential {
        id_object: begun.credentials[1].id_object.clone(),
        encrypted_secret: begun.credentials[1].encrypted_secret.clone(),
    };
    node.tpm.activate(node.endorsement.key(), &node.keylime_key, &credential).unwrap_err();
    let mac = vec![0; 32];
    let guess = |purpose: &str| proto::v1::ActivationAnswer { purpose: purpose.into(), mac: mac.clone() };
    let answers = vec![guess("ak-enclave"), guess("ak-keylime")];
    let finish = proto::v1::FinishEnrolmentRequest { session: begun.session, answers };
    assert_eq!(code(world.finish(finish).await), "activation_failed");
}

/// CVE-2026-46354, before there is any attestation key: a chain that ends at nobody's anchor, a certificate for another key.
#[tokio::test]
async fn only_endorsement_keys_of_trusted_makers_enrol() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, stranger) = (booted(&folder, "a"), booted(&folder, "b"));
    let world = world(node.policy(), &[&node]);
    assert_eq!(code(world.begin(stranger.begin("node-1")).await), "ek_chain");
    let with = |change: &dyn Fn(&mut proto::v1::BeginEnrolmentRequest)| {
        let mut request = node.begin("node-1");
        change(&mut request);
        request
    };
    for (expected, request) in [
        ("ek_chain", with(&|request| request.ek_certificates.clear())),
        ("ek_chain", with(&|request| request.ek_certificates = vec![vec![0x30]; 5])),
        ("ek_public_malformed", with(&|request| request.ek_public_area.push(0))),
        ("ek_mismatch", with(&|request| request.ek_public_area = stranger.begin("x").ek_public_area)),
        ("ek_attributes", with(&|request| request.ek_public_area = loosened(node.endorsement.public()))),
        ("node_name_malformed", with(&|request| request.node_name = "Node_1".into())),
        ("node_name_malformed", with(&|request| request.node_name = String::new())),
    ] {
        assert_eq!(code(world.begin(request).await), expected);
    }
    // A self-signed certificate is nobody's word.
    let key = LocalKey::generate().unwrap();
    let validity = Validity::starting(world.time.now(), 3600);
    let user =
        profile::User { common_name: "x" }.issue(&key, validity, Serial::from_random([1; 16])).unwrap();
    assert_eq!(
        code(world.begin(with(&|request| request.ek_certificates = vec![user.der().to_vec()])).await),
        "ek_chain"
    );
}

/// The same key, as if it could leave its TPM.
fn loosened(ek: &PublicArea) -> Vec<u8> {
    let fields = PublicFields {
        name_algorithm: ek.name_algorithm(),
        attributes: Attribute::RESTRICTED | Attribute::DECRYPT | Attribute::SENSITIVE_DATA_ORIGIN,
        auth_policy: ek.auth_policy().to_vec(),
        key: Key::clone(ek.key()),
    };
    PublicArea::new(&fields).unwrap().as_bytes().to_vec()
}

#[tokio::test]
async fn exactly_one_attestation_key_per_purpose() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = booted(&folder, "a");
    let world = world(node.policy(), &[&node]);
    let ordinary =
        node.tpm.create_primary(Handle::ENDORSEMENT, &template::signing_key_p256().unwrap()).unwrap();
    let with = |change: &dyn Fn(&mut Vec<proto::v1::AttestationKey>)| {
        let mut request = node.begin("node-1");
        change(&mut request.keys);
        request
    };
    for (expected, request) in [
        ("ak_keys", with(&|keys| drop(keys.pop()))),
        ("ak_keys", with(&|keys| keys.clear())),
        ("ak_keys", with(&|keys| keys.push(keys[0].clone()))),
        ("ak_keys", with(&|keys| keys[1].purpose = "ak-enclave".into())),
        ("ak_same_key", with(&|keys| keys[1].public_area = keys[0].public_area.clone())),
        ("ak_public_malformed", with(&|keys| keys[0].public_area.push(0))),
        ("ak_not_restricted", with(&|keys| keys[0].public_area = ordinary.public().as_bytes().to_vec())),
    ] {
        assert_eq!(code(world.begin(request).await), expected);
    }
}

#[tokio::test]
async fn a_name_belongs_to_one_tpm_and_a_tpm_to_one_name_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, other) = (booted(&folder, "a"), booted(&folder, "b"));
    let mut world = world(node.policy(), &[&node, &other]);
    world.enrol(&mut node, "node-1").await;
    let (_sender, identity) = watch::channel(world.authority.identity(world.time.now()));
    for _restart in 0..2 {
        let taken = world.begin(other.begin("node-1")).await.unwrap_err();
        assert_eq!((taken.code(), taken.message()), (Code::AlreadyExists, "node_name_taken"));
        assert_eq!(code(world.begin(node.begin("node-2")).await), "ek_of_other_node");
        let policy = node.policy();
        let folder = world.folder.path();
        let setup = setup(&[&node, &other], policy, &world.authority, &world.time, folder, identity.clone());
        world.verifier = Verifier::new(setup).unwrap();
        // Enrolments do not outlive a restart; agents see that they must enrol again.
        assert_eq!(world.new_round("node-1").await.unwrap_err().code(), Code::NotFound);
    }
    world.enrol(&mut node, "node-1").await;
}

#[tokio::test]
async fn without_the_signer_nobody_is_enrolled() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = booted(&folder, "a");
    let world = world(node.policy(), &[&node]);
    world.tasks.drain().await;
    let begun = world.begin(node.begin("node-1")).await.unwrap();
    let refused = world.finish(node.answer(&begun)).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "signer_refused"));
    assert_eq!(code(world.new_round("node-1").await), "node_not_enrolled");
}

#[tokio::test]
async fn enrolments_under_way_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = booted(&folder, "a");
    let world = world(node.policy(), &[&node]);
    for _ in 0..64 {
        world.begin(node.begin("node-1")).await.unwrap();
    }
    assert_eq!(code(world.begin(node.begin("node-1")).await), "enrolment_too_many");
    world.time.pass(61);
    world.enrol(&mut node, "node-1").await;
}

#[test]
fn a_damaged_pin_file_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = booted(&folder, "tpm");
    let directory = folder.path().join("verifier");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("nodes.json"), b"{").unwrap();
    let time =
        crate::Time(std::sync::Arc::new(std::sync::atomic::AtomicU64::new(verifier::system_clock()())));
    let authority = crate::signer::Authority::new(time.now());
    let (_sender, identity) = watch::channel(authority.identity(time.now()));
    let policy = node.policy();
    assert!(Verifier::new(setup(&[&node], policy, &authority, &time, folder.path(), identity)).is_err());
}
