//! Second factors over the real gateway: authenticator apps and recovery codes.

use factors::totp::{STEP, Secret};
use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::rig::{Answer, PASSWORD, Rig, Session, now, rig};

/// The secret as an authenticator app reads it: base32.
pub fn read_secret(text: &str) -> Secret {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for letter in text.chars() {
        held = (held << 5) | u32::try_from(letters.find(letter).unwrap()).unwrap();
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 255).unwrap());
        }
    }
    Secret::from_bytes(&bytes).unwrap()
}

/// Adds an app. Its first code is that of the step before, so that the present one is still unused.
pub async fn add_app(session: &Session<'_>) -> Secret {
    let offer = session.post("/v1/me/totp", json!({"password": PASSWORD})).await.expect(StatusCode::OK);
    let secret = read_secret(offer["secret"].as_str().unwrap());
    let code = secret.code(now() / STEP - 1);
    session.call(Method::PUT, "/v1/me/totp", json!({"code": *code})).await.expect(StatusCode::NO_CONTENT);
    secret
}

pub async fn recovery_codes(session: &Session<'_>) -> Vec<String> {
    let codes =
        session.post("/v1/me/recovery-codes", json!({"password": PASSWORD})).await.expect(StatusCode::OK);
    serde_json::from_value(codes["codes"].clone()).unwrap()
}

async fn log_in(rig: &Rig, second_factor: Value) -> Answer {
    let mut body = json!({"name": "alice", "password": PASSWORD});
    if !second_factor.is_null() {
        body["second_factor"] = second_factor;
    }
    rig.post("/v1/sessions", body).await
}

pub fn present(secret: &Secret) -> Value {
    json!({"totp": *secret.code(now() / STEP)})
}

/// Six digits that are wrong now, whatever the clock does meanwhile.
fn wrong(secret: &Secret) -> Value {
    let near: Vec<String> =
        (now() / STEP - 3..now() / STEP + 4).map(|step| secret.code(step).to_string()).collect();
    let wrong = (0..).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap();
    json!({"totp": wrong})
}

#[tokio::test]
async fn with_an_app_a_password_alone_is_not_enough() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let secret = add_app(&session).await;
    let answer = log_in(&rig, Value::Null).await;
    answer.refused("second_factor_required");
    assert_eq!(answer.json()["factors"], json!(["totp"]));
    log_in(&rig, wrong(&secret)).await.refused("second_factor_invalid");
    log_in(&rig, present(&secret)).await.expect(StatusCode::OK);
    let answer = session.get("/v1/me/factors").await.expect(StatusCode::OK);
    assert!(answer["totp_since"].is_u64(), "{answer}");
}

/// A wrong password is told before anything about second factors is.
#[tokio::test]
async fn a_wrong_password_tells_nothing_about_second_factors() {
    let rig = rig().await;
    let secret = add_app(&rig.user("alice", None).await).await;
    let body =
        json!({"name": "alice", "password": "another long password", "second_factor": present(&secret)});
    let answer = rig.post("/v1/sessions", body).await;
    answer.refused("bad_credentials");
    assert_eq!(answer.json()["factors"], Value::Null);
    log_in(&rig, present(&secret)).await.expect(StatusCode::OK);
}

/// RFC 6238, 5.2: a code is accepted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_logins_with_one_code_one_wins() {
    let rig = rig().await;
    let secret = add_app(&rig.user("alice", None).await).await;
    let code = present(&secret);
    let answers = join_all((0..50).map(|_| log_in(&rig, code.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        assert!(["second_factor_invalid", "too_many_attempts", "busy"].contains(&code.as_str()), "{code}");
    }
}

/// The code that confirmed the app is used up as well.
#[tokio::test]
async fn the_first_code_is_no_second_one() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let offer = session.post("/v1/me/totp", json!({"password": PASSWORD})).await.expect(StatusCode::OK);
    let secret = read_secret(offer["secret"].as_str().unwrap());
    let code = secret.code(now() / STEP).to_string();
    session.call(Method::PUT, "/v1/me/totp", json!({"code": code})).await.expect(StatusCode::NO_CONTENT);
    log_in(&rig, json!({"totp": code})).await.refused("second_factor_invalid");
}

