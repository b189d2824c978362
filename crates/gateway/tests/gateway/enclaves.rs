//! Enclave requests, and that nobody reaches an enclave of somebody else.

use base64ct::{Base64UrlUnpadded, Encoding};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::apps::publish;
use crate::rig::{Identity, Rig, Session, rig, trust_domain};

pub async fn alice(rig: &Rig) -> Session<'_> {
    let identity = Identity::new("alice");
    let session = rig.user("alice", Some(&identity)).await;
    publish(&session, "1.0", b"one").await.expect(StatusCode::CREATED);
    session
}

pub async fn create(session: &Session<'_>, name: &str) -> Value {
    session.post("/v1/enclaves", json!({"name": name, "app": "hello"})).await.expect(StatusCode::ACCEPTED)
}

#[tokio::test]
async fn creating_tells_its_stages_and_ends_running() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    let created = create(&alice, "notes").await;
    assert_eq!(created["owner"], json!(alice.identity.as_ref().unwrap().owner()));
    assert_eq!(created["host"], "notes-alice.enclaves.localhost");
    assert_eq!(created["edge"], "127.0.0.1:4433");
    for address in ["host", "edge"] {
        alice.is_not_given_away_by(&created[address]);
    }
    let stages = alice.stages("notes").await;
    assert_eq!(stages.last().unwrap()["name"], "ready");
    let enclave = alice.get("/v1/enclaves/notes").await.expect(StatusCode::OK);
    assert_eq!((&enclave["state"], &enclave["incarnation"]), (&json!("running"), &json!(1)));
    assert_eq!(alice.get("/v1/enclaves").await.expect(StatusCode::OK)["enclaves"], json!([enclave]));
    assert_eq!(alice.get("/v1/enclaves/notes/logs").await.body, "output of notes");
}

/// Watching is a GET: it may not start anything, however often it is done (GHSA-m3cr-vc2j-pm27).
#[tokio::test]
async fn watching_starts_nothing() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "notes").await;
    alice.stages("notes").await;
    alice.stages("notes").await;
    assert_eq!(rig.controller.starts(), 1);
    alice.post("/v1/enclaves/notes/stop", Value::Null).await.expect(StatusCode::OK);
    alice.get("/v1/enclaves/notes/stages").await.refused("wrong_state");
    assert_eq!(rig.controller.starts(), 1);
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    for name in ["one", "two"] {
        create(&alice, name).await;
    }
    let first = alice.get("/v1/enclaves?limit=1").await.expect(StatusCode::OK);
    assert_eq!(first["enclaves"].as_array().unwrap().len(), 1);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = alice.get(&format!("/v1/enclaves?limit=1&cursor={cursor}")).await.expect(StatusCode::OK);
    assert_ne!(first["enclaves"][0]["name"], second["enclaves"][0]["name"]);
    assert_eq!(second.get("next_cursor"), None);
    for query in ["limit=0", "limit=101", "limit=x", "limit=1&limit=2", "cursor=", "cursor=%00", "page=2"] {
        alice.get(&format!("/v1/enclaves?{query}")).await.refused("malformed");
        alice.get(&format!("/v1/apps?{query}")).await.refused("malformed");
    }
    assert_eq!(
        alice.get("/v1/apps?limit=1").await.expect(StatusCode::OK)["apps"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_failed_start_says_why() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "broken").await;
    let last = alice.stages("broken").await.pop().unwrap();
    assert_eq!((&last["name"], &last["reason"]), (&json!("failed"), &json!("spawn")));
    let enclave = alice.get("/v1/enclaves/broken").await.expect(StatusCode::OK);
    assert_eq!((&enclave["state"], &enclave["reason"]), (&json!("failed"), &json!("spawn")));
}

/// The original had no way to stop or delete (portal.md 1.1, defect 12).
#[tokio::test]
async fn an_enclave_stops_starts_again_and_goes_away() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "notes").await;
    alice.stages("notes").await;
    for _ in 0..2 {
        let stopped = alice.post("/v1/enclaves/notes/stop", Value::Null).await.expect(StatusCode::OK);
        assert_eq!(stopped["state"], "stopped");
    }
    alice.post("/v1/enclaves/notes/start", Value::Null).await.expect(StatusCode::ACCEPTED);
    assert_eq!(alice.stages("notes").await.last().unwrap()["name"], "ready");
    let again = alice.post("/v1/enclaves/notes/start", Value::Null).await.expect(StatusCode::OK);
    assert_eq!((&again["state"], &again["incarnation"]), (&json!("running"), &json!(2)));
    alice.call(Method::DELETE, "/v1/enclaves/notes", Value::Null).await.expect(StatusCode::NO_CONTENT);
    alice.get("/v1/enclaves/notes").await.refused("not_found");
    alice.call(Method::DELETE, "/v1/enclaves/notes", Value::Null).await.refused("not_found");
    create(&alice, "notes").await;
}

/// The original had one fixed enclave for everybody (portal.md 1.1, defects 3 and 9).
#[tokio::test]
async fn each_user_has_enclaves_of_their_own() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    let identity = Identity::new("bob");
    let bob = rig.user("B.ob@Example.com", Some(&identity)).await;
    let (hers, his) = (create(&alice, "notes").await, create(&bob, "notes").await);
    assert_ne!(hers["id"], his["id"]);
    assert_ne!(hers["host"], his["host"]);
    let host = his["host"].as_str().unwrap();
    let label = host.strip_suffix(".enclaves.localhost").unwrap();
    assert!(
        label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    );
    alice.post("/v1/enclaves", json!({"name": "notes", "app": "hello"})).await.refused("name_taken");
}

