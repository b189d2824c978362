//! Limits of attempts.

use futures_util::future::join_all;
use gateway::{Limits, Loopback};
use http::{Method, StatusCode};
use names::Digest;
use serde_json::json;

use crate::accounts::log_in;
use crate::device::begin;
use crate::rig::{Answer, Identity, PASSWORD, get, json_request, replica, rig, rig_with};

#[track_caller]
fn waits(answer: &Answer) -> u64 {
    answer.refused("too_many_attempts");
    let seconds = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(answer.headers["ratelimit"], format!("\"attempts\";r=0;t={seconds}"));
    seconds
}

/// CVE-2026-27801: the limit did not limit. Six wrong passwords, at two gateways in turn, and the seventh attempt waits at both, also with the right one.
#[tokio::test]
async fn the_seventh_attempt_waits_at_every_gateway() {
    let first = rig().await;
    let second = replica(&first, |_| {}).await;
    first.user("alice", None).await;
    for number in 0..6 {
        let rig = if number % 2 == 0 { &first } else { &second };
        log_in(rig, "alice", &format!("a wrong password {number}")).await.refused("bad_credentials");
    }
    for rig in [&first, &second] {
        assert!((1..=30).contains(&waits(&log_in(rig, "alice", PASSWORD).await)));
    }
    log_in(&first, "bob", "a wrong password").await.refused("bad_credentials");
}

/// Names that nobody has are limited alike, so that the limit does not tell which there are.
#[tokio::test]
async fn unknown_names_are_limited_as_known_ones_are() {
    let rig = rig().await;
    for number in 0..6 {
        log_in(&rig, "nobody", &format!("a wrong password {number}")).await.refused("bad_credentials");
    }
    waits(&log_in(&rig, "nobody", PASSWORD).await);
}

#[tokio::test]
async fn a_crowd_of_parallel_attempts_gets_no_more() {
    let rig = rig().await;
    rig.user("alice", None).await;
    let passwords: Vec<String> = (0..30).map(|number| format!("a wrong password {number}")).collect();
    let answers = join_all(passwords.iter().map(|password| log_in(&rig, "alice", password))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::UNAUTHORIZED).count(), 6);
}

