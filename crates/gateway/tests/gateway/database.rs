//! PostgreSQL goes away and comes back under a running gateway; two gateways share one database.

use std::time::{Duration, Instant};

use fixtures::{Access, Database, Server};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use crate::rig::{Answer, PASSWORD, Rig, get, rig, rig_on};

fn unavailable(answer: &Answer) {
    answer.refused("database_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
}

async fn sign_up(rig: &Rig, name: &str) -> Answer {
    rig.post("/v1/users", json!({"name": name, "password": PASSWORD})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stops_is_told_and_served_again_without_a_restart() {
    let server = Server::start(Access::Socket);
    let rig = rig_on(Database::on(&server)).await;
    let session = rig.user("alice", None).await;
    for (number, what) in ["shut down", "kill -9"].into_iter().enumerate() {
        if number == 0 {
            server.shut_down()
        } else {
            server.kill()
        }
        unavailable(&session.get("/v1/me").await);
        let name = format!("bob-{number}");
        unavailable(&sign_up(&rig, &name).await);
        server.start_again();
        session.get("/v1/me").await.expect(StatusCode::OK);
        assert_eq!(sign_up(&rig, &name).await.status, StatusCode::CREATED, "{what}");
    }
    // Nothing that was acknowledged is lost.
    for name in ["alice", "bob-0", "bob-1"] {
        rig.log_in(name, None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_is_told_within_a_deadline() {
    let server = Server::start(Access::Socket);
    let rig = rig_on(Database::on(&server)).await;
    let session = rig.user("alice", None).await;
    server.pause();
    unavailable(&session.get("/v1/me").await);
    server.resume();
    session.get("/v1/me").await.expect(StatusCode::OK);
    sign_up(&rig, "bob").await.expect(StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_sign_ups_at_two_gateways_one_has_the_name() {
    let first = rig().await;
    let second = first.beside().await;
    let answers = join_all((0..12).map(|number| sign_up([&first, &second][number % 2], "alice"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::CREATED) {
        answer.refused("name_taken");
    }
}

/// CVE-2026-1035, by two gateways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_refreshes_at_two_gateways_one_wins_and_the_reuse_is_seen() {
    let first = rig().await;
    let second = first.beside().await;
    let session = first.user("alice", None).await;
    let body = json!({"refresh_token": session.refresh_token()});
    let refresh = |number: usize| [&first, &second][number % 2].post("/v1/sessions/refresh", body.clone());
    let answers = join_all((0..50).map(refresh)).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::OK).collect();
    assert_eq!(won.len(), 1);
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        answer.refused("refresh_reused");
    }
    // The winner's tokens are of the session that the reuse has ended, at both gateways.
    let newer = json!({"refresh_token": won[0].json()["refresh_token"]});
    for gateway in [&first, &second] {
        gateway.post("/v1/sessions/refresh", newer.clone()).await.refused("session_revoked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_one_gateway_is_honoured_by_another() {
    let first = rig().await;
    let second = first.beside().await;
    let session = first.user("alice", None).await;
    second.send(None, get("/v1/me", Some(session.access_token()))).await.expect(StatusCode::OK);
    let body = json!({"refresh_token": session.refresh_token()});
    let newer = second.post("/v1/sessions/refresh", body).await.expect(StatusCode::OK);
    // The second one's key is new to the first, which looks for new keys at most once a second.
    let deadline = Instant::now() + Duration::from_secs(5);
    let token = newer["access_token"].as_str();
    while first.send(None, get("/v1/me", token)).await.status != StatusCode::OK {
        assert!(Instant::now() < deadline, "a token of the other gateway is not accepted");
    }
    let body = json!({"refresh_token": newer["refresh_token"]});
    first.post("/v1/sessions/refresh", body).await.expect(StatusCode::OK);
}
