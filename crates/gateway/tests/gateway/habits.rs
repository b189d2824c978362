//! Habits of the server that no route has for itself: idempotency keys, tags, headers of every answer, and time.

use std::time::{Duration, Instant};

use attested_tls::Connection;
use futures_util::future::join_all;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::apps::publish;
use crate::rig::{Identity, PASSWORD, Rig, Session, get, hasty_rig, rig};

const KEY: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";

async fn alice(rig: &Rig) -> Session<'_> {
    let identity = Identity::new("alice");
    let session = rig.user("alice", Some(&identity)).await;
    publish(&session, "1.0", b"one").await.expect(StatusCode::CREATED);
    session
}

async fn create(session: &Session<'_>, key: &str, name: &str) -> crate::rig::Answer {
    let body = json!({"name": name, "app": "hello"});
    session.with(Method::POST, "/v1/enclaves", &[(KEY, key)], body).await
}

/// draft-ietf-httpapi-idempotency-key, 2.6: the answer of the first request is answered again.
#[tokio::test]
async fn the_same_key_is_done_once_and_answered_twice() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    let first = create(&alice, "key-1", "notes").await;
    let created = first.expect(StatusCode::ACCEPTED);
    assert!(!first.headers.contains_key(REPLAYED));
    alice.stages("notes").await;
    for key in ["key-1", "\"key-1\""] {
        let again = create(&alice, key, "notes").await;
        assert_eq!(again.expect(StatusCode::ACCEPTED), created);
        assert_eq!(again.headers[REPLAYED], "true");
    }
    assert_eq!(rig.controller.starts(), 1);
    create(&alice, "key-2", "notes").await.refused("name_taken");
}

#[tokio::test]
async fn a_key_for_another_request_is_a_mismatch() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "key-1", "notes").await.expect(StatusCode::ACCEPTED);
    create(&alice, "key-1", "other").await.refused("idempotency_mismatch");
    alice
        .with(Method::POST, "/v1/enclaves/notes/stop", &[(KEY, "key-1")], Value::Null)
        .await
        .refused("idempotency_mismatch");
    // The same words over another key of the same person would make another owner.
    let other = Identity::new("alice");
    let second = rig.log_in("alice", Some(&other)).await;
    create(&second, "key-1", "notes").await.refused("idempotency_mismatch");
}

#[tokio::test]
async fn keys_are_each_users_own() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    let identity = Identity::new("bob");
    let bob = rig.user("bob", Some(&identity)).await;
    let hers = create(&alice, "key-1", "notes").await.expect(StatusCode::ACCEPTED);
    let his = create(&bob, "key-1", "notes").await.expect(StatusCode::ACCEPTED);
    assert_ne!(hers["id"], his["id"]);
}

/// A refused request has changed nothing, so the key can be used when the cause is gone.
#[tokio::test]
async fn a_refusal_frees_its_key() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "key-1", "Not A Name").await.refused("invalid_name");
    create(&alice, "key-1", "notes").await.expect(StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_parallel_requests_with_one_key_one_is_executed() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    let answers = join_all((0..20).map(|_| create(&alice, "key-1", "notes"))).await;
    let executed = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::ACCEPTED && !answer.headers.contains_key(REPLAYED))
        .count();
    assert_eq!(executed, 1);
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::ACCEPTED) {
        answer.refused("idempotency_running");
        assert!(answer.headers.contains_key(header::RETRY_AFTER));
    }
    alice.stages("notes").await;
    assert_eq!(rig.controller.starts(), 1);
}

/// Two gateways on one database: whoever is asked first does it, the other knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_requests_with_one_key_at_two_gateways_one_is_executed() {
    let first = rig().await;
    let second = first.beside().await;
    let alice = alice(&first).await;
    let there = second.log_in("alice", alice.identity.as_ref()).await;
    let answers =
        join_all((0..12).map(|number| create([&alice, &there][number % 2], "key-1", "notes"))).await;
    let executed = |answer: &&crate::rig::Answer| {
        answer.status == StatusCode::ACCEPTED && !answer.headers.contains_key(REPLAYED)
    };
    assert_eq!(answers.iter().filter(executed).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::ACCEPTED) {
        answer.refused("idempotency_running");
    }
    there.stages("notes").await;
    for session in [&alice, &there] {
        assert_eq!(create(session, "key-1", "notes").await.headers[REPLAYED], "true");
    }
    assert_eq!(first.controller.starts(), 1);
}

