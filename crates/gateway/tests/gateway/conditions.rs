//! Changes that are made only to what the caller has seen (`If-Match`), and only once (`Idempotency-Key`).

use futures_util::future::join_all;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::enclaves::{alice, create};
use crate::rig::{Answer, Identity, Session, rig};

const NOTES: &str = "/v1/enclaves/notes";

async fn tag(session: &Session<'_>, path: &str) -> String {
    let answer = session.get(path).await;
    answer.expect(StatusCode::OK);
    answer.headers[header::ETAG].to_str().unwrap().to_owned()
}

async fn only_if(session: &Session<'_>, tag: &str, method: Method, path: &str, body: Value) -> Answer {
    session.with(method, path, &[("if-match", tag)], body).await
}

/// RFC 9110, 13.1.1
#[tokio::test]
async fn a_change_of_what_has_changed_since_is_refused_and_changes_nothing() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "notes").await;
    alice.stages("notes").await;
    let running = tag(&alice, NOTES).await;
    alice.post(&format!("{NOTES}/stop"), Value::Null).await.expect(StatusCode::OK);
    let stopped = tag(&alice, NOTES).await;
    for (method, below) in [(Method::POST, "/start"), (Method::POST, "/cancel"), (Method::DELETE, "")] {
        for old in [running.clone(), format!("W/{stopped}"), "\"other\"".into(), String::new()] {
            let path = format!("{NOTES}{below}");
            only_if(&alice, &old, method.clone(), &path, Value::Null).await.refused("precondition_failed");
        }
    }
    assert_eq!(tag(&alice, NOTES).await, stopped);
    // What the path does not offer is not offered under a condition either.
    let put = only_if(&alice, &running, Method::PUT, &format!("{NOTES}/start"), Value::Null).await;
    put.refused("method_not_allowed");
    let either = format!("{running}, {stopped}");
    let start = format!("{NOTES}/start");
    only_if(&alice, &either, Method::POST, &start, Value::Null).await.expect(StatusCode::ACCEPTED);
    only_if(&alice, "*", Method::POST, &format!("{NOTES}/stop"), Value::Null).await.expect(StatusCode::OK);
    let now = tag(&alice, NOTES).await;
    let gone = only_if(&alice, &now, Method::DELETE, NOTES, Value::Null).await;
    assert!(gone.status.is_success(), "{:?}", gone.body);
}

/// A condition opens nothing: who may not see the thing is answered as without one.
#[tokio::test]
async fn a_condition_tells_nothing_about_what_is_somebody_elses() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "notes").await;
    alice.stages("notes").await;
    let tag = tag(&alice, NOTES).await;
    let identity = Identity::new("bob");
    let bob = rig.user("bob", Some(&identity)).await;
    for tag in [tag.as_str(), "*", "\"other\""] {
        only_if(&bob, tag, Method::DELETE, NOTES, Value::Null).await.refused("not_found");
        let plan = "/v1/admin/plans/team/retire";
        only_if(&bob, tag, Method::POST, plan, Value::Null).await.refused("not_found");
        let mut request = crate::rig::json_request(Method::DELETE, NOTES, None, &Value::Null);
        request.headers_mut().insert(header::IF_MATCH, tag.parse().unwrap());
        rig.send(None, request).await.refused("token_missing");
    }
}

/// Two that have seen the same make one change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_of_the_same_state_one_is_made() {
    let rig = rig().await;
    let root = rig.admin("root").await;
    rig.user("alice", None).await;
    let plan = json!({"code": "team", "terms": {"seats": 2, "enclaves": 1, "entitlements": ["hello"], "duration": 86_400}});
    root.post("/v1/admin/plans", plan).await.expect(StatusCode::CREATED);
    let license = json!({"plan": "team", "holder": "alice"});
    let license = root.post("/v1/admin/licenses", license).await.expect(StatusCode::CREATED);
    let path = format!("/v1/admin/licenses/{}", license["id"].as_str().unwrap());
    let seen = tag(&root, &path).await;
    let renew = format!("{path}/renew");
    let renewals = (0..8).map(|_| only_if(&root, &seen, Method::POST, &renew, Value::Null));
    let answers = join_all(renewals).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::OK).collect();
    assert_eq!(made.len(), 1);
    let renewed = made[0].json()["expires_at"].as_u64().unwrap();
    assert_eq!(renewed, license["expires_at"].as_u64().unwrap() + 86_400);
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        answer.refused("precondition_failed");
    }
}

