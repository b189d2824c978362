//! What the end of a licence does to starts, by the strategy of its plan, and what becomes of it when its holder is disabled.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::apps::publish;
use crate::rig::{Answer, Identity, now, rig_with_licenses};

/// Seconds of warning before a stop.
const WARNING: u64 = 60;

/// What an expired licence still allows.
struct Left {
    new: bool,
    again: bool,
    running: bool,
    validates: bool,
}

#[track_caller]
fn allowed(answer: &Answer, allowed: bool, code: &str) {
    if allowed {
        answer.expect(StatusCode::ACCEPTED);
        return;
    }
    answer.refused("license_refused");
    assert_eq!(answer.json()["validation"], code);
}

async fn check(strategy: &str, left: Left) {
    let rig = rig_with_licenses().await;
    let admin = rig.admin("root").await;
    let alice = rig.user("alice", Some(&Identity::new("alice"))).await;
    publish(&alice, "1.0", b"one").await.expect(StatusCode::CREATED);
    let terms =
        json!({"seats": 2, "enclaves": 2, "entitlements": ["*"], "duration": 3600, "expiration": strategy});
    let plan = json!({"code": "team", "terms": terms});
    admin.post("/v1/admin/plans", plan).await.expect(StatusCode::CREATED);
    let license = json!({"plan": "team", "holder": "alice"});
    let license = admin.post("/v1/admin/licenses", license).await.expect(StatusCode::CREATED);
    let create = async |name: &str| alice.post("/v1/enclaves", json!({"name": name, "app": "hello"})).await;
    for name in ["up", "down"] {
        create(name).await.expect(StatusCode::ACCEPTED);
        alice.stages(name).await;
    }
    alice.post("/v1/enclaves/down/stop", Value::Null).await.expect(StatusCode::OK);
    assert!(rig.store.licenses_to_stop(now(), WARNING).await.unwrap().is_empty());

    rig.sql(&format!("UPDATE licenses SET expires_at = {}", now() - 1));
    // First, so that the other start has no place when it may be made.
    allowed(&create("other").await, left.new, "EXPIRED");
    if left.new {
        alice.stages("other").await;
        alice.post("/v1/enclaves/other/stop", Value::Null).await.expect(StatusCode::OK);
    }
    allowed(&alice.post("/v1/enclaves/down/start", Value::Null).await, left.again, "EXPIRED");
    let stops = rig.store.licenses_to_stop(now(), WARNING).await.unwrap();
    assert_eq!(stops.is_empty(), left.running, "{strategy}: {stops:?}");
    let path = format!("/v1/licenses/{}/validate", license["id"].as_str().unwrap());
    let said = alice.post(&path, json!({})).await.expect(StatusCode::OK);
    assert_eq!((&said["valid"], &said["code"]), (&json!(left.validates), &json!("EXPIRED")), "{strategy}");
}

#[tokio::test]
async fn restrict_access_starts_nothing_and_lets_run_what_runs() {
    check("RESTRICT_ACCESS", Left { new: false, again: false, running: true, validates: false }).await;
}

#[tokio::test]
async fn revoke_access_starts_nothing_and_stops_what_runs() {
    check("REVOKE_ACCESS", Left { new: false, again: false, running: false, validates: false }).await;
}

#[tokio::test]
async fn maintain_access_starts_again_what_there_is_and_nothing_new() {
    check("MAINTAIN_ACCESS", Left { new: false, again: true, running: true, validates: true }).await;
}

#[tokio::test]
async fn allow_access_changes_nothing_but_the_code() {
    check("ALLOW_ACCESS", Left { new: true, again: true, running: true, validates: true }).await;
}

/// A licence goes with its holder: when that account is disabled, those with a seat start nothing more, and what runs on it is stopped.
#[tokio::test]
async fn the_license_of_a_disabled_account_is_banned_for_all_its_users() {
    let rig = rig_with_licenses().await;
    let admin = rig.admin("root").await;
    rig.user("alice", None).await;
    let bob = rig.user("bob", Some(&Identity::new("bob"))).await;
    publish(&bob, "1.0", b"one").await.expect(StatusCode::CREATED);
    let terms = json!({"seats": 2, "enclaves": 2, "entitlements": ["*"], "expiration": "ALLOW_ACCESS"});
    let plan = json!({"code": "team", "terms": terms});
    admin.post("/v1/admin/plans", plan).await.expect(StatusCode::CREATED);
    let license = json!({"plan": "team", "holder": "alice"});
    let license = admin.post("/v1/admin/licenses", license).await.expect(StatusCode::CREATED);
    let id = license["id"].as_str().unwrap();
    let seat = format!("/v1/admin/licenses/{id}/users/bob");
    admin.call(Method::PUT, &seat, Value::Null).await.expect(StatusCode::OK);
    let create = async |name: &str| bob.post("/v1/enclaves", json!({"name": name, "app": "hello"})).await;
    create("notes").await.expect(StatusCode::ACCEPTED);
    bob.stages("notes").await;
    let validate = async || {
        let said = bob.post(&format!("/v1/licenses/{id}/validate"), json!({})).await.expect(StatusCode::OK);
        (said["valid"].clone(), said["code"].clone())
    };
    assert_eq!(validate().await, (json!(true), json!("VALID")));

    admin.post("/v1/admin/users/alice/disable", Value::Null).await.expect(StatusCode::OK);
    assert_eq!(validate().await, (json!(false), json!("BANNED")));
    allowed(&create("more").await, false, "BANNED");
    assert_eq!(rig.store.licenses_to_stop(now(), WARNING).await.unwrap().len(), 1);

    admin.post("/v1/admin/users/alice/enable", Value::Null).await.expect(StatusCode::OK);
    assert_eq!(validate().await, (json!(true), json!("VALID")));
    allowed(&create("more").await, true, "");
    assert!(rig.store.licenses_to_stop(now(), WARNING).await.unwrap().is_empty());
}
