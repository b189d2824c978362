//! The device flow (RFC 8628) over the real gateway. Time is moved in the database, not waited for.

use api::device::GRANT_TYPE;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use names::Digest;
use serde_json::{Value, json};
use store::{Begun, NewDevice};

use crate::rig::{Answer, Identity, Rig, Session, get, now, rig};

fn form(path: &str, fields: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, "gateway")
        .header(header::USER_AGENT, "sealwright/0.1 (\u{1b}[31mtest)".replace('\u{1b}', ""))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::copy_from_slice(fields.as_bytes())))
        .unwrap()
}

pub async fn begin(rig: &Rig, identity: Option<&Identity>) -> Value {
    let answer = rig.send(identity, form("/v1/device/authorization", "client_id=sealwright")).await;
    answer.expect(StatusCode::OK)
}

async fn ask(rig: &Rig, identity: Option<&Identity>, device_code: &str) -> Answer {
    let grant_type = GRANT_TYPE.replace(':', "%3A");
    let fields = format!("grant_type={grant_type}&device_code={device_code}&client_id=sealwright");
    rig.send(identity, form("/v1/device/token", &fields)).await
}

#[track_caller]
fn error(answer: &Answer, name: &str) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{:?}", answer.body);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(answer.json()["error"], name);
}

pub async fn decide(session: &Session<'_>, verb: &str, device: &Value) -> Answer {
    session.post(&format!("/v1/device/{verb}"), json!({"user_code": device["user_code"]})).await
}

fn code(device: &Value) -> &str {
    device["device_code"].as_str().unwrap()
}

#[tokio::test]
async fn a_device_signs_in_when_a_person_says_yes() {
    let rig = rig().await;
    let (cli, alice) = (Identity::new("cli"), rig.user("alice", None).await);
    let device = begin(&rig, Some(&cli)).await;
    assert_eq!((&device["expires_in"], &device["interval"]), (&json!(600), &json!(5)));
    let uri = format!("https://localhost:{}/device", rig.address.port());
    assert_eq!(device["verification_uri"], uri);
    let complete = format!("{uri}#{}", device["user_code"].as_str().unwrap());
    assert_eq!(device["verification_uri_complete"], complete);
    for uri in ["verification_uri", "verification_uri_complete"] {
        alice.is_not_given_away_by(&device[uri]);
        assert!(!device[uri].as_str().unwrap().contains(code(&device)));
    }
    error(&ask(&rig, Some(&cli), code(&device)).await, "authorization_pending");
    let typed = device["user_code"].as_str().unwrap().to_lowercase().replace('-', " ");
    let seen = alice.post("/v1/device/lookup", json!({"user_code": typed})).await.expect(StatusCode::OK);
    assert_eq!(seen["agent"], "sealwright/0.1 ([31mtest)");
    assert_eq!((&seen["same_address"], &seen["bound"]), (&json!(true), &json!(true)));
    decide(&alice, "approve", &device).await.expect(StatusCode::NO_CONTENT);
    let tokens = ask(&rig, Some(&cli), code(&device)).await.expect(StatusCode::OK);
    assert_eq!((&tokens["token_type"], &tokens["user"]["name"]), (&json!("Bearer"), &json!("alice")));
    let token = tokens["access_token"].as_str();
    rig.send(Some(&cli), get("/v1/me", token)).await.expect(StatusCode::OK);
    // Bound to the device's certificate (RFC 8705, 3).
    rig.send(None, get("/v1/me", token)).await.refused("token_invalid");
    rig.send(Some(&Identity::new("mallory")), get("/v1/me", token)).await.refused("token_invalid");
    error(&ask(&rig, Some(&cli), code(&device)).await, "invalid_grant");
}

/// A device code is worth nothing to another certificate, and asking with another one changes nothing.
#[tokio::test]
async fn a_device_code_is_bound_to_the_certificate_that_began() {
    let rig = rig().await;
    let (cli, mallory, alice) =
        (Identity::new("cli"), Identity::new("mallory"), rig.user("alice", None).await);
    let device = begin(&rig, Some(&cli)).await;
    decide(&alice, "approve", &device).await.expect(StatusCode::NO_CONTENT);
    error(&ask(&rig, None, code(&device)).await, "invalid_grant");
    error(&ask(&rig, Some(&mallory), code(&device)).await, "invalid_grant");
    ask(&rig, Some(&cli), code(&device)).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_device_is_refused_when_a_person_says_no() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let device = begin(&rig, None).await;
    decide(&alice, "deny", &device).await.expect(StatusCode::NO_CONTENT);
    error(&ask(&rig, None, code(&device)).await, "access_denied");
    decide(&alice, "approve", &device).await.refused("not_found");
    error(&ask(&rig, None, code(&device)).await, "access_denied");
}