/// Each path of the list, asked for twice with one key: the second answer is the first one.
#[tokio::test]
async fn every_route_with_a_key_is_done_once() {
    let rig = rig().await;
    let (alice, root) = (alice(&rig).await, rig.admin("root").await);
    let twice = async |session: &Session<'_>, path: &str, body: Value| {
        let headers = [("idempotency-key", path)];
        let first = session.with(Method::POST, path, &headers, body.clone()).await;
        assert!(first.status.is_success(), "{path}: {:?}", first.body);
        let second = session.with(Method::POST, path, &headers, body).await;
        assert_eq!((second.status, &second.body), (first.status, &first.body), "{path}");
        assert_eq!(second.headers["idempotency-replayed"], "true", "{path}");
        first.json()
    };
    let mut tried = vec!["/v1/apps"];
    let plan = json!({"code": "team", "terms": {"seats": 2, "enclaves": 1, "entitlements": ["hello"], "duration": 86_400, "check_in": 86_400}});
    twice(&root, "/v1/admin/plans", plan).await;
    let license = twice(&root, "/v1/admin/licenses", json!({"plan": "team", "holder": "alice"})).await;
    let id = license["id"].as_str().unwrap();
    let listed = root.get("/v1/admin/licenses").await.expect(StatusCode::OK);
    assert_eq!(listed["licenses"].as_array().unwrap().len(), 1);
    let renewed = twice(&root, &format!("/v1/admin/licenses/{id}/renew"), Value::Null).await;
    assert_eq!(renewed["expires_at"].as_u64(), license["expires_at"].as_u64().map(|at| at + 86_400));
    twice(&alice, &format!("/v1/licenses/{id}/check-in"), Value::Null).await;
    for verb in ["suspend", "reinstate", "revoke"] {
        twice(&root, &format!("/v1/admin/licenses/{id}/{verb}"), Value::Null).await;
    }
    twice(&root, "/v1/admin/plans/team/retire", Value::Null).await;
    twice(&alice, "/v1/enclaves", json!({"name": "notes", "app": "hello"})).await;
    alice.stages("notes").await;
    twice(&alice, "/v1/enclaves/notes/extend", json!({"seconds": 60})).await;
    for verb in ["stop", "start", "cancel"] {
        twice(&alice, &format!("/v1/enclaves/notes/{verb}"), Value::Null).await;
    }
    assert_eq!(rig.controller.starts(), 2);
    rig.user("mallory", None).await;
    for verb in ["disable", "enable"] {
        twice(&root, &format!("/v1/admin/users/mallory/{verb}"), Value::Null).await;
    }
    tried.extend([
        "/v1/admin/plans",
        "/v1/admin/licenses",
        "/v1/admin/licenses/{id}/renew",
        "/v1/licenses/{id}/check-in",
        "/v1/admin/licenses/{id}/suspend",
        "/v1/admin/licenses/{id}/reinstate",
        "/v1/admin/licenses/{id}/revoke",
        "/v1/admin/plans/{code}/retire",
        "/v1/enclaves",
        "/v1/enclaves/{name}/extend",
        "/v1/enclaves/{name}/stop",
        "/v1/enclaves/{name}/start",
        "/v1/enclaves/{name}/cancel",
        "/v1/admin/users/{name}/disable",
        "/v1/admin/users/{name}/enable",
    ]);
    tried.sort_unstable();
    let mut all = gateway::IDEMPOTENT_PATHS.to_vec();
    all.sort_unstable();
    assert_eq!(tried, all, "a new path has to be tried here");
}

/// A kept answer of a route for admins is not there for who is none any more.
#[tokio::test]
async fn a_former_admin_is_answered_nothing_from_the_table() {
    let rig = rig().await;
    let root = rig.admin("root").await;
    let plan = json!({"code": "team", "terms": {"seats": 2, "enclaves": 1, "entitlements": ["hello"]}});
    let ask = async || {
        let headers = [("idempotency-key", "key-1")];
        root.with(Method::POST, "/v1/admin/plans", &headers, plan.clone()).await
    };
    ask().await.expect(StatusCode::CREATED);
    rig.set_role(&root, store::Role::User).await;
    ask().await.refused("not_found");
    rig.set_role(&root, store::Role::Admin).await;
    assert_eq!(ask().await.headers["idempotency-replayed"], "true");
}
