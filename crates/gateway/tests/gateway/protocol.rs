//! What every answer has in common, and what is not HTTP over TLS.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{PASSWORD, get, json_request, rig};

/// The original listened for TLS and served plain text (portal.md 1.1, defect 2).
#[tokio::test]
async fn plain_http_is_refused() {
    let rig = rig().await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(b"GET /v1/health HTTP/1.1\r\nHost: gateway\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let rig = rig().await;
    assert_eq!(rig.send(None, get("/v1/health", None)).await.expect(StatusCode::OK), json!({"status": "ok"}));
    let request = Request::get("https://gateway/v1/health").body(Full::default()).unwrap();
    assert_eq!(rig.send_http2(request).await.expect(StatusCode::OK), json!({"status": "ok"}));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let rig = rig().await;
    for path in ["/", "/v1", "/v2/users", "/v1/users/alice", "/v1/enclaves/a/b", "//v1/me", "/v1/../v1/me"] {
        rig.send(None, get(path, None)).await.refused("no_such_route");
    }
    let answer = rig.send(None, get("/v1/users", None)).await;
    answer.refused("method_not_allowed");
    assert_eq!(answer.headers[header::ALLOW], "POST");
    let request = json_request(Method::DELETE, "/v1/health", None, &Value::Null);
    rig.send(None, request).await.refused("method_not_allowed");
}

#[tokio::test]
async fn bodies_that_can_not_be_read_are_problems() {
    let rig = rig().await;
    let post = async |media: &str, body: &[u8]| {
        let request = Request::post("/v1/users")
            .header(header::HOST, "gateway")
            .header(header::CONTENT_TYPE, media)
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        rig.send(None, request).await
    };
    let good = json!({"name": "alice", "password": PASSWORD}).to_string();
    post("text/plain", good.as_bytes()).await.refused("unsupported_media_type");
    post("application/x-www-form-urlencoded", b"name=alice").await.refused("unsupported_media_type");
    for body in ["", "{", "{}x", "nul", "\u{feff}{}", r#"{"name":"a","name":"b","password":"c"}"#] {
        post("application/json", body.as_bytes()).await.refused("malformed");
    }
    post("application/json", b"\xff\xfe").await.refused("malformed");
    post("application/json", &b"[".repeat(100_000)).await.refused("malformed");
    post("application/json; charset=utf-8", good.as_bytes()).await.expect(StatusCode::CREATED);
}

/// CVE-2026-54338: unbounded names in failed logins.
#[tokio::test]
async fn a_body_of_ten_megabytes_is_too_large() {
    let rig = rig().await;
    let body = json!({"name": "x".repeat(10 << 20), "password": PASSWORD});
    rig.post("/v1/sessions", body).await.refused("too_large");
}

#[tokio::test]
async fn request_ids_are_made_here() {
    let rig = rig().await;
    let mut request = get("/v1/health", None);
    request.headers_mut().insert("x-request-id", "chosen-outside".parse().unwrap());
    let first = rig.send(None, request).await.headers["x-request-id"].clone();
    let second = rig.send(None, get("/v1/health", None)).await.headers["x-request-id"].clone();
    assert_eq!(first.len(), 32);
    assert_ne!(first, "chosen-outside");
    assert_ne!(first, second);
}

/// Answers hold tokens: no cache may keep them, and no browser may guess another type.
#[tokio::test]
async fn answers_are_not_stored() {
    let rig = rig().await;
    rig.user("alice", None).await;
    let answer = rig.post("/v1/sessions", json!({"name": "alice", "password": PASSWORD})).await;
    answer.expect(StatusCode::OK);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
}
