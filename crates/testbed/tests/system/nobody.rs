//! Everything as a plain user: the same, with what the kernel allows to anybody.

use std::fs;
use std::os::unix::fs::MetadataExt;

use testbed::World;

#[test]
fn a_plain_user_creates_verifies_and_asks() {
    if !rustix::process::geteuid().is_root() {
        // Then every other test here has shown it.
        return;
    }
    let world = World::of_nobody();
    let up = world.up();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    alice.verify("notes");
    assert!(alice.get("notes", "/").contains("hi"));
    let owner = fs::metadata(world.data()).unwrap().uid();
    for found in up.tree() {
        let uid = fs::metadata(format!("/proc/{}/task", found.process.pid)).map(|metadata| metadata.uid());
        // A process that may not be dumped belongs to root in /proc: proc(5).
        assert!(uid.is_ok_and(|uid| uid == owner || uid == 0), "{found:?}");
    }
    assert_eq!(up.interrupt().code, Some(0));
}