/// CVE-2026-27801: the limit on codes did not limit. The seventh attempt is refused although its code is right, also by another gateway on the
/// same database.
#[tokio::test]
async fn the_seventh_attempt_after_six_wrong_codes_is_refused_whatever_its_code() {
    let rig = rig().await;
    let secret = add_app(&rig.user("alice", None).await).await;
    for _ in 0..6 {
        log_in(&rig, wrong(&secret)).await.refused("second_factor_invalid");
    }
    let answer = log_in(&rig, present(&secret)).await;
    answer.refused("too_many_attempts");
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((890..=900).contains(&seconds), "{seconds}");
    let rig = rig.restart().await;
    log_in(&rig, present(&secret)).await.refused("too_many_attempts");
}

/// CVE-2026-27801: many at once are still so many attempts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_wrong_codes_at_once_six_are_judged() {
    let rig = rig().await;
    let secret = add_app(&rig.user("alice", None).await).await;
    let code = wrong(&secret);
    let answers = join_all((0..40).map(|_| log_in(&rig, code.clone()))).await;
    let judged = answers.iter().filter(|answer| answer.json()["code"] == "second_factor_invalid").count();
    assert_eq!(judged, 6);
}

#[tokio::test]
async fn a_right_code_begins_the_count_anew() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let secret = add_app(&session).await;
    let codes = recovery_codes(&session).await;
    for code in &codes[..2] {
        for _ in 0..5 {
            log_in(&rig, wrong(&secret)).await.refused("second_factor_invalid");
        }
        log_in(&rig, json!({"recovery_code": code})).await.expect(StatusCode::OK);
    }
}

/// Whoever knows the password can be wrong often enough to close the door to codes; the owner's recovery codes are another door.
#[tokio::test]
async fn wrong_codes_do_not_keep_the_owner_from_a_recovery_code() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let secret = add_app(&session).await;
    let codes = recovery_codes(&session).await;
    for _ in 0..7 {
        log_in(&rig, json!({"totp": "000000"})).await;
    }
    log_in(&rig, present(&secret)).await.refused("too_many_attempts");
    log_in(&rig, json!({"recovery_code": "wrong-wrong-wrong"})).await.refused("second_factor_invalid");
    log_in(&rig, json!({"recovery_code": codes[0]})).await.expect(StatusCode::OK);
    log_in(&rig, present(&secret)).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_recovery_code_works_once_however_it_is_typed() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    add_app(&session).await;
    let codes = recovery_codes(&session).await;
    assert_eq!(codes.len(), 10);
    let answer = log_in(&rig, Value::Null).await;
    assert_eq!(answer.json()["factors"], json!(["totp", "recovery_code"]));
    let typed = codes[0].to_uppercase().replace('-', " ");
    log_in(&rig, json!({"recovery_code": typed})).await.expect(StatusCode::OK);
    log_in(&rig, json!({"recovery_code": codes[0]})).await.refused("second_factor_invalid");
    let left = session.get("/v1/me/factors").await.expect(StatusCode::OK);
    assert_eq!(left["recovery_codes"], 9);
    let newer = recovery_codes(&session).await;
    log_in(&rig, json!({"recovery_code": codes[1]})).await.refused("second_factor_invalid");
    log_in(&rig, json!({"recovery_code": newer[1]})).await.expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_logins_with_one_recovery_code_one_wins() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    add_app(&session).await;
    let code = json!({"recovery_code": recovery_codes(&session).await[0]});
    let answers = join_all((0..20).map(|_| log_in(&rig, code.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1);
}

/// Recovery codes stand in for a factor; without one there is nothing to stand in for.
#[tokio::test]
async fn a_second_factor_that_the_account_does_not_have_is_refused() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let codes = recovery_codes(&session).await;
    log_in(&rig, json!({"recovery_code": codes[0]})).await.refused("second_factor_invalid");
    log_in(&rig, json!({"totp": "123456"})).await.refused("second_factor_invalid");
    log_in(&rig, Value::Null).await.expect(StatusCode::OK);
}

