//! Everything as a plain user: the same, with what the kernel allows to anybody.

use std::fs;
use std::os::unix::fs::MetadataExt;

use testbed::World;

/// A machine whose kernel gives no namespaces: apps are not run, with the reason, and `doctor` says what to do about it. Whoever
/// wants them run all the same says so in the configuration.
#[test]
fn without_namespaces_apps_are_refused_with_the_reason_unless_the_operator_wants_it_so() {
    if !rustix::process::geteuid().is_root() {
        return crate::not_checked("only root can be another user");
    }
    let world = World::without_namespaces();
    let up = world.up();
    let alice = world.user("alice");
    alice.sign_up();
    // The app shares the machine's network: a port that nobody has.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = world.hello("hello", "1.0.0", "hi");
    let text = fs::read_to_string(&file).unwrap().replace("8080", &port.to_string());
    fs::write(&file, text).unwrap();
    alice.ok(&["app", "publish", &file]);
    let refused = alice.run(&["enclave", "create", "notes", "--app", "hello"]);
    assert_ne!(refused.code, 0, "{refused:#?}");
    let failed = alice.enclave_in("notes", &["failed"], crate::SOON);
    assert_eq!(
        (&failed["reason"], &failed["cause"]),
        (&"not-isolated".into(), &"own-uid".into()),
        "{failed:#}"
    );
    let doctor = alice.run(&["doctor", "--data", world.data().to_str().unwrap(), "-o", "json"]);
    let findings = doctor.json();
    let missing = |code: &str| {
        let code = format!("[{code}]");
        let mut of_it = findings.as_array().unwrap().iter();
        of_it.any(|one| one["found"].as_str().unwrap().contains(&code) && one["mend"].is_string())
    };
    assert!(missing("user-namespace") && missing("own-root") && !missing("seccomp"), "{findings:#}");
    assert_eq!(up.interrupt().code, Some(0));

    let up = world.begin(Some("dangerous_unisolated_apps: true\n")).ready();
    alice.json(&["enclave", "start", "notes"]);
    assert!(alice.get("notes", "/").contains("hi"));
    assert!(world.logs().contains("own-root"), "what is missing is logged");
    assert_eq!(up.interrupt().code, Some(0));
}

#[test]
fn a_plain_user_creates_verifies_and_asks() {
    if !rustix::process::geteuid().is_root() {
        // Then every other test here has shown it.
        return crate::not_checked("only root can be another user");
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
