//! The twelve defects of the original licensing server (portal.md 1.1), as far as they are about accounts and can be seen from here.
//!
//! The others: 3 `testbed::users_with_the_same_names_for_things_have_enclaves_hosts_and_certificates_of_their_own`; 4 also
//! `tokens::what_facades_read_can_not_sign_tokens`; 5 `signer::no_certificate_is_signed_by_its_own_key_and_every_chain_ends_in_the_ca`; 7
//! `testbed::only_gateway_and_edge_listen_and_both_refuse_plain_http` and `server::the_peer_of_a_connection_is_this_process`; 11
//! `ensemble::a_file_in_utf_16_is_refused` and `testbed::private_files_are_private`; 12 `enclaves`, `accounts` (sign-out) and
//! `controller::a_suspended_license_warns_its_enclaves_and_then_stops_them`. docs/threats.md has the whole table.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::accounts::log_in;
use crate::rig::{PASSWORD, get, rig};

/// The original looked accounts up without a condition: each login was checked against the first account, whose password
/// gave a token for any name (portal.md 1.1, defect 1).
#[tokio::test]
async fn a_password_opens_only_its_own_account() {
    let rig = rig().await;
    for (name, password) in [("alice", "the password of alice"), ("bob", "the password of bob")] {
        rig.post("/v1/users", json!({"name": name, "password": password})).await.expect(StatusCode::CREATED);
    }
    let bob = log_in(&rig, "bob", "the password of bob").await.expect(StatusCode::OK);
    assert_eq!(bob["user"]["name"], "bob");
    log_in(&rig, "bob", "the password of alice").await.refused("bad_credentials");
    log_in(&rig, "alice", "the password of bob").await.refused("bad_credentials");
    log_in(&rig, "carol", "the password of alice").await.refused("bad_credentials");
    log_in(&rig, "", "the password of alice").await.refused("bad_credentials");
}

/// An unknown user was answered without hashing (portal.md 1.1, defect 10). The shortest of several tries is compared: it can only be short
/// when the work is left out.
#[tokio::test]
async fn an_unknown_name_costs_as_much_as_a_known_one() {
    let rig = rig().await;
    rig.user("alice", None).await;
    let shortest = async |name: &str| {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let began = Instant::now();
            log_in(&rig, name, "another long password").await.refused("bad_credentials");
            best = best.min(began.elapsed());
        }
        best
    };
    let (known, unknown) = (shortest("alice").await, shortest("carol").await);
    assert!(unknown > known / 2 && known > unknown / 2, "known {known:?}, unknown {unknown:?}");
}

/// bcrypt cut passwords at 72 bytes, and the original had no length rule (portal.md 1.1, defect 10; CVE-2025-22228).
#[tokio::test]
async fn passwords_have_bounds_and_nothing_is_cut_off() {
    let rig = rig().await;
    let sign_up = async |name: &str, password: &str| {
        rig.post("/v1/users", json!({"name": name, "password": password})).await
    };
    sign_up("a", &"x".repeat(14)).await.refused("invalid_password");
    sign_up("a", &"x".repeat(1025)).await.refused("invalid_password");
    sign_up("a", &"\u{e4}".repeat(14)).await.refused("invalid_password");
    sign_up("a", &"\u{1f512}".repeat(15)).await.expect(StatusCode::CREATED);
    let long = "x".repeat(1023);
    sign_up("b", &format!("{long}y")).await.expect(StatusCode::CREATED);
    log_in(&rig, "b", &format!("{long}z")).await.refused("bad_credentials");
    log_in(&rig, "b", &format!("{long}y")).await.expect(StatusCode::OK);
}

/// Duplicate names, missing passwords and odd names ended the original's process (portal.md 1.1, defects 8 and 9).
#[tokio::test]
async fn odd_sign_ups_are_refused_and_the_service_lives_on() {
    let rig = rig().await;
    rig.user("alice", None).await;
    for (body, code) in [
        (json!({"name": "alice", "password": PASSWORD}), "name_taken"),
        (json!({"name": "carol"}), "malformed"),
        (json!({"password": PASSWORD}), "malformed"),
        (json!({"name": null, "password": PASSWORD}), "malformed"),
        (json!({"name": {"$ne": ""}, "password": PASSWORD}), "malformed"),
        (json!({"name": "carol", "password": 123_456_789_012_345_i64}), "malformed"),
        (json!({"name": "carol", "password": PASSWORD, "admin": true}), "malformed"),
        (json!({"name": "carol", "password": PASSWORD, "second_factor": {"totp": "123456"}}), "malformed"),
        (json!([]), "malformed"),
        (json!("alice"), "malformed"),
        (json!({"name": "", "password": PASSWORD}), "invalid_name"),
        (json!({"name": "../../etc", "password": PASSWORD}), "invalid_name"),
        (json!({"name": "a b", "password": PASSWORD}), "invalid_name"),
        (json!({"name": "a\u{0}", "password": PASSWORD}), "invalid_name"),
        (json!({"name": "\u{212a}arl", "password": PASSWORD}), "invalid_name"),
        (json!({"name": "x".repeat(65), "password": PASSWORD}), "invalid_name"),
        (json!({"name": "x".repeat(16_000), "password": PASSWORD}), "invalid_name"),
        (json!({"name": "x".repeat(900_000), "password": PASSWORD}), "too_large"),
    ] {
        rig.post("/v1/users", body).await.refused(code);
    }
    rig.send(None, get("/v1/health", None)).await.expect(StatusCode::OK);
}

/// The original dropped its users at each start (portal.md 1.1, defect 6).
#[tokio::test]
async fn a_restart_keeps_users_and_sessions() {
    let rig = rig().await;
    let refresh_token = rig.user("alice", None).await.refresh_token().to_owned();
    let rig = rig.restart().await;
    rig.log_in("alice", None).await;
    rig.post("/v1/sessions/refresh", json!({"refresh_token": refresh_token})).await.expect(StatusCode::OK);
}

/// Defect 2: a server that was given a key and a certificate spoke plain HTTP.
#[tokio::test]
async fn plain_http_gets_no_answer() {
    let rig = rig().await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: gateway\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

/// Defect 4: every enclave held the secret that signs tokens. Facades are given public keys, and nothing else of the gateway is in that file.
#[tokio::test]
async fn facades_are_given_public_keys_only() {
    let rig = rig().await;
    let keys: Value = serde_json::from_slice(&rig.file("jwks.json")).unwrap();
    for key in keys["keys"].as_array().unwrap() {
        assert_eq!(key["kty"], "EC");
        for private in ["d", "k", "p", "q"] {
            assert_eq!(key.get(private), None);
        }
    }
}

/// Defect 9: names went into labels as they were. An account's name has one plain form before it goes anywhere.
#[tokio::test]
async fn a_name_is_plain_wherever_it_goes() {
    let rig = rig().await;
    let created = rig.post("/v1/users", json!({"name": "Alice.B_c@Example", "password": PASSWORD})).await;
    assert_eq!(created.expect(StatusCode::CREATED)["name"], "alice.b_c@example");
    for name in ["a'b", "a\"b", "a;b", "a$(b)", "a\nb", "a%00", "a&b", "<a>", "a:b", "..", "a\\b"] {
        rig.post("/v1/users", json!({"name": name, "password": PASSWORD})).await.refused("invalid_name");
    }
}
