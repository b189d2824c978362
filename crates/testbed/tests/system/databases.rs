//! `up` on PostgreSQL, which goes away and comes back.

use fixtures::{Access, Server};
use testbed::World;

use crate::SOON;

#[test]
fn an_enclave_outlives_the_end_of_the_database_and_up_goes_on_with_it() {
    let server = Server::start(Access::Socket);
    let config = format!("database: \"{}\"\n", server.new_database());
    let world = World::new();
    let up = world.begin(Some(&config)).ready();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    let before = alice.json(&["enclave", "show", "notes"]);

    server.kill();
    let refused = alice.run(&["enclave", "list"]);
    assert!(refused.stderr.contains("database"), "{refused:#?}");
    assert_ne!(refused.code, 0);
    server.start_again();

    let after = alice.enclave_in("notes", &["running"], SOON);
    assert_eq!((&after["id"], &after["incarnation"]), (&before["id"], &before["incarnation"]));
    alice.verify("notes");
    assert!(alice.get("notes", "/").contains("hi"));
    alice.ok(&["enclave", "stop", "notes"]);
    up.kill9();

    // Everything is in the database, nothing beside it.
    assert!(!world.data().join("db.sqlite").exists());
    let up = world.begin(Some(&config)).ready();
    alice.ok(&["enclave", "start", "notes"]);
    let again = alice.enclave_in("notes", &["running"], SOON);
    assert_eq!(again["id"], before["id"]);
    assert_eq!(up.interrupt().code, Some(0));
}
