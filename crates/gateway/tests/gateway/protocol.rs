//! What every answer has in common, and what is not HTTP over TLS.

use std::sync::{Arc, Mutex};

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
    post("application/json", &b"[".repeat(16_000)).await.refused("malformed");
    post("application/json; charset=utf-8", good.as_bytes()).await.expect(StatusCode::CREATED);
}

/// CVE-2026-54338: unbounded names in failed logins.
#[tokio::test]
async fn a_body_of_ten_megabytes_is_too_large() {
    let rig = rig().await;
    let body = json!({"name": "x".repeat(10 << 20), "password": PASSWORD});
    rig.post("/v1/sessions", body).await.refused("too_large");
}

/// The lines of a log, in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// CVE-2026-54338: names of failed logins filled the log. Whatever is sent as a name, in a body or in a path, lines stay short and the name is in none.
#[tokio::test]
async fn a_name_of_ten_megabytes_is_in_no_line_of_the_log() {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // While there is only one, what other threads see first is switched off for all: tracing-core asks the thread, not the list.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    // Of this thread, which runs the whole gateway.
    let _logged = tracing::subscriber::set_default(log);
    let rig = rig().await;
    for (length, code) in [
        (10 << 20, "too_large"),
        (900_000, "too_large"),
        (16_000, "bad_credentials"),
        (65, "bad_credentials"),
    ] {
        let body = json!({"name": "x".repeat(length), "password": PASSWORD});
        rig.post("/v1/sessions", body.clone()).await.refused(code);
        let code = if code == "too_large" { code } else { "invalid_name" };
        rig.post("/v1/users", body).await.refused(code);
    }
    rig.send(None, get(&format!("/v1/enclaves/{}", "y".repeat(8000)), None)).await.refused("token_missing");
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(log.matches("refused").count() >= 7, "{log}");
    // The database's driver has longer ones, with its statements.
    let ours = log.lines().filter(|line| line.contains(" gateway::"));
    let longest = ours.map(str::len).max().unwrap_or_default();
    assert!((1..=1024).contains(&longest), "{longest}");
    assert!(!log.contains(&"x".repeat(65)));
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
