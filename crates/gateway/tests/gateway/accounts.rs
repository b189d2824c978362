//! Sign-up, log-in, refresh and sign-out.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::rig::{Identity, PASSWORD, Rig, get, json_request, rig};

async fn log_in(rig: &Rig, name: &str, password: &str) -> crate::rig::Answer {
    rig.post("/v1/sessions", json!({"name": name, "password": password})).await
}

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

/// Wrong passwords were answered with 200 (portal.md 1.1, the REST table); and the answer must not tell which names there are.
#[tokio::test]
async fn unknown_names_and_wrong_passwords_get_the_same_answer() {
    let rig = rig().await;
    rig.user("alice", None).await;
    let same = |answer: crate::rig::Answer| {
        let mut problem = answer.json();
        problem["request_id"] = Value::Null;
        (answer.status, problem)
    };
    let wrong = same(log_in(&rig, "alice", "another long password").await);
    assert_eq!(wrong.0, StatusCode::UNAUTHORIZED);
    for (name, password) in [
        ("carol", "another long password"),
        ("not/a name", "another long password"),
        ("alice", "short"),
        ("carol", "short"),
    ] {
        assert_eq!(same(log_in(&rig, name, password).await), wrong, "{name}");
    }
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
    assert!(unknown > known / 2, "known {known:?}, unknown {unknown:?}");
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

/// Names are one whatever their case.
#[tokio::test]
async fn names_are_unique_after_folding() {
    let rig = rig().await;
    rig.user("alice", None).await;
    let again = json!({"name": "ALICE", "password": PASSWORD});
    rig.post("/v1/users", again).await.refused("name_taken");
    rig.log_in("Alice", None).await;
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
        (json!([]), "malformed"),
        (json!("alice"), "malformed"),
        (json!({"name": "", "password": PASSWORD}), "invalid_name"),
        (json!({"name": "../../etc", "password": PASSWORD}), "invalid_name"),
        (json!({"name": "a b", "password": PASSWORD}), "invalid_name"),
        (json!({"name": "a\u{0}", "password": PASSWORD}), "invalid_name"),
        (json!({"name": "\u{212a}arl", "password": PASSWORD}), "invalid_name"),
        (json!({"name": "x".repeat(65), "password": PASSWORD}), "invalid_name"),
        (json!({"name": "x".repeat(900_000), "password": PASSWORD}), "invalid_name"),
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

/// The original had no sign-out (portal.md 1.1, defect 12); JupyterHub's left tokens behind (GHSA-cw7p-q79f-m2v7).
#[tokio::test]
async fn signing_out_ends_every_token_of_the_session_and_no_other() {
    let rig = rig().await;
    let first = rig.user("alice", None).await;
    let second = rig.log_in("alice", None).await;
    let refreshed = rig
        .post("/v1/sessions/refresh", json!({"refresh_token": first.refresh_token()}))
        .await
        .expect(StatusCode::OK);
    first.call(Method::DELETE, "/v1/sessions/current", Value::Null).await.expect(StatusCode::NO_CONTENT);
    first.get("/v1/me").await.refused("session_revoked");
    let newer = refreshed["access_token"].as_str();
    rig.send(None, get("/v1/me", newer)).await.refused("session_revoked");
    let body = json!({"refresh_token": refreshed["refresh_token"]});
    rig.post("/v1/sessions/refresh", body).await.refused("session_revoked");
    second.get("/v1/me").await.expect(StatusCode::OK);
}

/// RFC 9700, 4.14.2: a refresh token that comes twice is in two hands.
#[tokio::test]
async fn a_reused_refresh_token_ends_the_session() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let old = json!({"refresh_token": session.refresh_token()});
    let newer = rig.post("/v1/sessions/refresh", old.clone()).await.expect(StatusCode::OK);
    rig.post("/v1/sessions/refresh", old).await.refused("refresh_reused");
    let body = json!({"refresh_token": newer["refresh_token"]});
    rig.post("/v1/sessions/refresh", body).await.refused("session_revoked");
    session.get("/v1/me").await.refused("session_revoked");
    rig.post("/v1/sessions/refresh", json!({"refresh_token": "made up"})).await.refused("token_invalid");
}

/// CVE-2026-1035: parallel exchanges of one refresh token both succeeded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_parallel_refreshes_one_wins() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let body = json!({"refresh_token": session.refresh_token()});
    let answers = join_all((0..50).map(|_| rig.post("/v1/sessions/refresh", body.clone()))).await;
    let won = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!(won, 1);
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        answer.refused("refresh_reused");
    }
}

#[tokio::test]
async fn a_bound_refresh_token_needs_its_certificate() {
    let rig = rig().await;
    let (alice, mallory) = (Identity::new("alice"), Identity::new("mallory"));
    let session = rig.user("alice", Some(&alice)).await;
    let request = || {
        let body = json!({"refresh_token": session.refresh_token()});
        json_request(Method::POST, "/v1/sessions/refresh", None, &body)
    };
    rig.send(None, request()).await.refused("token_invalid");
    rig.send(Some(&mallory), request()).await.refused("token_invalid");
    rig.send(Some(&alice), request()).await.expect(StatusCode::OK);
}

/// A flood of logins is turned away instead of queued without end, and everything else goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_logins_is_answered_busy() {
    let rig = rig().await;
    let names: Vec<String> = (0..120).map(|number| format!("nobody{number}")).collect();
    let floods = names.iter().map(|name| log_in(&rig, name, "another long password"));
    let answers = join_all(floods).await;
    let busy: Vec<_> =
        answers.iter().filter(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE).collect();
    assert!(!busy.is_empty());
    for answer in busy {
        answer.refused("busy");
        assert!(answer.headers.contains_key("retry-after"));
    }
    rig.send(None, get("/v1/health", None)).await.expect(StatusCode::OK);
}
