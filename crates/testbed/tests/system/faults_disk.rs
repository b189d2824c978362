//! The disk of the data folder is full, more or less, while users go on; then there is room again.

use std::collections::BTreeSet;

use logs::enclave::EnclaveLog;
use testbed::{PASSWORD, Said, User, World, alone};

use crate::consistency::{Lasting, check_kept, check_rows_and_folders, check_rows_at_rest, settled};

/// Room for a folder with one app, and not for much more.
const DISK_MEBIBYTES: u32 = 256;
/// What is left each time: nothing; less than a page of the database; some of its pages; a start or two.
const ROOM_KIBIBYTES: [usize; 4] = [0, 3, 40, 600];

fn attempt(user: &User<'_>, arguments: &[&str]) -> Said {
    let said = user.run_with(arguments, format!("{PASSWORD}\n").as_bytes());
    // Done, still under way (8), or refused with a code that says why; `internal` is none.
    let clear = [0, 8].contains(&said.code) || said.reason().is_some_and(|code| code != "internal");
    assert!(clear, "{said:#?}");
    said
}

/// What was acknowledged is there afterwards, whatever was refused; nothing has to be started again.
#[test]
fn a_full_disk_is_said_by_code_loses_nothing_acknowledged_and_is_forgotten_when_there_is_room() {
    if !alone(
        "faults_disk::a_full_disk_is_said_by_code_loses_nothing_acknowledged_and_is_forgotten_when_there_is_room",
    ) {
        return;
    }
    let world = World::on_a_small_disk(DISK_MEBIBYTES);
    let up = world.up();
    world.copy_context();
    let alice = world.user("alice");
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    let notes = alice.json(&["enclave", "create", "notes", "--app", "hello"]);
    alice.ok(&["enclave", "create", "diary", "--app", "hello"]);
    let lasting = Lasting::of(&world, &["alice"]);
    let (mut accounts, mut versions) = (BTreeSet::new(), BTreeSet::from(["1.0.0".to_owned()]));

    for room in ROOM_KIBIBYTES {
        world.fill_disk(room);
        let friend = format!("friend-{room}");
        let signed_up = attempt(&world.user(&friend), &["auth", "signup", &friend, "--password-stdin"]);
        if signed_up.code == 0 {
            accounts.insert(friend);
        } else {
            assert_eq!(signed_up.reason(), Some("storage_full"), "{signed_up:#?}");
        }
        let version = format!("2.0.{room}");
        if attempt(&alice, &["app", "publish", &world.hello("hello", &version, "hi")]).code == 0 {
            versions.insert(version);
        }
        attempt(&alice, &["enclave", "stop", "diary"]);
        attempt(&alice, &["enclave", "start", "diary", "--timeout", "20s"]);
        let fresh = format!("fresh-{room}");
        let created = attempt(&alice, &["enclave", "create", &fresh, "--app", "hello", "--timeout", "20s"]);
        // What runs goes on and proves it; what only reads works.
        alice.verify("notes");
        assert!(alice.get("notes", "/").contains("hi"));
        world.free_disk();

        let found = alice.enclaves().iter().any(|enclave| enclave["name"] == fresh.as_str());
        assert!(found || ![0, 8].contains(&created.code), "{created:#?}");
        settled(&[&alice]);
        attempt(&alice, &["enclave", "delete", &fresh, "--yes"]);
        let started = alice.run(&["enclave", "start", "diary"]);
        assert!([0, 6].contains(&started.code), "{started:#?}");
        alice.verify("diary");
    }

    lasting.check(&world);
    let enclaves = settled(&[&alice]);
    let same = enclaves.iter().find(|enclave| enclave["name"] == "notes").unwrap();
    assert_eq!((&same["id"], &same["incarnation"]), (&notes["id"], &notes["incarnation"]));
    check_rows_and_folders(&world, &enclaves);
    assert_eq!(up.interrupt().code, Some(0));
    check_rows_at_rest(&world, &enclaves);
    check_kept(&world, &accounts, "hello", &versions);
    let log = std::fs::read(world.data().join("agent/enclave-log.cel")).unwrap();
    EnclaveLog::parse(&log, evidence::ENCLAVE_LOG_PCR).unwrap();
    let up = world.up();
    alice.verify("notes");
    assert_eq!(up.interrupt().code, Some(0));
}