/// RFC 8628, 3.5: each question that comes too early makes the interval five seconds longer.
#[tokio::test]
async fn a_device_that_asks_too_often_is_slowed_down() {
    let rig = rig().await;
    let device = begin(&rig, None).await;
    let code = Digest::of(code(&device).as_bytes());
    let poll = async |after: u64| rig.store.poll_device(&code, None, now() + after).await.unwrap();
    assert_eq!(poll(0).await, store::Poll::Pending);
    assert_eq!(poll(6).await, store::Poll::Pending);
    assert_eq!(poll(8).await, store::Poll::SlowDown);
    assert_eq!(poll(15).await, store::Poll::SlowDown);
    assert_eq!(poll(31).await, store::Poll::Pending);
    let answer = ask(&rig, None, self::code(&device)).await;
    error(&answer, "slow_down");
}

#[tokio::test]
async fn of_fifty_questions_at_once_one_gets_the_tokens() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let device = begin(&rig, None).await;
    decide(&alice, "approve", &device).await.expect(StatusCode::NO_CONTENT);
    let answers = join_all((0..50).map(|_| ask(&rig, None, code(&device)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        error(answer, "invalid_grant");
    }
}

fn waiting(number: u64, address: &str, created_at: u64) -> NewDevice {
    NewDevice {
        device_hash: Digest::of(format!("device {address} {number}").as_bytes()),
        user_code_hash: Digest::of(format!("user {address} {number}").as_bytes()),
        cnf: None,
        address: address.into(),
        agent: "test".into(),
        interval: 5,
        created_at,
        expires_at: created_at + 600,
    }
}

#[tokio::test]
async fn a_code_that_nobody_typed_in_time_is_over() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let user_code = factors::user_code::generate().unwrap();
    let old = NewDevice {
        device_hash: Digest::of(b"old"),
        user_code_hash: factors::user_code::hash(&user_code).unwrap(),
        ..waiting(0, "here", now() - 601)
    };
    assert_eq!(rig.store.begin_device(&old).await.unwrap(), Begun::Waiting);
    error(&ask(&rig, None, "old").await, "expired_token");
    alice.post("/v1/device/approve", json!({"user_code": user_code})).await.refused("not_found");
    error(&ask(&rig, None, "old").await, "expired_token");
}

/// Codes that wait are bounded for each address and in all.
#[tokio::test]
async fn no_more_than_twenty_devices_of_one_address_wait() {
    let rig = rig().await;
    for _ in 0..20 {
        begin(&rig, None).await;
    }
    let answer = rig.send(None, form("/v1/device/authorization", "client_id=sealwright")).await;
    answer.refused("too_many_attempts");
    assert!(answer.headers.contains_key("retry-after"));
    let elsewhere = waiting(0, "elsewhere", now());
    assert_eq!(rig.store.begin_device(&elsewhere).await.unwrap(), Begun::Waiting);
    // Those that are over make room.
    let later = NewDevice { created_at: now() + 601, expires_at: now() + 1201, ..waiting(1, "elsewhere", 0) };
    assert_eq!(rig.store.begin_device(&later).await.unwrap(), Begun::Waiting);
}

/// A user code has 34 bits: guessing is limited for each account.
#[tokio::test]
async fn wrong_user_codes_are_counted() {
    let rig = rig().await;
    let (alice, bob) = (rig.user("alice", None).await, rig.user("bob", None).await);
    let device = begin(&rig, None).await;
    for _ in 0..3 {
        decide(&alice, "lookup", &device).await.expect(StatusCode::OK);
    }
    for wrong in 0..10 {
        let wrong = json!({"user_code": if wrong < 5 { "BBBB-BBBB" } else { "no code at all" }});
        alice.post("/v1/device/lookup", wrong).await.refused("not_found");
    }
    decide(&alice, "lookup", &device).await.refused("too_many_attempts");
    decide(&alice, "approve", &device).await.refused("too_many_attempts");
    decide(&bob, "approve", &device).await.expect(StatusCode::NO_CONTENT);
}

