//! One data folder, one `up` at a time, found again by the next.

use testbed::World;

use crate::SOON;
use crate::consistency::{Lasting, check_rows_and_folders, settled};

#[test]
fn a_second_up_on_the_same_folder_is_refused_and_changes_nothing() {
    let world = World::new();
    let up = world.up();
    let refused = world.refused_up();
    assert_eq!(refused.code, 1, "{refused:#?}");
    assert!(refused.stderr.contains("is in use by another `sealwright up`"), "{refused:#?}");
    let alice = world.user("alice");
    alice.sign_up();
    assert_eq!(up.interrupt().code, Some(0));
}

#[test]
fn the_next_up_finds_users_ca_apps_and_ports_and_starts_what_ran_as_a_new_incarnation() {
    let world = World::new();
    let up = world.up();
    let (alice, bob) = (world.user("alice"), world.user("bob"));
    alice.sign_up();
    bob.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    let running = alice.json(&["enclave", "create", "notes", "--app", "hello"]);
    bob.ok(&["enclave", "create", "diary", "--app", "hello"]);
    bob.ok(&["enclave", "stop", "diary"]);
    let lasting = Lasting::of(&world, &["alice", "bob"]);
    let (apps, place) = (alice.json(&["app", "list"]), up.place().clone());
    assert_eq!(up.interrupt().code, Some(0));

    let up = world.up();
    assert_eq!((&up.place().url, &up.place().edge), (&place.url, &place.edge));
    lasting.check(&world);
    assert_eq!(alice.json(&["app", "list"]), apps);
    let again = alice.enclave_in("notes", &["running"], SOON);
    assert_eq!((&again["incarnation"], &again["id"]), (&2.into(), &running["id"]));
    alice.verify("notes");
    assert!(alice.get("notes", "/").contains("hi"));
    let diary = bob.json(&["enclave", "show", "diary"]);
    assert_eq!((&diary["state"], &diary["incarnation"]), (&"stopped".into(), &1.into()));
    check_rows_and_folders(&world, &settled(&[&alice, &bob]));
    assert_eq!(up.interrupt().code, Some(0));
}
