//! The lives of enclaves as their users see them: cancel, orphan, extend, history, bounds.

use http::{Method, StatusCode};
use lifecycle::StopReason;
use serde_json::{Value, json};

use crate::enclaves::{alice, create};
use crate::rig::rig;

/// coder#28708: a workspace that was "Starting" for seven days and could not be cancelled.
#[tokio::test]
async fn a_start_that_nobody_takes_can_be_cancelled_and_deleted() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    rig.controller.stop().await;
    create(&alice, "notes").await;
    for _ in 0..2 {
        let cancelled = alice.post("/v1/enclaves/notes/cancel", Value::Null).await.expect(StatusCode::OK);
        assert_eq!(cancelled["state"], "stopped");
    }
    alice.call(Method::DELETE, "/v1/enclaves/notes", Value::Null).await.expect(StatusCode::NO_CONTENT);
    alice.get("/v1/enclaves/notes").await.refused("not_found");
}

/// kubespawner#95, coder#2313: delete must work when the infrastructure is gone.
#[tokio::test]
async fn a_stuck_delete_can_be_let_go_and_frees_the_name() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    let first = create(&alice, "notes").await;
    alice.stages("notes").await;
    rig.controller.stop().await;
    alice.call(Method::DELETE, "/v1/enclaves/notes", Value::Null).await.expect(StatusCode::ACCEPTED);
    let orphan = "/v1/enclaves/notes?orphan=true";
    alice.call(Method::DELETE, orphan, Value::Null).await.expect(StatusCode::NO_CONTENT);
    alice.get("/v1/enclaves/notes").await.refused("not_found");
    assert_eq!(alice.get("/v1/enclaves").await.expect(StatusCode::OK)["enclaves"], json!([]));
    let second = create(&alice, "notes").await;
    assert_eq!(first["host"], second["host"]);
    assert_ne!(first["id"], second["id"]);
}

#[tokio::test]
async fn a_full_node_says_so_before_anything_is_made() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    rig.controller.set_full(true);
    let answer = alice.post("/v1/enclaves", json!({"name": "notes", "app": "hello"})).await;
    answer.refused("no_capacity");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(alice.get("/v1/enclaves").await.expect(StatusCode::OK)["enclaves"], json!([]));
    rig.controller.set_full(false);
    create(&alice, "notes").await;
}

#[tokio::test]
async fn history_is_numbered_and_can_be_read_on() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "broken").await;
    alice.stages("broken").await;
    let all = alice.get("/v1/enclaves/broken/events").await.expect(StatusCode::OK);
    let all = all["events"].as_array().unwrap().clone();
    let seen: Vec<_> = all.iter().map(|event| event["stage"].as_str().unwrap()).collect();
    assert_eq!(seen, ["pending", "prepare", "failed"]);
    let last = &all[2];
    assert_eq!(
        (&last["seq"], &last["state"], &last["reason"]),
        (&json!(3), &json!("failed"), &json!("spawn"))
    );
    let rest = alice.get("/v1/enclaves/broken/events?after=2&limit=1").await.expect(StatusCode::OK);
    assert_eq!(rest["events"], json!([last]));
    for query in ["limit=0", "limit=201", "limit=x", "after=-1", "before=1"] {
        alice.get(&format!("/v1/enclaves/broken/events?{query}")).await.refused("malformed");
    }
}

/// Two gateways on one database tell the same stages; who comes back goes on where it was.
#[tokio::test]
async fn stages_go_on_after_the_last_event_that_was_seen() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "notes").await;
    let stages = alice.stages("notes").await;
    let names: Vec<_> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["prepare", "ready"]);
    let other = rig.beside().await;
    let elsewhere = alice.at(&other);
    assert_eq!(elsewhere.stages("notes").await, stages);
    let after = async |id: &str| {
        let headers = [("last-event-id", id)];
        elsewhere.with(Method::GET, "/v1/enclaves/notes/stages", &headers, Value::Null).await
    };
    let rest = after(&stages[0]["seq"].to_string()).await;
    let text = String::from_utf8(rest.body.to_vec()).unwrap();
    assert_eq!(text.matches("data:").count(), 1, "{text}");
    assert!(text.contains("ready") && text.contains(&format!("id: {}", stages[1]["seq"])), "{text}");
    after("x").await.refused("malformed");
}

/// coder#25864, #12064: warn before a stop, say why, and let people extend.
#[tokio::test]
async fn the_end_is_told_and_can_be_put_off_within_bounds() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    let body = json!({"name": "notes", "app": "hello", "idle_timeout": 600, "max_age": 86400});
    let created = alice.post("/v1/enclaves", body).await.expect(StatusCode::ACCEPTED);
    assert_eq!((&created["idle_timeout"], &created["max_age"]), (&json!(600), &json!(86400)));
    alice.stages("notes").await;
    let id = created["id"].as_str().unwrap().parse().unwrap();
    rig.controller.plan_stop(&id, (1000, StopReason::Idle)).await;
    let shown = alice.get("/v1/enclaves/notes").await.expect(StatusCode::OK);
    assert_eq!((&shown["stops_at"], &shown["stop_reason"]), (&json!(1000), &json!("idle")));
    let extended =
        alice.post("/v1/enclaves/notes/extend", json!({"seconds": 3600})).await.expect(StatusCode::OK);
    assert!(extended["stops_at"].as_u64().unwrap() >= crate::rig::now() + 3590);
    for seconds in [0, 86_401] {
        let answer = alice.post("/v1/enclaves/notes/extend", json!({"seconds": seconds})).await;
        answer.refused("invalid_lifetime");
    }
    alice.post("/v1/enclaves/notes/stop", Value::Null).await.expect(StatusCode::OK);
    alice.post("/v1/enclaves/notes/extend", json!({"seconds": 60})).await.refused("wrong_state");
    for field in ["idle_timeout", "max_age"] {
        let body = json!({"name": "other", "app": "hello", field: 0});
        alice.post("/v1/enclaves", body).await.refused("invalid_lifetime");
    }
}

/// The enclave log of the node ends at a bound, and every start takes three records of it.
#[tokio::test]
async fn starts_have_a_rate() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    let id = create(&alice, "notes").await["id"].as_str().unwrap().parse().unwrap();
    let user = alice.user_id().parse().unwrap();
    alice.stages("notes").await;
    for _ in 0..60 {
        let rates = store::StartRates::default();
        rig.store.count_start(&user, Some(&id), &rates, crate::rig::now()).await.unwrap();
    }
    alice.post("/v1/enclaves/notes/stop", Value::Null).await.expect(StatusCode::OK);
    let answer = alice.post("/v1/enclaves/notes/start", Value::Null).await;
    answer.refused("too_many_starts");
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
}