/// CVE-2026-40934, CVE-2026-43911: what was given before must not outlive the session that gave it.
#[tokio::test]
async fn an_approval_dies_with_the_session_that_gave_it() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let device = begin(&rig, None).await;
    decide(&alice, "approve", &device).await.expect(StatusCode::NO_CONTENT);
    alice.call(Method::DELETE, "/v1/sessions/current", Value::Null).await.expect(StatusCode::NO_CONTENT);
    error(&ask(&rig, None, code(&device)).await, "access_denied");
}

/// GHSA-m3cr-vc2j-pm27: opening a link did what only the person may decide.
#[tokio::test]
async fn nothing_is_decided_by_get_or_without_an_account() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let device = begin(&rig, None).await;
    for verb in ["lookup", "approve", "deny"] {
        let path = format!("/v1/device/{verb}");
        alice.get(&path).await.refused("method_not_allowed");
        let body = json!({"user_code": device["user_code"]});
        rig.post(&path, body).await.refused("token_missing");
    }
    error(&ask(&rig, None, code(&device)).await, "authorization_pending");
}

#[tokio::test]
async fn what_is_no_device_request_is_refused_as_oauth_wants_it() {
    let rig = rig().await;
    let grant = format!("grant_type={GRANT_TYPE}");
    for (path, fields, name) in [
        ("/v1/device/authorization", "", "invalid_request"),
        ("/v1/device/authorization", "client_id=somebody", "invalid_client"),
        ("/v1/device/authorization", "client_id=sealwright&client_id=sealwright", "invalid_request"),
        ("/v1/device/token", "client_id=sealwright&device_code=x", "invalid_request"),
        (
            "/v1/device/token",
            "client_id=sealwright&device_code=x&grant_type=password",
            "unsupported_grant_type",
        ),
        ("/v1/device/token", &format!("client_id=somebody&device_code=x&{grant}"), "invalid_client"),
        ("/v1/device/token", &format!("client_id=sealwright&device_code=x&{grant}"), "invalid_grant"),
        ("/v1/device/token", &format!("client_id=sealwright&{grant}"), "invalid_request"),
        (
            "/v1/device/token",
            &format!("client_id=sealwright&device_code={}&{grant}", "x".repeat(5000)),
            "invalid_grant",
        ),
    ] {
        error(&rig.send(None, form(path, fields)).await, name);
    }
    // RFC 6749, 3.1: unknown parameters are passed over.
    let unknown = form("/v1/device/authorization", "client_id=sealwright&scope=all&x=y");
    rig.send(None, unknown).await.expect(StatusCode::OK);
    error(&rig.post("/v1/device/authorization", json!({"client_id": "sealwright"})).await, "invalid_request");
    let large = form("/v1/device/authorization", &format!("client_id=sealwright&x={}", "x".repeat(20_000)));
    rig.send(None, large).await.refused("too_large");
}

/// The page runs nothing but its own files, stands in no frame, and has nothing inline that a policy would have to allow.
#[tokio::test]
async fn the_page_lets_the_browser_run_nothing_else() {
    let rig = rig().await;
    for (path, media) in [
        ("/device", "text/html; charset=utf-8"),
        ("/device/page.css", "text/css; charset=utf-8"),
        ("/device/page.js", "text/javascript; charset=utf-8"),
        ("/device/seal.svg", "image/svg+xml"),
    ] {
        let answer = rig.send(None, get(path, None)).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers[header::CONTENT_TYPE], media);
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(rule), "{rule}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!answer.headers.contains_key(header::SET_COOKIE));
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        for inline in ["style=", " onclick", "<style", "<script>", "javascript:", "innerHTML", "eval("] {
            assert!(!text.contains(inline), "{path}: {inline}");
        }
    }
}

/// CVE-2026-40934: also the session that stays after a change of the password has let nobody in with the old one.
#[tokio::test]
async fn an_approval_dies_with_the_password() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let device = begin(&rig, None).await;
    decide(&alice, "approve", &device).await.expect(StatusCode::NO_CONTENT);
    let change = json!({"old_password": crate::rig::PASSWORD, "new_password": "quite another long password"});
    alice.call(Method::PUT, "/v1/me/password", change).await.expect(StatusCode::NO_CONTENT);
    error(&ask(&rig, None, code(&device)).await, "access_denied");
}