/// A client that has not heard of a new password sends the old one for ever: that is one attempt.
#[tokio::test]
async fn the_same_wrong_password_again_is_no_further_attempt() {
    let rig = rig().await;
    rig.user("alice", None).await;
    for _ in 0..10 {
        log_in(&rig, "alice", "the one of last year").await.refused("bad_credentials");
    }
    log_in(&rig, "alice", PASSWORD).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_success_forgives() {
    let rig = rig().await;
    rig.user("alice", None).await;
    for round in 0..3 {
        for number in 0..5 {
            let wrong = format!("a wrong password {round} {number}");
            log_in(&rig, "alice", &wrong).await.refused("bad_credentials");
        }
        log_in(&rig, "alice", PASSWORD).await.expect(StatusCode::OK);
    }
}

/// Somebody else's wrong passwords do not keep the owner out: a certificate that has opened the account before is counted apart.
#[tokio::test]
async fn an_owner_with_a_known_certificate_is_not_locked_out_by_others() {
    let rig = rig().await;
    let (alice, mallory) = (Identity::new("alice"), Identity::new("mallory"));
    rig.user("alice", Some(&alice)).await;
    for number in 0..6 {
        log_in(&rig, "alice", &format!("a wrong password {number}")).await.refused("bad_credentials");
    }
    let body = json!({"name": "alice", "password": PASSWORD});
    let request = || json_request(Method::POST, "/v1/sessions", None, &body);
    waits(&rig.send(Some(&mallory), request()).await);
    rig.send(Some(&alice), request()).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_changes_old_password_is_counted_too() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    for number in 0..6 {
        let body = json!({"old_password": format!("a wrong password {number}"), "new_password": "a new long password"});
        alice.call(Method::PUT, "/v1/me/password", body).await.refused("wrong_password");
    }
    let body = json!({"old_password": PASSWORD, "new_password": "a new long password"});
    waits(&alice.call(Method::PUT, "/v1/me/password", body).await);
}

#[tokio::test]
async fn an_address_has_a_rate_of_logins_and_of_sign_ups() {
    let limits = Limits {
        login_burst: 3,
        logins_per_minute: 1,
        sign_up_burst: 2,
        sign_ups_per_hour: 1,
        loopback: Loopback::Counted,
        ..Limits::default()
    };
    let rig = rig_with(|config| config.settings.limits = limits).await;
    for name in ["alice", "bob"] {
        rig.post("/v1/users", json!({"name": name, "password": PASSWORD})).await.expect(StatusCode::CREATED);
    }
    waits(&rig.post("/v1/users", json!({"name": "carol", "password": PASSWORD})).await);
    for name in ["alice", "bob", "carol"] {
        log_in(&rig, name, "a wrong password").await.refused("bad_credentials");
    }
    waits(&log_in(&rig, "alice", PASSWORD).await);
    rig.send(None, get("/v1/health", None)).await.expect(StatusCode::OK);
}

/// CVE-2026-54338: an unbounded name was hashed, looked up and logged.
#[tokio::test]
async fn a_name_of_ten_megabytes_is_refused_before_it_is_read() {
    let rig = rig().await;
    let name = "x".repeat(10 << 20);
    for path in ["/v1/sessions", "/v1/users"] {
        let body = json!({"name": name, "password": PASSWORD});
        rig.post(path, body).await.refused("too_large");
        let body = json!({"name": &name[..900_000], "password": PASSWORD});
        let answer = rig.post(path, body).await;
        assert!(answer.body.len() < 1000, "{}", answer.body.len());
    }
}

/// Whoever has the database and a list of all addresses (there are few enough to hash them all) finds none there: what is kept are marks under a key
/// of the day, and they tell nothing any more when that is gone.
#[tokio::test]
async fn no_address_is_in_the_database_but_as_a_mark_of_the_day() {
    let rig = rig_with(|config| config.settings.limits.loopback = Loopback::Counted).await;
    rig.user("alice", None).await;
    log_in(&rig, "alice", "a wrong password").await.refused("bad_credentials");
    log_in(&rig, "nobody", "a wrong password").await.refused("bad_credentials");
    begin(&rig, None).await;
    let (plain, mapped) = ([127, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]);
    let mut forms = vec!["127.0.0.1".to_owned(), names::hex(&plain)];
    forms.extend(
        [&plain[..], &mapped, b"127.0.0.1", b"::ffff:127.0.0.1"].map(|of| Digest::of(of).to_string()),
    );
    for table in ["limits", "sessions", "audit", "device_codes"] {
        let rows = rig.sql(&format!("SELECT * FROM {table}")).to_lowercase();
        assert!(!rows.trim().is_empty(), "{table} has no rows");
        for form in &forms {
            assert!(!rows.contains(&form[..form.len().min(32)]), "{table}: {form}");
        }
    }
    let marks = |rig: &crate::rig::Rig| {
        let marks = rig.sql("SELECT DISTINCT address FROM device_codes");
        marks.lines().map(str::to_owned).filter(|mark| !mark.is_empty()).collect::<Vec<_>>()
    };
    let [of_the_day] = &marks(&rig)[..] else { panic!("one address, one mark") };
    assert!(rig.sql("SELECT bucket FROM limits").contains(&format!("login {of_the_day}")));
    assert!(rig.sql("SELECT address FROM audit").contains(of_the_day.as_str()));

    rig.sql("DELETE FROM address_keys");
    let tomorrow = replica(&rig, |_| {}).await;
    begin(&tomorrow, None).await;
    assert_eq!(marks(&rig).len(), 2, "the mark outlives its key");
}
