//! Certificates for attestation keys: the verifier's word, used once, about exactly this key.

use attested_tls::LocalKey;
use hardware::{SoftwareTpm, Tpm};
use names::{Level, Part};
use pki::{Oid, SigningKey, enrolment, path};
use tpm2::{Handle, template};

use crate::{NOW, World, code, domain, node::Node, world};

fn certify(world: &World, public: &tpm2::PublicArea, purpose: &str, node: &str, token: &str) -> &'static str {
    code(world.signer.certify_attestation_key(public.as_bytes(), purpose, node, token))
}

const NODE: &str = "spiffe://sealwright.internal/node/node-1";

#[test]
fn activated_keys_get_certificates_of_their_purpose() {
    let world = world(Level::Simulated);
    let node = Node::start(&world.folder.path().join("tpm"), b"spki");
    let roots = [world.ca.root().clone()];
    for (key, purpose, wanted, other) in [
        (&node.enclave_key, "ak-enclave", Oid::AK_ENCLAVE, Oid::AK_KEYLIME),
        (&node.keylime_key, "ak-keylime", Oid::AK_KEYLIME, Oid::AK_ENCLAVE),
    ] {
        let token = world.sign_enrolment(&world.enrolment(key.public(), purpose, purpose));
        let chain =
            world.signer.certify_attestation_key(key.public().as_bytes(), purpose, NODE, &token).unwrap();
        let verified = path::verify(&chain, &roots, NOW, wanted).unwrap();
        assert_eq!(verified.leaf().uris(), [NODE]);
        assert_eq!(verified.leaf().spki(), key.public().spki_der().unwrap());
        path::verify(&chain, &roots, NOW, Oid::TCG_AIK_CERTIFICATE).unwrap();
        path::verify(&chain, &roots, NOW, other).unwrap_err();
        assert_eq!(certify(&world, key.public(), purpose, NODE, &token), "enrolment_used");
    }
}

#[test]
fn the_verifiers_word_counts_only_for_what_it_says() {
    let world = world(Level::Simulated);
    let node = Node::start(&world.folder.path().join("tpm"), b"spki");
    let (ours, other) = (node.enclave_key.public(), node.keylime_key.public());
    let word = |id: &str| world.sign_enrolment(&world.enrolment(ours, "ak-enclave", id));
    assert_eq!(certify(&world, other, "ak-enclave", NODE, &word("1")), "enrolment_mismatch");
    assert_eq!(certify(&world, ours, "ak-keylime", NODE, &word("2")), "enrolment_mismatch");
    let elsewhere = NODE.replace("node-1", "node-2");
    assert_eq!(certify(&world, ours, "ak-enclave", &elsewhere, &word("3")), "enrolment_mismatch");
    assert_eq!(certify(&world, ours, "ak", NODE, &word("4")), "ak_purpose_unknown");
    let garbage = world.signer.certify_attestation_key(b"garbage", "ak-enclave", NODE, &word("5"));
    assert_eq!(code(garbage), "ak_public_malformed");
    let stale = word("6");
    world.time.pass(60);
    assert_eq!(certify(&world, ours, "ak-enclave", NODE, &stale), "enrolment_refused");
}

#[test]
fn a_key_that_signs_anything_is_no_attestation_key() {
    let world = world(Level::Simulated);
    let mut tpm = Tpm::start(SoftwareTpm::start(&world.folder.path().join("tpm")).unwrap()).unwrap();
    let key = tpm.create_primary(Handle::ENDORSEMENT, &template::signing_key_p256().unwrap()).unwrap();
    let token = world.sign_enrolment(&world.enrolment(key.public(), "ak-enclave", "1"));
    assert_eq!(certify(&world, key.public(), "ak-enclave", NODE, &token), "ak_not_restricted");
}

#[test]
fn only_a_verifier_enrols() {
    let world = world(Level::Simulated);
    let node = Node::start(&world.folder.path().join("tpm"), b"spki");
    let claims = world.enrolment(node.enclave_key.public(), "ak-enclave", "1");
    let key = LocalKey::generate().unwrap();
    let leave = world.ca.authorize_part(Part::Gateway, key.public_key_spki(), &[]);
    let chain = world.ca.certify_part(&leave, NOW).unwrap();
    for token in [
        enrolment::sign(&claims, &chain, &key).unwrap(),
        enrolment::sign(&claims, &world.verifier_chain, &key).unwrap(),
        "no.jws.".into(),
    ] {
        assert_eq!(
            certify(&world, node.enclave_key.public(), "ak-enclave", NODE, &token),
            "enrolment_refused"
        );
    }
    assert_eq!(claims.node, domain().node("node-1").unwrap());
}
