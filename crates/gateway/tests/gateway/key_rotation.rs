//! Token keys of several gateways, while they rotate.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gateway::TokenKeys;
use http::StatusCode;
use serde_json::{Value, json};

use crate::rig::{Rig, get, replica, rig, rig_with};

fn fast(config: &mut gateway::Config) {
    config.settings.token_keys = TokenKeys { rotate: 1, poll: 1 };
}

fn kids(set: &Value) -> BTreeSet<String> {
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn served(rig: &Rig) -> BTreeSet<String> {
    kids(&rig.send(None, get("/.well-known/jwks.json", None)).await.expect(StatusCode::OK))
}

/// A token of one gateway is good at the other at once, without waiting for a look at the others' keys; and the facades' file has all keys.
#[tokio::test]
async fn a_token_of_one_gateway_is_good_at_the_other() {
    let first = rig().await;
    let second = replica(&first, |_| {}).await;
    let session = first.user("alice", None).await;
    second.send(None, get("/v1/me", Some(session.access_token()))).await.expect(StatusCode::OK);
    let session = second.log_in("alice", None).await;
    first.send(None, get("/v1/me", Some(session.access_token()))).await.expect(StatusCode::OK);
    assert_eq!(served(&first).await.len(), 2);
    assert_eq!(served(&first).await, served(&second).await);
    let file: Value = serde_json::from_slice(&first.file("jwks.json")).unwrap();
    assert_eq!(kids(&file), served(&first).await);
}

/// Two gateways that rotate all the time: every token that was given holds at both, before, in and after a rotation, and every key that has signed
/// was in the facades' file before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_keys_rotate() {
    let first = rig_with(fast).await;
    let second = replica(&first, fast).await;
    let session = first.user("alice", None).await;
    let mut refresh_token = session.refresh_token().to_owned();
    let mut tokens = vec![session.access_token().to_owned()];
    let began = Instant::now();
    let mut signed_with = BTreeSet::new();
    while signed_with.len() < 4 {
        assert!(began.elapsed() < Duration::from_secs(60), "no rotation: {signed_with:?}");
        for (giver, reader) in [(&first, &second), (&second, &first)] {
            let body = json!({"refresh_token": refresh_token});
            let given = giver.post("/v1/sessions/refresh", body).await.expect(StatusCode::OK);
            refresh_token = given["refresh_token"].as_str().unwrap().to_owned();
            let token = given["access_token"].as_str().unwrap().to_owned();
            let kid = crate::tokens::header(&token)["kid"].as_str().unwrap().to_owned();
            let file: Value = serde_json::from_slice(&first.file("jwks.json")).unwrap();
            assert!(kids(&file).contains(&kid), "a facade does not know the key");
            signed_with.insert(kid);
            reader.send(None, get("/v1/me", Some(&token))).await.expect(StatusCode::OK);
            tokens.push(token);
        }
        let oldest = &tokens[0];
        first.send(None, get("/v1/me", Some(oldest))).await.expect(StatusCode::OK);
        second.send(None, get("/v1/me", Some(oldest))).await.expect(StatusCode::OK);
    }
}

/// A restart makes a new key, and the tokens of before hold.
#[tokio::test]
async fn a_restart_ends_no_token() {
    let rig = rig().await;
    let token = rig.user("alice", None).await.access_token().to_owned();
    let before = served(&rig).await;
    let rig = rig.restart().await;
    rig.send(None, get("/v1/me", Some(&token))).await.expect(StatusCode::OK);
    assert!(served(&rig).await.is_superset(&before));
    assert_eq!(served(&rig).await.len(), 2);
}
