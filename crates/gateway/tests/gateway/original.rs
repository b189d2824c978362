//! The original's routes with its field names (portal.md 1.1).

use base64ct::{Base64, Encoding};
use evidence::{Proof, Statement, quote_data, tree};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::apps::publish;
use crate::fake_enclave::{FakeEnclave, Says};
use crate::rig::{Answer, Identity, PASSWORD, Rig, json_request, rig, rig_with};

async fn log_in(rig: &Rig, identity: Option<&Identity>, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password});
    rig.send(identity, json_request(Method::POST, "/login", None, &body)).await
}

/// One fixed enclave was shared by everybody, and a second login answered an error as its name (portal.md 1.1, defect 3).
#[tokio::test]
async fn each_user_logs_in_to_an_enclave_of_their_own_and_again_to_the_same() {
    let rig = rig().await;
    publish(&rig.user("publisher", None).await, "1.0", b"one").await.expect(StatusCode::CREATED);
    let mut points = Vec::new();
    for name in ["alice", "bob"] {
        let body = json!({"username": name, "password": PASSWORD});
        let answer = rig.post("/signup", body.clone()).await.expect(StatusCode::OK);
        assert_eq!(answer, json!({"success": true, "message": "Signed up successfully"}));
        let again = rig.post("/signup", body).await;
        assert!(again.expect(StatusCode::BAD_REQUEST)["error"].is_string());
        let identity = Identity::new(name);
        let first = log_in(&rig, Some(&identity), name, PASSWORD).await.expect(StatusCode::OK);
        assert_eq!((&first["success"], &first["enclaveName"]), (&json!(true), &json!("hello")));
        let second = log_in(&rig, Some(&identity), name, PASSWORD).await.expect(StatusCode::OK);
        assert_eq!(first["accessPoint"], second["accessPoint"]);
        // coder/coder#26146: a token stood in such an address.
        let (point, token) = (first["accessPoint"].as_str().unwrap(), first["token"].as_str().unwrap());
        assert!(!point.contains("eyJ") && !point.contains(token), "{point}");
        let other = Identity::new(name);
        log_in(&rig, Some(&other), name, PASSWORD).await.refused("not_the_owner");
        points.push(first["accessPoint"].clone());
    }
    assert_ne!(points[0], points[1]);
    assert_eq!(rig.controller.starts(), 2);
}

/// The original answered a wrong password with 200, and checked it against the first account (portal.md 1.1, defect 1).
#[tokio::test]
async fn a_wrong_password_is_told_in_the_originals_words_and_starts_nothing() {
    let rig = rig().await;
    rig.user("alice", None).await;
    let identity = Identity::new("alice");
    for name in ["alice", "nobody"] {
        let answer = log_in(&rig, Some(&identity), name, "another long password").await;
        assert_eq!(answer.expect(StatusCode::UNAUTHORIZED), json!({"message": "Invalid credentials"}));
    }
    log_in(&rig, None, "alice", PASSWORD).await.refused("certificate_required");
    assert_eq!(rig.controller.starts(), 0);
    for body in [json!({"username": "x"}), json!({"username": "../x", "password": PASSWORD}), Value::Null] {
        assert!(rig.post("/signup", body).await.status.is_client_error());
    }
}

async fn log_in_at(enclave: &FakeEnclave, nonce: &str) -> Answer {
    let rig = rig_with(|config| config.edge.clone_from(&enclave.address)).await;
    publish(&rig.user("publisher", None).await, "1.0", b"one").await.expect(StatusCode::CREATED);
    rig.post("/signup", json!({"username": "alice", "password": PASSWORD})).await.expect(StatusCode::OK);
    let body = json!({"username": "alice", "password": PASSWORD, "nonce": nonce});
    let identity = Identity::new("alice");
    rig.send(Some(&identity), json_request(Method::POST, "/login", None, &body)).await
}

/// The original's README promised quote, attestation key and certificate; its code answered a sentence (portal.md 1.1).
#[tokio::test]
async fn with_a_nonce_the_login_has_what_the_enclaves_tpm_signed_over_it() {
    let enclave = FakeEnclave::serve("alice", Says::Truth).await;
    let answer = log_in_at(&enclave, &"ab".repeat(32)).await.expect(StatusCode::OK);
    let bytes = |field: &str| Base64::decode_vec(answer[field].as_str().unwrap()).unwrap();
    assert_eq!(answer["certificate"], enclave.certificate.to_pem());
    let statement = Statement::parse(&bytes("statement")).unwrap();
    assert_eq!(statement.nonce, [0xab; 32]);
    assert_eq!(statement.certificate.unwrap().as_bytes(), &enclave.certificate.sha256());
    let proof: Proof = serde_json::from_value(answer["proof"].clone()).unwrap();
    let root = proof.root(&tree::leaf(&bytes("statement"))).unwrap();
    let quote = tpm2::Attest::parse(&bytes("quote")).unwrap();
    assert_eq!(quote.extra_data(), quote_data(proof.count, root.as_bytes()).as_bytes());
    let world = forge::World::new();
    assert_eq!(answer["attestationPublicKey"], pki::public_key_pem(&world.ak.spki()));
    let signature = tpm2::Signature::parse(&bytes("quoteSignature")).unwrap();
    tpm2::verify_signature(&world.ak.public, &bytes("quote"), &signature).unwrap();
}

#[tokio::test]
async fn a_login_answers_no_quote_that_is_not_over_its_nonce_and_the_certificate() {
    for says in [Says::OtherNonce, Says::OtherCertificate, Says::Nonsense, Says::Refusal, Says::Nothing] {
        let enclave = FakeEnclave::serve("alice", says).await;
        log_in_at(&enclave, &"ab".repeat(32)).await.refused("evidence_unavailable");
    }
    // Another user's enclave has another name.
    let enclave = FakeEnclave::serve("bob", Says::Truth).await;
    log_in_at(&enclave, &"ab".repeat(32)).await.refused("evidence_unavailable");
    for nonce in ["", "ab", &"AB".repeat(32), &"ab".repeat(33)] {
        log_in_at(&enclave, nonce).await.refused("malformed");
    }
}
