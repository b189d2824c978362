//! Sign-in at other providers, as far as it goes without one; tests/browser has a real one.

use http::{Method, StatusCode, header};
use serde_json::json;

use crate::rig::{get, rig};

#[tokio::test]
async fn without_providers_there_is_nowhere_to_sign_in() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let listed = rig.send(None, get("/v1/oidc", None)).await.expect(StatusCode::OK);
    assert_eq!(listed, json!({"providers": []}));
    rig.post("/v1/oidc/test/start", serde_json::Value::Null).await.refused("not_found");
    rig.post("/v1/oidc/test/callback", json!({"code": "x", "state": "y"})).await.refused("not_found");
    alice.post("/v1/me/identities/test/start", json!({})).await.refused("not_found");
    alice.call(Method::DELETE, "/v1/me/identities/test", json!({})).await.refused("not_found");
    let linked = alice.get("/v1/me/identities").await.expect(StatusCode::OK);
    assert_eq!(linked, json!({"identities": []}));
}

/// GHSA-m3cr-vc2j-pm27: where the provider sends the browser back to is a page and nothing else.
#[tokio::test]
async fn the_way_back_is_only_a_page() {
    let rig = rig().await;
    let answer = rig.send(None, get("/v1/oidc/test/callback?code=x&state=y&next=//evil.example", None)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(!answer.headers.contains_key(header::SET_COOKIE));
    assert!(!answer.headers.contains_key(header::LOCATION));
}