/// CVE-2026-27898: one endpoint skipped the owner check. Every route that names an enclave, asked by somebody else.
#[tokio::test]
async fn a_foreign_enclave_is_not_found_on_every_route() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "notes").await;
    alice.stages("notes").await;
    let identity = Identity::new("bob");
    let bob = rig.user("bob", Some(&identity)).await;
    for (method, route) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "/start"),
        (Method::POST, "/stop"),
        (Method::POST, "/cancel"),
        (Method::GET, "/events"),
        (Method::POST, "/token"),
        (Method::GET, "/logs"),
        (Method::GET, "/stages"),
    ] {
        for name in ["notes", "nothing", "..%2fnotes", "%ff", "NOTES"] {
            let path = format!("/v1/enclaves/{name}{route}");
            bob.call(method.clone(), &path, Value::Null).await.refused("not_found");
        }
    }
    assert_eq!(bob.get("/v1/enclaves").await.expect(StatusCode::OK)["enclaves"], json!([]));
    assert_eq!(alice.get("/v1/enclaves/notes").await.expect(StatusCode::OK)["state"], "running");
}

#[tokio::test]
async fn an_enclave_needs_an_owner_an_app_and_a_name() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    let keyless = rig.log_in("alice", None).await;
    keyless
        .post("/v1/enclaves", json!({"name": "notes", "app": "hello"}))
        .await
        .refused("certificate_required");
    for (body, code) in [
        (json!({"name": "notes", "app": "other"}), "not_found"),
        (json!({"name": "notes", "app": "hello", "version": "9"}), "not_found"),
        (json!({"name": "notes", "app": "hello", "owner": "00"}), "malformed"),
        (json!({"name": "Notes", "app": "hello"}), "invalid_name"),
        (json!({"name": "", "app": "hello"}), "invalid_name"),
        (json!({"name": "a/b", "app": "hello"}), "invalid_name"),
    ] {
        alice.post("/v1/enclaves", body).await.refused(code);
    }
    assert_eq!(alice.get("/v1/enclaves").await.expect(StatusCode::OK)["enclaves"], json!([]));
}

#[tokio::test]
async fn a_user_has_a_quota() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "one").await;
    create(&alice, "two").await;
    alice.post("/v1/enclaves", json!({"name": "three", "app": "hello"})).await.refused("quota_exceeded");
    alice.stages("one").await;
    alice.post("/v1/enclaves/one/stop", Value::Null).await.expect(StatusCode::OK);
    create(&alice, "three").await;
    alice.post("/v1/enclaves/one/start", Value::Null).await.refused("quota_exceeded");
}

#[tokio::test]
async fn a_token_for_an_enclave_is_for_this_owner_and_nothing_else() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    let id = create(&alice, "notes").await["id"].as_str().unwrap().parse().unwrap();
    let answer = alice.post("/v1/enclaves/notes/token", Value::Null).await.expect(StatusCode::OK);
    let token = answer["token"].as_str().unwrap();
    let claims: Value =
        serde_json::from_slice(&Base64UrlUnpadded::decode_vec(token.split('.').nth(1).unwrap()).unwrap())
            .unwrap();
    assert_eq!(claims["aud"], trust_domain().enclave(&id).to_string());
    assert_eq!(claims["sub"], alice.user_id());
    assert!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap() <= 300);

    // It opens the enclave with this certificate; it does not open the gateway.
    let keys = pki::jwk::Jwks::parse(&rig.file("jwks.json")).unwrap();
    let (issuer, audience) =
        (trust_domain().part(names::Part::Gateway).to_string(), trust_domain().enclave(&id).to_string());
    let expected = pki::token::Expected { issuer: &issuer, audience: &audience, now: crate::rig::now() };
    let identity = alice.identity.clone().unwrap();
    pki::token::verify_access_token(token, &keys, &expected, identity.thumbprint().as_bytes()).unwrap();
    rig.send(Some(&identity), crate::rig::get("/v1/me", Some(token))).await.refused("token_invalid");

    // The same account with another key is not the owner.
    let other = Identity::new("alice");
    let second = rig.log_in("alice", Some(&other)).await;
    second.post("/v1/enclaves/notes/token", Value::Null).await.refused("not_the_owner");
    let keyless = rig.log_in("alice", None).await;
    keyless.post("/v1/enclaves/notes/token", Value::Null).await.refused("certificate_required");
}

#[tokio::test]
async fn without_the_controller_wishes_are_kept_and_waiting_is_told() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "notes").await;
    alice.stages("notes").await;
    rig.controller.stop().await;
    let answer = alice.post("/v1/enclaves/notes/stop", Value::Null).await;
    answer.refused("controller_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(alice.get("/v1/enclaves/notes").await.expect(StatusCode::OK)["state"], "stopping");
    alice.call(Method::DELETE, "/v1/enclaves/notes", Value::Null).await.expect(StatusCode::ACCEPTED);
    assert_eq!(alice.get("/v1/enclaves/notes").await.expect(StatusCode::OK)["state"], "deleting");
    alice.post("/v1/enclaves/notes/start", Value::Null).await.refused("wrong_state");
    alice.post("/v1/enclaves", json!({"name": "notes", "app": "hello"})).await.refused("name_taken");

    create(&alice, "late").await;
    let last = alice.stages("late").await.pop().unwrap();
    assert_eq!((&last["name"], &last["reason"]), (&json!("failed"), &json!("controller_unavailable")));
    assert_eq!(alice.get("/v1/enclaves/late").await.expect(StatusCode::OK)["state"], "failed");
}