#[tokio::test]
async fn a_key_outlives_a_restart() {
    let rig = rig().await;
    let session = alice(&rig).await;
    let identity = session.identity.clone().unwrap();
    let created = create(&session, "key-1", "notes").await.expect(StatusCode::ACCEPTED);
    session.stages("notes").await;
    let rig = rig.restart().await;
    let session = rig.log_in("alice", Some(&identity)).await;
    let again = create(&session, "key-1", "notes").await;
    assert_eq!(again.expect(StatusCode::ACCEPTED), created);
    assert_eq!(again.headers[REPLAYED], "true");
}

#[tokio::test]
async fn a_key_has_bounds() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    for bad in ["", "\"\"", "a b", "a\"b", "k\u{e4}y", &"x".repeat(129)] {
        create(&alice, bad, "notes").await.refused("malformed");
    }
    let body = json!({"name": "notes", "app": "hello"});
    alice.with(Method::POST, "/v1/enclaves", &[(KEY, "a"), (KEY, "b")], body).await.refused("malformed");
    create(&alice, &"x".repeat(128), "notes").await.expect(StatusCode::ACCEPTED);
}

/// Answers with tokens are never kept: with a key or without, each log-in is a new one.
#[tokio::test]
async fn a_log_in_is_never_answered_from_the_table() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    let body = json!({"name": "alice", "password": PASSWORD});
    let log_in = async || alice.with(Method::POST, "/v1/sessions", &[(KEY, "key-1")], body.clone()).await;
    let (first, second) = (log_in().await, log_in().await);
    assert_ne!(first.expect(StatusCode::OK)["refresh_token"], second.expect(StatusCode::OK)["refresh_token"]);
    assert!(!second.headers.contains_key(REPLAYED));
}

/// RFC 9110, 13.1.2
#[tokio::test]
async fn what_the_caller_has_already_is_not_sent_again() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "key-1", "notes").await.expect(StatusCode::ACCEPTED);
    alice.stages("notes").await;
    for path in ["/v1/enclaves/notes", "/v1/enclaves", "/v1/apps/hello", "/v1/apps", "/v1/openapi.json"] {
        let first = alice.get(path).await;
        first.expect(StatusCode::OK);
        let tag = first.headers[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!(first.headers[header::CACHE_CONTROL], "private, no-cache");
        for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let again = alice.with(Method::GET, path, &[("if-none-match", &known)], Value::Null).await;
            assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path} {known}");
            assert!(again.body.is_empty());
            assert_eq!(again.headers[header::ETAG], tag.as_str());
        }
        alice
            .with(Method::GET, path, &[("if-none-match", "\"other\"")], Value::Null)
            .await
            .expect(StatusCode::OK);
    }
    let before = alice.get("/v1/enclaves/notes").await.headers[header::ETAG].clone();
    alice.post("/v1/enclaves/notes/stop", Value::Null).await.expect(StatusCode::OK);
    assert_ne!(alice.get("/v1/enclaves/notes").await.headers[header::ETAG], before);
    // A tag opens nothing.
    let mut request = get("/v1/enclaves/notes", None);
    request.headers_mut().insert(header::IF_NONE_MATCH, "*".parse().unwrap());
    rig.send(None, request).await.refused("token_missing");
}

/// No page of another origin may call, frame or guess anything (CVE-2026-40864 and CVE-2024-28233 are what it comes to otherwise).
#[tokio::test]
async fn every_answer_says_that_it_is_no_page() {
    let rig = rig().await;
    for path in ["/v1/health", "/v1/me", "/nothing", "/v1/openapi.json"] {
        let mut request = get(path, None);
        request.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
        let headers = rig.send(None, request).await.headers;
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        for name in headers.keys() {
            assert!(!name.as_str().starts_with("access-control-"), "{name}");
            assert_ne!(name, header::SET_COOKIE, "a cookie would be sent from any page");
        }
    }
    let mut preflight = get("/v1/enclaves", None);
    *preflight.method_mut() = Method::OPTIONS;
    rig.send(None, preflight).await.refused("method_not_allowed");
}

