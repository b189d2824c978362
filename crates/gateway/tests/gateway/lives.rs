//! The lives of enclaves as their users see them: cancel, orphan, extend, history, bounds.

use http::{Method, StatusCode};
use lifecycle::{Deadlines, Event, State, StopReason};
use names::{Digest, EnclaveId};
use serde_json::{Value, json};
use store::{By, Controller, ControllerId, NewEnclave, Note, Process};

use crate::enclaves::{alice, create};
use crate::rig::{Rig, now, rig, rig_with};

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

/// Every state in which something is awaited has a deadline also where nobody is there to keep it (coder#28708). The states come from the
/// rules, so that a new one breaks this until somebody has thought of it.
#[tokio::test]
async fn what_waits_for_a_controller_that_never_comes_fails_with_a_reason() {
    let deadlines = Deadlines { queue: 1, progress: 1, start: 1, stop: 1, delete: 1 };
    let rig = rig_with(|config| {
        config.settings.lives.deadlines = deadlines;
        config.settings.quota = gateway::Quota { active: 9, total: 9 };
    })
    .await;
    let alice = alice(&rig).await;
    create(&alice, "notes").await;
    alice.stages("notes").await;
    rig.controller.stop().await;
    for state in State::ALL {
        let name = format!("in-{}", state.as_str());
        let awaited = match state {
            State::Pending | State::Starting | State::Stopping => true,
            // Rests; and what runs has a countdown where it has one at all.
            State::Running | State::Stopped | State::Failed => false,
            // Tried for ever, with `orphan` as the way out: a_stuck_delete_can_be_let_go_and_frees_the_name. No row says `deleted`.
            State::Deleting | State::Deleted => continue,
        };
        assert_eq!(
            lifecycle::Life { state, ..lifecycle::Life::new(0) }.deadline(&deadlines).is_some(),
            awaited
        );
        enclave_in(&rig, &name, state).await;
        if !awaited {
            continue;
        }
        let path = format!("/v1/enclaves/{name}");
        let show = async || alice.get(&path).await.expect(StatusCode::OK);
        rig.until("given up", async || show().await["state"] == "failed").await;
        assert_eq!(show().await["reason"], "no-controller", "{name}");
    }
    for (name, state) in [("in-running", "running"), ("in-stopped", "stopped")] {
        let enclave = alice.get(&format!("/v1/enclaves/{name}")).await.expect(StatusCode::OK);
        assert_eq!(enclave["state"], state);
    }
    assert_eq!(alice.get("/v1/enclaves/notes").await.expect(StatusCode::OK)["state"], "running");
}

/// An enclave of alice's that a controller has left in this state, by dying.
async fn enclave_in(rig: &Rig, name: &str, state: State) {
    let user = rig.store.user_by_name("alice").await.unwrap().unwrap();
    let app = rig.store.newest_app("hello").await.unwrap().unwrap();
    let digest = Digest::of(name.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&digest.as_bytes()[..16]);
    let id = EnclaveId::from_bytes(id);
    let enclave = NewEnclave {
        id,
        user: user.id,
        user_name: user.name,
        name: name.into(),
        app: app.name,
        version: app.version,
        version_digest: app.digest,
        owner: digest,
        host: format!("{name}.enclaves.localhost"),
        idle_timeout: None,
        max_age: None,
        trace: None,
        created_at: now(),
    };
    rig.store
        .create_enclave(&enclave, store::Quota { active: 99, total: 99, ..Default::default() })
        .await
        .unwrap();
    if state == State::Pending {
        return;
    }
    let process = Process { pid: 1, start_time: 1 };
    let dead = ControllerId::from_bytes([0xdd; 16]);
    let controller = Controller { id: dead, node: "local".into(), host: "gone".into(), process, beat: 7 };
    // It is there from the first enclave on.
    rig.store.register_controller(&controller).await.ok();
    let (claim, _) = rig.store.claim(&id, &dead, "local").await.unwrap().unwrap();
    let on = async |by: By<'_>, event| {
        rig.store.change(&id, by, event, &Note::says("said"), now()).await.unwrap();
    };
    let by = By::Claim(&claim);
    on(by, Event::Begin).await;
    match state {
        State::Running => on(by, Event::Ready).await,
        State::Failed => on(by, Event::Fail).await,
        State::Stopping => on(By::User, Event::Stop).await,
        State::Stopped => {
            on(By::User, Event::Stop).await;
            on(by, Event::Ended).await;
        }
        State::Pending | State::Starting | State::Deleting | State::Deleted => {}
    }
    assert_eq!(rig.store.enclave(&id).await.unwrap().unwrap().state, state);
}
