//! A user's own sessions and password.

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::accounts::log_in;
use crate::rig::{Identity, PASSWORD, get, json_request, rig};

const OTHER: &str = "another long password";

#[tokio::test]
async fn sessions_are_listed_with_what_the_client_said() {
    let rig = rig().await;
    let identity = Identity::new("alice");
    let first = rig.user("alice", None).await;
    let second = rig.log_in("alice", Some(&identity)).await;
    let mut request =
        json_request(Method::POST, "/v1/sessions", None, &json!({"name": "alice", "password": PASSWORD}));
    let said = format!("sealwright/0.1 (\u{1}{})", "x".repeat(100)).replace('\u{1}', "");
    request.headers_mut().insert(header::USER_AGENT, said.parse().unwrap());
    rig.send(None, request).await.expect(StatusCode::OK);
    let listed = second.get("/v1/sessions").await.expect(StatusCode::OK);
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3);
    let current: Vec<&Value> = sessions.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["bound"], true);
    assert_eq!(sessions.iter().filter(|session| session["bound"] == true).count(), 1);
    let clients: Vec<&str> = sessions.iter().filter_map(|session| session["client"].as_str()).collect();
    assert!(
        clients.iter().any(|client| client.starts_with("sealwright/0.1") && client.len() == 64),
        "{clients:?}"
    );
    first.get("/v1/me").await.expect(StatusCode::OK);
}

#[tokio::test]
async fn one_session_or_all_others_are_ended_and_nobody_elses() {
    let rig = rig().await;
    let first = rig.user("alice", None).await;
    let second = rig.log_in("alice", None).await;
    let third = rig.log_in("alice", None).await;
    let bob = rig.user("bob", None).await;
    let current = async |session: &crate::rig::Session<'_>| {
        let listed = session.get("/v1/sessions").await.expect(StatusCode::OK);
        let sessions = listed["sessions"].as_array().unwrap().clone();
        sessions.iter().find(|one| one["current"] == true).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let id = current(&second).await;
    bob.call(Method::DELETE, &format!("/v1/sessions/{id}"), Value::Null).await.refused("not_found");
    second.get("/v1/me").await.expect(StatusCode::OK);
    first
        .call(Method::DELETE, &format!("/v1/sessions/{id}"), Value::Null)
        .await
        .expect(StatusCode::NO_CONTENT);
    second.get("/v1/me").await.refused("session_revoked");
    first.call(Method::DELETE, &format!("/v1/sessions/{id}"), Value::Null).await.refused("not_found");
    first.call(Method::DELETE, "/v1/sessions/nonsense", Value::Null).await.refused("not_found");
    let ended = first.call(Method::DELETE, "/v1/sessions", Value::Null).await.expect(StatusCode::OK);
    assert_eq!(ended["ended"], 1);
    third.get("/v1/me").await.refused("session_revoked");
    let body = json!({"refresh_token": third.refresh_token()});
    rig.post("/v1/sessions/refresh", body).await.refused("session_revoked");
    first.get("/v1/me").await.expect(StatusCode::OK);
    bob.get("/v1/me").await.expect(StatusCode::OK);
}

/// CVE-2026-40934 (jupyter-server), CVE-2026-43911 (Vaultwarden): cookie and refresh token outlived a change of the password.
#[tokio::test]
async fn a_new_password_ends_every_other_session_and_refresh_token() {
    let rig = rig().await;
    let thief = rig.user("alice", None).await;
    let owner = rig.log_in("alice", None).await;
    let change = async |old: &str, new: &str| {
        owner.call(Method::PUT, "/v1/me/password", json!({"old_password": old, "new_password": new})).await
    };
    change(OTHER, OTHER).await.refused("wrong_password");
    change(PASSWORD, "short").await.refused("invalid_password");
    change(PASSWORD, "alice-sealwright").await.refused("known_password");
    change(PASSWORD, OTHER).await.expect(StatusCode::NO_CONTENT);
    owner.get("/v1/me").await.expect(StatusCode::OK);
    thief.get("/v1/me").await.refused("session_revoked");
    let body = json!({"refresh_token": thief.refresh_token()});
    rig.post("/v1/sessions/refresh", body).await.refused("session_revoked");
    log_in(&rig, "alice", PASSWORD).await.refused("bad_credentials");
    log_in(&rig, "alice", OTHER).await.expect(StatusCode::OK);
}

/// CVE-2026-27840: a truncated opaque token was accepted.
#[tokio::test]
async fn a_refresh_token_matches_whole_or_not_at_all() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let token = session.refresh_token().to_owned();
    let refresh = async |token: &str| rig.post("/v1/sessions/refresh", json!({"refresh_token": token})).await;
    for wrong in [
        &token[..token.len() - 1],
        &token[1..],
        "",
        &format!("{token}="),
        &format!("{token}\n"),
        &format!(" {token}"),
    ] {
        refresh(wrong).await.refused("token_invalid");
    }
    refresh(&"x".repeat(5000)).await.refused("token_invalid");
    refresh(&token).await.expect(StatusCode::OK);
}

/// A hash that was made with bcrypt elsewhere (the original used cost 10): right once, then it is Argon2id. And a password that bcrypt would have cut
/// never matches by its beginning (CVE-2025-22228).
#[tokio::test]
async fn a_bcrypt_hash_is_replaced_at_the_first_login() {
    let rig = rig().await;
    // Of "an old password", by libxcrypt: not by the library that checks it here.
    let hash = "$2b$10$abcdefghijklmnopqrstuuAoEKbT94EPXNlVUE9AK2Q/3bKYld/ZS";
    let id = store::UserId::from_bytes([9; 16]);
    let user = store::User {
        id,
        name: "old".into(),
        password_hash: hash.into(),
        role: store::Role::User,
        disabled_at: None,
        created_at: 1,
    };
    rig.store.create_user(&user).await.unwrap();
    log_in(&rig, "old", "an old passwort").await.refused("bad_credentials");
    log_in(&rig, "old", &format!("an old password{}", "x".repeat(80))).await.refused("bad_credentials");
    assert_eq!(rig.store.user(&id).await.unwrap().unwrap().password_hash, hash);
    log_in(&rig, "old", "an old password").await.expect(StatusCode::OK);
    assert!(rig.store.user(&id).await.unwrap().unwrap().password_hash.starts_with("$argon2id$"));
    log_in(&rig, "old", "an old password").await.expect(StatusCode::OK);
}

/// RUSTSEC-2026-0199: a damaged hash in the database ended the process.
#[tokio::test]
async fn a_damaged_hash_is_an_error_of_ours_and_the_service_lives_on() {
    let rig = rig().await;
    for (number, hash) in ["$2b$10$\u{a3}", "$argon2id$nonsense", ""].into_iter().enumerate() {
        let user = store::User {
            id: store::UserId::from_bytes([number as u8; 16]),
            name: format!("damaged{number}"),
            password_hash: hash.into(),
            role: store::Role::User,
            disabled_at: None,
            created_at: 1,
        };
        rig.store.create_user(&user).await.unwrap();
        log_in(&rig, &user.name, PASSWORD).await.refused("internal");
    }
    rig.send(None, get("/v1/health", None)).await.expect(StatusCode::OK);
}