/// Writes, then reads until the gateway ends the connection; what it said, and after how long.
async fn say(mut connection: Connection<TcpStream>, text: &str) -> (String, Duration) {
    let began = Instant::now();
    connection.stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset or a TLS end without farewell is as good as an end.
    let _ = connection.stream.read_to_end(&mut answer).await;
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
}

/// Slowloris: a head that does not end is not waited for.
#[tokio::test]
async fn a_head_that_does_not_end_ends_the_connection() {
    let rig = hasty_rig().await;
    for head in ["", "G", "GET /v1/health HTTP/1.1\r\nHost: gateway\r\nX-A: "] {
        let (answer, took) = say(rig.connection().await, head).await;
        assert!(!answer.contains(" 200 "), "{answer}");
        assert!(took < Duration::from_secs(20), "{head:?} {took:?}");
    }
}

/// A body that trickles in is not waited for: neither for JSON nor for an upload.
#[tokio::test]
async fn a_body_that_does_not_end_is_answered_and_ended() {
    let rig = hasty_rig().await;
    let head = "POST /v1/sessions HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"name\":";
    let (answer, _) = say(rig.connection().await, head).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    let session = rig.user("alice", None).await;
    let digest = names::Digest::of(b"x");
    let head = format!(
        "PUT /v1/blobs/{digest} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {}\r\nContent-Length: 100\r\n\r\nx",
        session.access_token()
    );
    let (answer, _) = say(rig.connection().await, &head).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
}

/// A client that sends its body after its head, as many do, is told why it is refused, and its connection goes on (RFC 9112, 9.6).
#[tokio::test]
async fn a_refusal_reaches_a_client_that_still_sends() {
    let rig = rig().await;
    let mut connection = rig.connection().await;
    for length in [10, 1 << 20] {
        let head = format!("POST /v1/apps HTTP/1.1\r\nHost: gateway\r\nContent-Length: {length}\r\n\r\n");
        connection.stream.write_all(head.as_bytes()).await.unwrap();
        connection.stream.flush().await.unwrap();
        tokio::task::yield_now().await;
        connection.stream.write_all(&vec![b' '; length]).await.unwrap();
        connection.stream.flush().await.unwrap();
        let mut answer = Vec::new();
        while !answer.windows(13).any(|window| window == b"token_missing") {
            let read = connection.stream.read_buf(&mut answer).await.unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        }
    }
}

#[tokio::test]
async fn huge_heads_and_many_fields_are_refused() {
    let rig = rig().await;
    let huge = format!("GET /v1/health HTTP/1.1\r\nHost: gateway\r\nX-A: {}\r\n\r\n", "a".repeat(64 << 10));
    let many = format!("GET /v1/health HTTP/1.1\r\nHost: gateway\r\n{}\r\n", "X-A: a\r\n".repeat(200));
    let long = format!("GET /{} HTTP/1.1\r\nHost: gateway\r\n\r\n", "a".repeat(70_000));
    for head in [huge, many, long] {
        let (answer, _) = say(rig.connection().await, &head).await;
        let refused = ["HTTP/1.1 431 ", "HTTP/1.1 414 ", "HTTP/1.1 400 "];
        assert!(answer.is_empty() || refused.iter().any(|start| answer.starts_with(start)), "{answer}");
    }
    rig.send(None, get("/v1/health", None)).await.expect(StatusCode::OK);
}

/// Two lengths, or a length and chunks, are where one request becomes two (RFC 9112, 6.3).
#[tokio::test]
async fn a_request_of_unclear_length_is_refused() {
    let rig = rig().await;
    for fields in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: +2\r\n",
        "Transfer-Encoding: gzip\r\n",
    ] {
        let head = format!(
            "POST /v1/users HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Type: application/json\r\n{fields}\r\n{{}}"
        );
        let (answer, _) = say(rig.connection().await, &head).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{fields}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{fields}: {answer}");
    }
}