/// A stolen session must not be able to add, change or remove what opens the account.
#[tokio::test]
async fn a_session_alone_changes_no_second_factor() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let wrong_password = json!({"password": "another long password"});
    for proof in [json!({}), wrong_password.clone()] {
        session.post("/v1/me/totp", proof.clone()).await.refused("proof_required");
        session.post("/v1/me/recovery-codes", proof).await.refused("proof_required");
    }
    let secret = add_app(&session).await;
    session.call(Method::DELETE, "/v1/me/totp", json!({})).await.refused("proof_required");
    session.call(Method::DELETE, "/v1/me/totp", wrong_password).await.refused("proof_required");
    let both = json!({"password": PASSWORD, "second_factor": present(&secret)});
    session.call(Method::DELETE, "/v1/me/totp", both).await.refused("malformed");
    log_in(&rig, Value::Null).await.refused("second_factor_required");
    let fresh = json!({"second_factor": present(&secret)});
    session.call(Method::DELETE, "/v1/me/totp", fresh.clone()).await.expect(StatusCode::NO_CONTENT);
    log_in(&rig, Value::Null).await.expect(StatusCode::OK);
    session.call(Method::DELETE, "/v1/me/totp", fresh).await.refused("second_factor_invalid");
}

/// Guessing the password by way of a stolen session is limited like guessing codes.
#[tokio::test]
async fn wrong_passwords_as_proof_are_counted() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    for _ in 0..6 {
        session
            .post("/v1/me/totp", json!({"password": "another long password"}))
            .await
            .refused("proof_required");
    }
    session.post("/v1/me/totp", json!({"password": PASSWORD})).await.refused("too_many_attempts");
}

/// An offer changes nothing until its code comes, and a newer one takes its place.
#[tokio::test]
async fn an_app_counts_only_after_its_first_code() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    session.call(Method::PUT, "/v1/me/totp", json!({"code": "123456"})).await.refused("not_found");
    let offer = async || {
        let offer = session.post("/v1/me/totp", json!({"password": PASSWORD})).await.expect(StatusCode::OK);
        assert!(offer["uri"].as_str().unwrap().starts_with("otpauth://totp/Sealwright:alice?secret="));
        read_secret(offer["secret"].as_str().unwrap())
    };
    let (old, new) = (offer().await, offer().await);
    log_in(&rig, Value::Null).await.expect(StatusCode::OK);
    let confirm = async |secret: &Secret| {
        let code = secret.code(now() / STEP).to_string();
        session.call(Method::PUT, "/v1/me/totp", json!({"code": code})).await
    };
    confirm(&old).await.refused("second_factor_invalid");
    confirm(&new).await.expect(StatusCode::NO_CONTENT);
    confirm(&new).await.refused("not_found");
    log_in(&rig, Value::Null).await.refused("second_factor_required");
}

/// What is in the database does not open the account: secrets are sealed for their account, codes are hashes.
#[tokio::test]
async fn the_database_holds_no_secret_of_a_second_factor() {
    let rig = rig().await;
    let session = rig.user("alice", None).await;
    let secret = add_app(&session).await;
    let codes = recovery_codes(&session).await;
    rig.store.close().await;
    let hex = names::hex(secret.expose());
    for file in ["db.sqlite", "db.sqlite-wal"] {
        if !rig.has_file(file) {
            continue;
        }
        let bytes = rig.file(file);
        let text = String::from_utf8_lossy(&bytes);
        for needle in [hex.as_str(), &secret.spelled(), &codes[0], &codes[0].replace('-', "")] {
            assert!(!text.contains(needle), "{file}");
        }
        assert!(!bytes.windows(20).any(|window| window == secret.expose()), "{file}");
    }
    assert_eq!(rig.file("factors.key").len(), 32);
}

/// CVE-2024-28233, CVE-2026-40864: requests of other sites' pages. `Sec-Fetch-Mode: no-cors` does not make one ours.
#[tokio::test]
async fn requests_of_other_sites_pages_are_refused() {
    let rig = rig().await;
    let send = async |headers: &[(&str, &str)]| {
        let body = json!({"name": "nobody", "password": "another long password"});
        let mut request = crate::rig::json_request(Method::POST, "/v1/sessions", None, &body);
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        rig.send(None, request).await
    };
    let ours = format!("https://localhost:{}", rig.address.port());
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", ours.as_str()), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
        vec![("origin", ours.as_str()), ("origin", "https://evil.example")],
    ] {
        send(&headers).await.refused("cross_site");
    }
    send(&[("origin", ours.as_str()), ("sec-fetch-site", "same-origin")]).await.refused("bad_credentials");
    send(&[]).await.refused("bad_credentials");
}
