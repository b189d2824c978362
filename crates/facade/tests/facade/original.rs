//! `POST /enclave`, as the original's clients know it (portal.md 1.1).

use attested_tls::Application::{Http1, Http2};
use facade::upstream::Address;
use serde_json::{Value, json};

use crate::http::{Client, full};
use crate::world::{Evidence, Person, USER_NAME, World};

/// It is answered before the app.
const NO_APP: Address = Address::Port(1);

async fn knock(client: &mut Client, token: Option<&str>, body: &Value) -> (u16, Value) {
    let builder = match token {
        Some(token) => client.request("POST", "/enclave", token),
        None => client.anonymous("POST", "/enclave"),
    };
    let builder = builder.header("content-type", "application/json");
    client.json(builder.body(full(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn the_owner_is_welcome_and_without_a_nonce_nothing_is_said_of_a_quote() {
    let world = World::start(NO_APP).await;
    for application in [Http1, Http2] {
        let mut client = Client::connect(&world, &world.owner, application).await;
        let (status, answer) =
            knock(&mut client, Some(&world.token()), &json!({"username": USER_NAME})).await;
        let expected = json!({"message": "Authentication successful, Enclave Provisioned"});
        assert_eq!((status, answer), (200, expected));
    }
}

#[tokio::test]
async fn with_a_nonce_the_answer_has_the_quote_its_key_and_the_certificate() {
    let world = World::start(NO_APP).await;
    *world.agent.evidence.lock().await = Evidence::Forge;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    let body = json!({"username": "ALICE", "nonce": "ab".repeat(32)});
    let (status, answer) = knock(&mut client, Some(&world.token()), &body).await;
    assert_eq!(status, 200, "{answer}");
    for field in ["quote", "quoteSignature", "statement", "attestationPublicKey", "certificate"] {
        assert!(answer[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {answer}");
    }
    assert!(answer["attestationPublicKey"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert!(answer["certificate"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert!(answer["proof"]["path"].is_array());
}

/// What the agent says is passed on only where it is over this nonce: the fake one's echo is not.
#[tokio::test]
async fn nothing_is_made_up_where_the_agent_says_something_else() {
    let world = World::start(NO_APP).await;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    let body = json!({"username": USER_NAME, "nonce": "ab".repeat(32)});
    let (status, answer) = knock(&mut client, Some(&world.token()), &body).await;
    assert_eq!((status, &answer["code"]), (502, &json!("evidence_unavailable")));
    let body = json!({"username": USER_NAME, "nonce": "ab"});
    let (status, answer) = knock(&mut client, Some(&world.token()), &body).await;
    assert_eq!((status, &answer["code"]), (400, &json!("nonce_invalid")));
}

/// The original's words for what it refused, with its statuses.
#[tokio::test]
async fn refusals_are_told_in_the_originals_words() {
    let world = World::start(NO_APP).await;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    let mut expired = world.gateway.claims(&world.owner);
    expired.exp = crate::world::now() - 1;
    let mut nameless = world.gateway.claims(&world.owner);
    nameless.username = None;
    let sign = |claims| world.gateway.sign(claims);
    let good = json!({"username": USER_NAME});
    for (token, body, status, error) in [
        (None, good.clone(), 401, "Authorization header missing"),
        (Some("nonsense".to_owned()), good.clone(), 401, "Invalid or expired token"),
        (Some(sign(&expired)), good.clone(), 401, "Invalid or expired token"),
        (Some(sign(&nameless)), good, 400, "Not Authorized"),
        (Some(world.token()), json!({"username": "bob"}), 400, "Not Authorized"),
    ] {
        let answer = knock(&mut client, token.as_deref(), &body).await;
        assert_eq!(answer, (status, json!({"error": error})), "{body}");
    }
    for body in [json!(null), json!([]), json!({}), json!({"username": USER_NAME, "more": 1})] {
        let (status, answer) = knock(&mut client, Some(&world.token()), &body).await;
        assert!(status == 400 && answer["error"].is_string(), "{body}: {answer}");
    }
    let body = json!({"username": "x".repeat(10_000)});
    let (status, answer) = knock(&mut client, Some(&world.token()), &body).await;
    assert_eq!((status, &answer["code"]), (413, &json!("too_large")));
    // Another key's holder learns what everybody else with that key learns.
    let mut stranger = Client::connect(&world, &Person::new(), Http1).await;
    let (status, answer) = knock(&mut stranger, Some(&world.token()), &json!({"username": USER_NAME})).await;
    assert_eq!((status, &answer["code"]), (403, &json!("not_owner")));
}

/// Only this method at this path is ours.
#[tokio::test]
async fn what_is_not_exactly_it_goes_to_the_app() {
    let world = World::start(NO_APP).await;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    for (method, path) in
        [("GET", "/enclave"), ("POST", "/enclave/"), ("POST", "/Enclave"), ("PUT", "/enclave")]
    {
        let request = client.request(method, path, &world.token()).body(full("{}")).unwrap();
        assert_eq!(client.code(request).await, (502, "app_unreachable".to_owned()), "{method} {path}");
    }
}
