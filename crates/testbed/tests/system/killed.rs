//! kill -9 of every process of an enclave, one after the other: it fails with a reason, vanishes, and can come back.

use std::time::Duration;

use api::node::EvidenceRequest;
use logs::enclave::{EnclaveLog, Event};
use names::EnclaveId;
use node_api::{CallError, Node};
use proto::v1::WatchRoutesRequest;
use proto::v1::controller_client::ControllerClient;
use serde_json::Value;
use testbed::{Found, Up, User, World, ended, processes_of, until};

use crate::SOON;

/// How soon an end is told.
const NOTICED: Duration = Duration::from_secs(5);

/// The enclave's processes, from the controller's child down to the app.
fn chain(up: &Up, enclave: &Value) -> Vec<Found> {
    let id = enclave["id"].as_str().unwrap();
    let tree = up.tree();
    let top = tree.iter().find(|found| found.parent == up.place().pid && found.command.contains(id)).unwrap();
    let mut chain = vec![top.clone()];
    while let Some(next) = tree.iter().find(|found| found.parent == chain.last().unwrap().process.pid) {
        chain.push(next.clone());
    }
    chain
}

/// The last thing that the node's log says of this enclave is the end of this incarnation.
fn has_stop_event(world: &World, enclave: &Value) -> bool {
    let id: EnclaveId = enclave["id"].as_str().unwrap().parse().unwrap();
    let bytes = std::fs::read(world.data().join("agent/enclave-log.cel")).unwrap();
    // A record may be half written just now.
    let Ok(log) = EnclaveLog::parse(&bytes, evidence::ENCLAVE_LOG_PCR) else { return false };
    let last = log
        .records()
        .iter()
        .rev()
        .filter_map(|record| record.event())
        .find(|event| event.enclave() == Some(&id));
    matches!(last, Some(Event::Stop { incarnation, .. }) if enclave["incarnation"].as_u64() == Some(*incarnation))
}

/// Whether the edge is told of a way to the enclave.
fn is_routed(world: &World, enclave: &Value) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let table = runtime.block_on(async {
        let channel = proto::connect(&world.data().join("run/controller.sock"));
        let stream = ControllerClient::new(channel).watch_routes(WatchRoutesRequest {}).await;
        stream.unwrap().into_inner().message().await.unwrap().unwrap()
    });
    table.routes.iter().any(|route| enclave["host"] == route.host.as_str())
}

fn kill_one(world: &World, up: &Up, alice: &User<'_>, level: usize) {
    let before = alice.json(&["enclave", "show", "notes"]);
    assert!(is_routed(world, &before));
    let chain = chain(up, &before);
    let victim = &chain[level];
    victim.process.kill().unwrap();

    let failed = alice.enclave_in("notes", &["failed"], NOTICED);
    let reason = failed["reason"].as_str().unwrap();
    let is_app = level + 1 == chain.len();
    let expected: &[&str] = if is_app { &["app-ended"] } else { &["crashed", "app-ended"] };
    assert!(expected.contains(&reason), "{reason} after the end of {}", victim.command);
    assert!(!is_routed(world, &before));
    until(NOTICED, "the stop event", || has_stop_event(world, &before).then_some(()));
    ended(NOTICED, &chain, &world.data().join("enclaves").join(before["id"].as_str().unwrap()));
    let asked = alice.run(&["enclave", "request", "notes", "GET", "/", "--allow-simulated"]);
    assert!(asked.code != 0 && asked.reason().is_some(), "{asked:#?}");
    assert_ne!(alice.run(&["enclave", "verify", "notes", "--allow-simulated"]).code, 0);

    let started = alice.json(&["enclave", "start", "notes"]);
    assert_eq!(started["state"], "running");
    assert_eq!(started["incarnation"].as_u64().unwrap(), before["incarnation"].as_u64().unwrap() + 1);
    alice.verify("notes");
    alice.get("notes", "/");
}

#[test]
fn a_killed_process_of_any_level_fails_its_enclave_which_then_starts_again() {
    let world = World::new();
    let up = world.up();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    alice.sign_up();
    bob.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    let enclave = alice.json(&["enclave", "create", "notes", "--app", "hello"]);
    bob.ok(&["enclave", "create", "diary", "--app", "hello"]);
    let levels = chain(&up, &enclave).len();
    assert!(levels >= 2, "a facade and an app");
    for level in 0..levels {
        kill_one(&world, &up, &alice, level);
        // Nobody else's enclave has noticed.
        assert_eq!(bob.enclave_in("diary", &["running"], SOON)["incarnation"], 1);
        bob.verify("diary");
    }
    up.kill9();
}

#[test]
fn the_search_for_orphans_finds_every_process_of_a_running_up() {
    let world = World::new();
    let up = world.up();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    let (tree, found) = (up.tree(), processes_of(&world.data()));
    assert!(tree.len() >= 4, "up, software TPM, facade, app: {tree:#?}");
    for process in tree {
        assert!(found.contains(&process), "{process:#?} is not among {found:#?}");
    }
    up.kill9();
    assert_eq!(processes_of(&world.data()), Vec::new());
}

#[test]
fn the_agent_gives_evidence_to_nobody_but_facades() {
    let world = World::new();
    let up = world.up();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // 32 zero bytes in base64.
    let nonce = format!("{}=", "A".repeat(43));
    let certificate = names::Digest::of(b"a certificate of somebody's");
    let request = EvidenceRequest { nonce, audience: None, channel: None, certificate };
    let asked = runtime.block_on(Node::new(&world.data().join("run/agent.sock")).evidence(&request));
    assert!(matches!(asked, Err(CallError::Refused { .. })), "{asked:?}");
    up.kill9();
}
