//! Sign-up, log-in, refresh and sign-out.

use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::rig::{Identity, PASSWORD, Rig, get, json_request, rig};

pub async fn log_in(rig: &Rig, name: &str, password: &str) -> crate::rig::Answer {
    rig.post("/v1/sessions", json!({"name": name, "password": password})).await
}

/// Wrong passwords were answered with 200 (portal.md 1.1, the REST table); and the answer must not tell which names there are, also not by a
/// password that is too long to be one (CVE-2025-22234).
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
    let endless = "x".repeat(1025);
    for (name, password) in [
        ("alice", endless.as_str()),
        ("carol", endless.as_str()),
        ("carol", "another long password"),
        ("not/a name", "another long password"),
        ("alice", "short"),
        ("carol", "short"),
    ] {
        assert_eq!(same(log_in(&rig, name, password).await), wrong, "{name}");
    }
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

/// GHSA-3rw9-wmc8-8948: a session outlived its end. Whatever its tokens say, what the database says counts.
#[tokio::test]
async fn a_session_that_has_ended_answers_nothing_more() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    session.get("/v1/me").await.expect(StatusCode::OK);
    rig.sql(&format!("UPDATE sessions SET expires_at = {}", crate::rig::now() - 1));
    session.get("/v1/me").await.refused("session_revoked");
    let body = json!({"refresh_token": session.refresh_token()});
    rig.post("/v1/sessions/refresh", body).await.refused("session_revoked");
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
