//! An enclave's life by the command, and whose it is.

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::{User, World};

use crate::SOON;

/// Enclaves that a user may have running at one time.
const ACTIVE: usize = 5;

fn with_hello<'a>(world: &'a World, name: &str) -> User<'a> {
    let user = world.user(name);
    user.sign_up();
    user.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    user
}

#[test]
fn an_enclave_is_created_once_stopped_started_and_deleted() {
    let world = World::new();
    let _up = world.up();
    let alice = with_hello(&world, "alice");
    let first = alice.json(&["enclave", "create", "notes", "--app", "hello"]);
    assert_eq!((&first["state"], &first["incarnation"]), (&"running".into(), &1.into()));
    let twice = alice.ends_with(6, &["enclave", "create", "notes", "--app", "hello"]);
    assert_eq!(twice.reason(), Some("name_taken"), "{twice:#?}");
    assert!(alice.ok(&["enclave", "logs", "notes"]).stdout.contains("hello listens on 127.0.0.1:8080"));

    // Started while it runs, stopped while it is stopped: nothing changes.
    let again = alice.json(&["enclave", "start", "notes"]);
    assert_eq!((&again["state"], &again["incarnation"]), (&"running".into(), &1.into()));
    for _ in 0..2 {
        let stopped = alice.json(&["enclave", "stop", "notes"]);
        assert_eq!((&stopped["state"], &stopped["incarnation"]), (&"stopped".into(), &1.into()));
    }
    assert_ne!(alice.run(&["enclave", "verify", "notes", "--allow-simulated"]).code, 0);
    let started = alice.json(&["enclave", "start", "notes"]);
    assert_eq!((&started["state"], &started["incarnation"]), (&"running".into(), &2.into()));
    alice.verify("notes");

    let unasked = alice.ends_with(2, &["enclave", "delete", "notes"]);
    assert!(unasked.stderr.contains("--yes"), "{unasked:#?}");
    alice.ok(&["enclave", "delete", "notes", "--yes"]);
    for arguments in [&["show", "notes"][..], &["stop", "notes"], &["start", "notes"], &["logs", "notes"]] {
        alice.ends_with(5, &[&["enclave"], arguments].concat());
    }
    alice.ends_with(5, &["enclave", "delete", "notes", "--yes"]);
    let second = alice.json(&["enclave", "create", "notes", "--app", "hello"]);
    assert_ne!(second["id"], first["id"]);
    alice.verify("notes");
}

#[test]
fn what_is_alices_is_not_there_for_bob() {
    let world = World::new();
    let _up = world.up();
    let alice = with_hello(&world, "alice");
    let bob = world.user("bob");
    bob.sign_up();
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    let tries = [
        &["show", "notes"][..],
        &["logs", "notes"],
        &["stop", "notes"],
        &["start", "notes"],
        &["delete", "notes", "--yes"],
        &["verify", "notes", "--allow-simulated"],
        &["request", "notes", "GET", "/", "--allow-simulated"],
    ];
    for arguments in tries {
        let asked = bob.ends_with(5, &[&["enclave"], arguments].concat());
        assert_eq!(asked.reason(), Some("not_found"), "{asked:#?}");
    }
    assert_eq!(bob.enclaves(), Vec::<Value>::new());
    bob.ends_with(5, &["enclave", "create", "notes", "--app", "no-such-app"]);
    assert_eq!(alice.enclave_in("notes", &["running"], SOON)["incarnation"], 1);
    alice.verify("notes");
}

#[test]
fn a_user_has_no_more_enclaves_than_the_quota() {
    let world = World::new();
    let _up = world.up();
    let alice = with_hello(&world, "alice");
    for number in 0..ACTIVE {
        alice.ok(&["enclave", "create", &format!("n{number}"), "--app", "hello", "--no-wait"]);
    }
    let one_more = alice.ends_with(6, &["enclave", "create", "more", "--app", "hello"]);
    assert_eq!(one_more.reason(), Some("quota_exceeded"), "{one_more:#?}");
    assert_eq!(alice.enclaves().len(), ACTIVE);
    alice.enclave_in("n0", &["running"], SOON);
    alice.ok(&["enclave", "stop", "n0"]);
    alice.ok(&["enclave", "create", "more", "--app", "hello"]);
    let start = alice.ends_with(6, &["enclave", "start", "n0"]);
    assert_eq!(start.reason(), Some("quota_exceeded"), "{start:#?}");
}

/// One fixed enclave, name and certificate served everybody of the original (portal.md 1.1, defect 3).
#[test]
fn users_with_the_same_names_for_things_have_enclaves_hosts_and_certificates_of_their_own() {
    let world = World::new();
    let _up = world.up();
    let publisher = with_hello(&world, "alice");
    let names = ["alice", "bob", "carol"];
    let mut seen: [BTreeSet<String>; 4] = Default::default();
    for name in names {
        let user = world.user(name);
        if name != "alice" {
            user.sign_up();
        }
        let enclave = user.json(&["enclave", "create", "notes", "--app", "hello"]);
        let evidence = world.path(&format!("{name}.evidence.json"));
        user.ok(&["enclave", "verify", "notes", "--allow-simulated", "--save", evidence.to_str().unwrap()]);
        let saved: Value = serde_json::from_slice(&std::fs::read(&evidence).unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned();
        let marks = [&enclave["id"], &enclave["host"], &enclave["owner"], &saved["certificate"]].map(text);
        for (seen, mark) in seen.iter_mut().zip(marks) {
            seen.insert(mark);
        }
    }
    assert_eq!(seen.map(|seen| seen.len()), [names.len(); 4]);
    assert_eq!(publisher.enclaves().len(), 1);
}

#[test]
fn logging_in_again_changes_nothing_and_a_name_is_signed_up_once() {
    let world = World::new();
    let _up = world.up();
    let alice = with_hello(&world, "alice");
    let created = alice.json(&["enclave", "create", "notes", "--app", "hello"]);
    let key = alice.json(&["auth", "status"])["key"].clone();
    for _ in 0..3 {
        alice.log_in();
        assert_eq!(alice.json(&["auth", "status"])["key"], key);
        assert_eq!(alice.json(&["enclave", "show", "notes"]), created);
    }
    let again = alice.run_with(
        &["auth", "signup", "alice", "--password-stdin"],
        format!("{}\n", testbed::PASSWORD).as_bytes(),
    );
    assert_eq!(again.code, 6, "{again:#?}");
    alice.ok(&["auth", "logout"]);
    alice.ends_with(4, &["enclave", "list"]);
    alice.log_in();
    alice.verify("notes");
}
