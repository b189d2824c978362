//! How enclaves end: by themselves when nobody uses them, and by their users in every state.

use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::{User, World, until};

use crate::SOON;
use crate::alone::{Part, controller_config, gateway_config, logged, node, write_context};

/// Seconds without use; a facade tells its use every five.
const IDLE: u64 = 15;

fn events(user: &User<'_>, name: &str) -> Vec<Value> {
    let answer = user.json(&["enclave", "events", name]);
    answer["events"].as_array().cloned().unwrap_or_else(|| panic!("no events: {answer}"))
}

#[test]
fn an_enclave_that_nobody_uses_is_warned_of_extended_and_then_stopped() {
    let world = World::new();
    let _up = world.up();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    let idle = format!("{IDLE}s");
    let created = alice.json(&["enclave", "create", "notes", "--app", "hello", "--idle-timeout", &idle]);
    assert_eq!(created["idle_timeout"], IDLE);
    // Used from the outside, reported from the inside: it lives on.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(IDLE + IDLE / 2) {
        assert!(alice.get("notes", "/").contains("hi"));
    }
    let used = alice.json(&["enclave", "show", "notes"]);
    assert_eq!((&used["state"], &used["incarnation"]), (&"running".into(), &1.into()));

    let warning = until(SOON, "a warning", || {
        let warned = |event: &Value| event["stage"] == "warning" && event["reason"] == "idle";
        events(&alice, "notes").into_iter().rfind(warned)
    });
    assert_eq!(warning["state"], "running");
    let before = alice.json(&["enclave", "show", "notes"])["stops_at"].as_u64().unwrap();
    alice.ok(&["enclave", "extend", "notes", "--by", "20s"]);
    let after = alice.json(&["enclave", "show", "notes"]);
    assert!(after["stops_at"].as_u64().unwrap() > before, "{before} {after:#}");
    assert_eq!(after["stop_reason"], "idle");

    let stopped = alice.enclave_in("notes", &["stopped"], SOON);
    assert_eq!(stopped["stop_reason"], "idle");
    let all = events(&alice, "notes");
    let stopping = all.iter().find(|event| event["state"] == "stopping").unwrap();
    let at = stopping["at"].as_u64().unwrap();
    // A second is lost to rounding at both ends.
    assert!(at + 2 >= after["stops_at"].as_u64().unwrap(), "not before what was said: {all:#?}");
    let started = alice.json(&["enclave", "start", "notes"]);
    assert_eq!((&started["state"], &started["incarnation"]), (&"running".into(), &2.into()));
}

/// An app of this name whose arguments are these.
fn hello_with(world: &World, name: &str, arguments: &str) -> String {
    let path = world.hello(name, "1.0.0", "hi");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(r#"args: ["--port", "8080"]"#, &format!("args: {arguments}")))
        .unwrap();
    path
}

/// One start at a time, so that there is a queue; and every state has its way out.
#[test]
fn every_state_can_be_cancelled_and_a_queue_shows_the_places_in_it() {
    let world = World::new();
    let (folders, parts) = node(&world);
    let database = world.data().join("db.sqlite").to_string_lossy().into_owned();
    let config = controller_config(&world, &folders, &database, "", ", settings: {limits: {starts: 1}}");
    let controller = Part::start_as(&world, "controller", "controller", &config);
    let socket = format!("{}/controller.sock", folders.run);
    let config = gateway_config(&folders, &database, "127.0.0.1:1", &socket, "");
    let gateway_part = Part::start_as(&world, "gateway", "gateway", &config);
    let gateway = logged(&world, "gateway", "gateway listens address=");
    logged(&world, "agent", "enrolled node=");
    write_context(&world, &folders, &gateway, "127.0.0.1:1");

    let alice = world.user("alice");
    alice.sign_up();
    for file in [
        world.hello("hello", "1.0.0", "hi"),
        // It listens elsewhere, so that its start takes long.
        hello_with(&world, "deaf", r#"["--port", "8081"]"#),
        hello_with(&world, "broken", r#"["--no-such-option"]"#),
    ] {
        alice.ok(&["app", "publish", &file]);
    }
    let create = |name: &str, app: &str| alice.ok(&["enclave", "create", name, "--app", app, "--no-wait"]);
    let show = |name: &str| alice.json(&["enclave", "show", name]);
    create("slow", "deaf");
    alice.enclave_in("slow", &["starting"], SOON);
    create("second", "hello");
    create("third", "hello");
    until(SOON, "places in the queue", || {
        let (second, third) = (show("second"), show("third"));
        let place =
            |enclave: &Value| Some((enclave["queue_position"].as_u64()?, enclave["queue_size"].as_u64()?));
        (place(&second)? == (1, 2) && place(&third)? == (2, 2)).then_some(())
    });
    // Pending, then starting: whoever waits behind it goes on.
    alice.ok(&["enclave", "cancel", "third"]);
    assert_eq!(show("third")["state"], "stopped");
    alice.ok(&["enclave", "cancel", "slow"]);
    alice.enclave_in("slow", &["stopped"], SOON);
    alice.enclave_in("second", &["running"], SOON);
    // Running, and stopped already.
    for _ in 0..2 {
        alice.ok(&["enclave", "stop", "second"]);
        assert_eq!(show("second")["state"], "stopped");
    }
    create("fourth", "broken");
    let failed = alice.enclave_in("fourth", &["failed"], SOON);
    assert!(failed["reason"].as_str().is_some_and(|reason| reason.starts_with("app-")), "{failed:#}");
    alice.ok(&["enclave", "stop", "fourth"]);
    assert_eq!(show("fourth")["state"], "stopped");
    // Each of them can be deleted from where it is, a start that is on its way too.
    create("fifth", "deaf");
    alice.enclave_in("fifth", &["starting"], SOON);
    for name in ["slow", "second", "third", "fourth", "fifth"] {
        alice.ok(&["enclave", "delete", name, "--yes"]);
    }
    until(SOON, "nothing left", || alice.enclaves().is_empty().then_some(()));
    for part in [gateway_part, controller].into_iter().chain(parts.into_iter().rev()) {
        let (name, code) = part.stop();
        assert_eq!(code, Some(0), "{name}");
    }
}
