//! Licences by the command: who has none is told what to do; a suspension warns, stops, and can be ended; a file verifies without the server.

use std::fs;

use serde_json::Value;
use testbed::{User, World, until};

use crate::SOON;

const CONFIG: &str = "gateway: {licensing: required}\ncontroller: {licenses: {warning: 5}}\n";

fn events(user: &User<'_>, name: &str) -> Vec<Value> {
    user.json(&["enclave", "events", name])["events"].as_array().cloned().unwrap()
}

#[test]
fn a_licence_is_issued_used_suspended_resumed_and_verified_without_the_server() {
    let world = World::new();
    let up = world.begin(Some(CONFIG)).ready();
    let (admin, alice) = (world.user("root"), world.user("alice"));
    admin.sign_up();
    alice.sign_up();
    let data = world.data();
    admin.ok(&["admin", "grant", "root", "--data", &data.to_string_lossy()]);
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);

    let refused = alice.run(&["enclave", "create", "notes", "--app", "hello"]);
    assert_eq!((refused.code, refused.reason()), (1, Some("license_refused")), "{refused:#?}");
    assert!(refused.stderr.contains("NOT_FOUND"), "{refused:#?}");
    assert!(refused.stderr.contains("next: sealwright license list"), "{refused:#?}");
    alice.ends_with(5, &["admin", "plans", "list"]);

    admin.ok(&["admin", "plans", "create", "team", "--app", "hello", "--expiration", "revoke"]);
    let issued = admin.json(&["admin", "licenses", "issue", "--plan", "team", "--holder", "alice"]);
    let id = issued["id"].as_str().unwrap();
    assert_eq!(alice.ok(&["license", "list", "-o", "name"]).stdout.trim(), id);
    alice.ok(&["license", "validate", id, "--app", "hello"]);
    let other = alice.ends_with(1, &["license", "validate", id, "--app", "other"]);
    assert_eq!(other.reason(), Some("ENTITLEMENTS_MISSING"), "{other:#?}");
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    assert_eq!(alice.json(&["license", "show", id])["enclaves_used"], 1);

    admin.ok(&["admin", "licenses", "suspend", id]);
    until(SOON, "a warning", || {
        let warned = events(&alice, "notes").into_iter().find(|event| event["stage"] == "warning")?;
        assert_eq!((&warned["reason"], &warned["cause"]), (&"license".into(), &"license-suspended".into()));
        Some(())
    });
    let stopped = alice.enclave_in("notes", &["stopped"], SOON);
    assert_eq!(stopped["stop_reason"], "license");
    let refused = alice.run(&["enclave", "start", "notes"]);
    assert_eq!(refused.reason(), Some("license_refused"), "{refused:#?}");
    assert!(refused.stderr.contains("SUSPENDED"), "{refused:#?}");
    admin.ok(&["admin", "licenses", "resume", id]);
    alice.ok(&["enclave", "start", "notes"]);

    let file = world.path("work.lic");
    let path = file.to_str().unwrap();
    alice.ok(&["license", "file", id, "--to", path, "--for", "1h"]);
    assert!(up.interrupt().code == Some(0));
    let read = alice.json(&["license", "verify", path, "--app", "hello"]);
    assert_eq!(read["license"], id);
    assert_eq!(alice.ends_with(1, &["license", "verify", path, "--app", "other"]).reason(), None);
    let text = fs::read_to_string(&file).unwrap();
    let middle = text.len() / 2;
    let other = if &text[middle..=middle] == "A" { "B" } else { "A" };
    fs::write(&file, format!("{}{other}{}", &text[..middle], &text[middle + 1..])).unwrap();
    let tampered = alice.ends_with(1, &["license", "verify", path]);
    assert!(tampered.reason().is_some_and(|code| code.starts_with("license_file_")), "{tampered:#?}");
    let stranger = admin.run(&["license", "verify", path]);
    assert_ne!(stranger.code, 0, "{stranger:#?}");
}

#[test]
fn a_licence_of_another_node_starts_nothing_and_a_file_of_an_exchanged_key_is_taken_on_its_users_word() {
    let world = World::new();
    let _up = world.begin(Some(CONFIG)).ready();
    let (admin, alice, bob) = (world.user("root"), world.user("alice"), world.user("bob"));
    for user in [&admin, &alice, &bob] {
        user.sign_up();
    }
    let data = world.data();
    let data = data.to_str().unwrap();
    admin.ok(&["admin", "grant", "root", "--data", data]);
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    let plan = ["admin", "plans", "create", "team", "--app", "*", "--seats", "2", "--heartbeat", "10m"];
    admin.ok(&plan);
    let issued = admin.json(&["admin", "licenses", "issue", "--plan", "team", "--holder", "alice"]);
    let id = issued["id"].as_str().unwrap();

    let here = admin.json(&["admin", "node", "--data", data])["ak_name"].as_str().unwrap().to_owned();
    let elsewhere = format!("000b{}", "22".repeat(32));
    admin.ok(&["admin", "licenses", "lock", id, &elsewhere]);
    let refused = alice.run(&["enclave", "create", "notes", "--app", "hello"]);
    assert_eq!(refused.reason(), Some("license-node"), "{refused:#?}");
    admin.ok(&["admin", "licenses", "lock", id, &here]);
    alice.ok(&["enclave", "start", "notes"]);
    alice.ends_with(1, &["license", "validate", id, "--enclave", "notes", "--node", &here]);
    assert_eq!(alice.json(&["license", "heartbeat", id, "notes"])["status"], "ALIVE");
    alice.ok(&["license", "validate", id, "--enclave", "notes", "--node", &here]);

    admin.ok(&["admin", "licenses", "give", id, "bob"]);
    assert_eq!(bob.ok(&["license", "list", "-o", "name"]).stdout.trim(), id);
    bob.ends_with(5, &["license", "events", id]);
    admin.ok(&["admin", "licenses", "take", id, "bob"]);
    bob.ends_with(5, &["license", "show", id]);

    let file = world.path("work.lic");
    let take = ["license", "file", id, "--to", file.to_str().unwrap()];
    alice.ok(&take);
    let other = ["license", "verify", file.to_str().unwrap(), "--node", &elsewhere];
    assert_eq!(alice.ends_with(1, &other).reason(), Some("license_file_node"));
    admin.ok(&["admin", "licenses", "rotate-key"]);
    let refused = alice.ends_with(1, &take);
    assert_eq!(refused.reason(), Some("license_file_signature"), "{refused:#?}");
    assert!(refused.stderr.contains("license keys --accept"), "{refused:#?}");
    alice.ok(&["license", "keys", "--accept"]);
    alice.ok(&take);
    let told = alice.ok(&["license", "events", id, "-o", "name"]).stdout;
    assert!(told.contains("license.node.changed") && told.contains("lease.taken"), "{told}");
    let audit = admin.ok(&["admin", "audit", "-o", "json"]).stdout;
    assert!(audit.contains("license-key.rotate") && audit.contains("license.lock"), "{audit}");
}
