//! Admins, and the audit log.

use base64ct::{Base64UrlUnpadded, Encoding};
use http::{Method, StatusCode};
use names::Digest;
use serde_json::{Value, json};
use store::{Event, Role};

use crate::accounts::log_in;
use crate::apps::publish;
use crate::device::begin;
use crate::enclaves;
use crate::rig::{PASSWORD, Rig, Session, rig};

async fn admin(rig: &Rig) -> Session<'_> {
    let session = rig.user("root", None).await;
    let id = session.user_id().parse().unwrap();
    let event = Event { action: "role.grant".into(), result: "ok".into(), ..Event::default() };
    assert!(rig.store.set_role(&id, Role::Admin, event).await.unwrap());
    session
}

#[tokio::test]
async fn admins_see_accounts_in_pages_and_others_see_nothing() {
    let rig = rig().await;
    let root = admin(&rig).await;
    let alice = rig.user("alice", None).await;
    rig.user("bob", None).await;
    let first = root.get("/v1/admin/users?limit=2").await.expect(StatusCode::OK);
    let names = |page: &Value| {
        page["users"].as_array().unwrap().iter().map(|user| user["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["alice", "bob"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = root.get(&format!("/v1/admin/users?limit=2&cursor={cursor}")).await.expect(StatusCode::OK);
    assert_eq!(names(&second), ["root"]);
    assert_eq!(second["users"][0]["role"], "admin");
    for (method, path) in [
        (Method::GET, "/v1/admin/users"),
        (Method::GET, "/v1/admin/audit"),
        (Method::POST, "/v1/admin/users/bob/disable"),
        (Method::POST, "/v1/admin/users/bob/enable"),
    ] {
        alice.call(method, path, Value::Null).await.refused("not_found");
    }
}

/// CVE-2026-43913: a status was not checked. Every token of a disabled account is dead at once, and it gets no new one.
#[tokio::test]
async fn a_disabled_account_is_out_at_once() {
    let rig = rig().await;
    let root = admin(&rig).await;
    let alice = rig.user("alice", None).await;
    let disabled = root.post("/v1/admin/users/alice/disable", Value::Null).await.expect(StatusCode::OK);
    assert!(disabled["disabled_at"].is_u64());
    alice.get("/v1/me").await.refused("session_revoked");
    let body = json!({"refresh_token": alice.refresh_token()});
    rig.post("/v1/sessions/refresh", body).await.refused("session_revoked");
    log_in(&rig, "alice", PASSWORD).await.refused("account_disabled");
    log_in(&rig, "alice", "a wrong password").await.refused("bad_credentials");
    root.post("/v1/admin/users/nobody/disable", Value::Null).await.refused("not_found");
    let enabled = root.post("/v1/admin/users/alice/enable", Value::Null).await.expect(StatusCode::OK);
    assert_eq!(enabled.get("disabled_at"), None);
    alice.get("/v1/me").await.refused("session_revoked");
    rig.log_in("alice", None).await;
}

/// CVE-2024-41942: an admin of users made itself an admin of everything. Roles are in no route, and fields that are not known are refused
/// (CVE-2026-27946).
#[tokio::test]
async fn nobody_becomes_more_than_they_are() {
    let rig = rig().await;
    let root = admin(&rig).await;
    let alice = rig.user("alice", None).await;
    root.post("/v1/admin/users/root/disable", Value::Null).await.refused("own_account");
    let with_role = json!({"name": "mallory", "password": PASSWORD, "role": "admin"});
    rig.post("/v1/users", with_role).await.refused("malformed");
    let change = json!({"old_password": PASSWORD, "new_password": "a new long password", "role": "admin"});
    alice.call(Method::PUT, "/v1/me/password", change).await.refused("malformed");
    for method in [Method::PUT, Method::PATCH, Method::POST] {
        let answer = root.call(method, "/v1/admin/users/root", json!({"role": "admin"})).await;
        answer.refused("no_such_route");
    }
}

/// An admin whose role was taken loses it with the next request, not with the next login.
#[tokio::test]
async fn a_role_that_was_taken_is_gone_at_once() {
    let rig = rig().await;
    let root = admin(&rig).await;
    root.get("/v1/admin/users").await.expect(StatusCode::OK);
    let id = root.user_id().parse().unwrap();
    rig.store.set_role(&id, Role::User, Event::default()).await.unwrap();
    root.get("/v1/admin/users").await.refused("not_found");
}

#[tokio::test]
async fn the_audit_log_tells_who_did_what_and_is_a_chain() {
    let rig = rig().await;
    let root = admin(&rig).await;
    let alice = rig.user("alice", None).await;
    log_in(&rig, "alice", "a wrong password").await.refused("bad_credentials");
    let bob = rig.user("bob", None).await;
    let own = alice.get("/v1/audit").await.expect(StatusCode::OK);
    let told: Vec<(&str, &str)> = own["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["action"].as_str().unwrap(), entry["result"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("session.open", "bad_credentials"), ("session.open", "ok"), ("user.sign_up", "ok")]);
    assert!(own.get("head").is_none());
    let ids = |page: &Value| page["entries"].to_string();
    assert!(!ids(&bob.get("/v1/audit").await.expect(StatusCode::OK)).contains(alice.user_id()));
    let mut page = root.get("/v1/admin/audit?limit=3").await.expect(StatusCode::OK);
    let head = page["head"].clone();
    let mut seen = Vec::new();
    loop {
        seen.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        page = root.get(&format!("/v1/admin/audit?limit=3&cursor={cursor}")).await.expect(StatusCode::OK);
    }
    let last = head["seq"].as_u64().unwrap();
    assert_eq!(seen, (1..=last).rev().collect::<Vec<_>>());
    let entries = rig.store.audit_after(0, 1000).await.unwrap();
    let end = audit::verify(store::Head::START, &entries).unwrap();
    assert_eq!((head["seq"].clone(), head["hash"].clone()), (json!(end.seq), json!(end.hash)));
    let signed = head["signed"].as_str().unwrap();
    let part = |number| {
        let part = signed.split('.').nth(number).unwrap();
        serde_json::from_slice::<Value>(&Base64UrlUnpadded::decode_vec(part).unwrap()).unwrap()
    };
    assert_eq!(part(0)["typ"], "audit-head+jwt");
    assert_eq!((part(1)["seq"].clone(), part(1)["hash"].clone()), (json!(end.seq), json!(end.hash)));
    // It is no token.
    rig.send(None, crate::rig::get("/v1/me", Some(signed))).await.refused("token_invalid");
    let addresses: Vec<&str> = entries.iter().map(|entry| entry.event.address.as_str()).collect();
    assert!(!addresses.concat().contains("127.0.0.1"));
}

/// What is made, deleted and let in is told with who did it and from where; what came to nothing is not.
#[tokio::test]
async fn apps_enclaves_and_devices_are_in_the_audit_log() {
    let rig = rig().await;
    let alice = enclaves::alice(&rig).await;
    publish(&alice, "1.0", b"one").await.expect(StatusCode::OK);
    publish(&alice, "1.0", b"two").await.refused("version_conflict");
    let [one, two] = ["one", "two"].map(|name| enclaves::create(&alice, name));
    let (one, two) = (one.await, two.await);
    alice.stages("one").await;
    alice.stages("two").await;
    alice.post("/v1/enclaves", json!({"name": "one", "app": "hello"})).await.refused("name_taken");
    alice.call(Method::DELETE, "/v1/enclaves/one", Value::Null).await.expect(StatusCode::NO_CONTENT);
    rig.controller.stop().await;
    let orphan = "/v1/enclaves/two?orphan=true";
    alice.call(Method::DELETE, orphan, Value::Null).await.expect(StatusCode::NO_CONTENT);
    let mut devices = Vec::new();
    for verb in ["approve", "deny"] {
        let device = begin(&rig, None).await;
        let code = json!({"user_code": device["user_code"]});
        alice.post(&format!("/v1/device/{verb}"), code.clone()).await.expect(StatusCode::NO_CONTENT);
        alice.post(&format!("/v1/device/{verb}"), code).await.refused("not_found");
        devices.push(Digest::of(device["device_code"].as_str().unwrap().as_bytes()).to_string());
    }

    let id = |enclave: &Value| enclave["id"].as_str().unwrap().to_owned();
    let expected = [
        ("app.publish", "hello@1.0".to_owned()),
        ("enclave.create", id(&one)),
        ("enclave.create", id(&two)),
        ("enclave.delete", id(&one)),
        ("enclave.delete", id(&two)),
        ("enclave.orphan", id(&two)),
        ("device.approve", devices.remove(0)),
        ("device.deny", devices.remove(0)),
    ];
    let entries = rig.store.audit_after(0, 1000).await.unwrap();
    audit::verify(store::Head::START, &entries).unwrap();
    let told: Vec<&Event> = entries
        .iter()
        .map(|entry| &entry.event)
        .filter(|event| !event.action.starts_with("user.") && !event.action.starts_with("session."))
        .collect();
    for event in &told {
        assert_eq!((event.actor.as_str(), event.result.as_str()), (alice.user_id(), "ok"));
        assert_eq!((event.request.len(), event.address.len()), (32, 32), "{}", event.action);
    }
    let told: Vec<(&str, String)> =
        told.iter().map(|event| (event.action.as_str(), event.subject.clone())).collect();
    assert_eq!(told, expected);
}
