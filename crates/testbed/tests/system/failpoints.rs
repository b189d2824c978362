//! kill -9 of `up` at each named step of an enclave's creation: the next start mends what was left.

use controller::Failpoint;
use testbed::World;

use crate::SOON;
use crate::consistency::{Lasting, check_rows_and_folders, settled};

/// SIGABRT: `std::process::abort`, which runs no destructor, as kill -9.
const ABORTED: Option<i32> = Some(6);

/// The failpoint as the configuration names it. A new one breaks the build here, so that it gets a test below.
fn name(failpoint: Failpoint) -> &'static str {
    match failpoint {
        Failpoint::AfterRow => "after_row",
        Failpoint::AfterCopy => "after_copy",
        Failpoint::AfterAnnouncement => "after_announcement",
        Failpoint::AfterSpawn => "after_spawn",
        Failpoint::AfterRecord => "after_record",
        Failpoint::AfterReady => "after_ready",
        Failpoint::StopBegun => "stop_begun",
        Failpoint::StopRetracted => "stop_retracted",
        Failpoint::StopEnded => "stop_ended",
        Failpoint::DeleteEnded => "delete_ended",
        Failpoint::DeleteRemoved => "delete_removed",
    }
}

/// `up` dies at a step of a deletion, whose wish is kept: the next one brings it about and nothing is left.
fn check_end(failpoint: Failpoint) {
    let config = format!("dangerous_failpoint: {}\n", name(failpoint));
    let world = World::new();
    let alice = world.user("alice");
    let up = world.begin(Some(&config)).ready();
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    alice.ok(&["enclave", "create", "notes", "--app", "hello"]);
    // The answer may have been on its way when the other side died.
    let deleted = alice.run(&["enclave", "delete", "notes", "--yes"]);
    assert!([0, 7].contains(&deleted.code), "{deleted:#?}");
    assert_eq!(up.ended_by_itself().signal, ABORTED);
    let up = world.up();
    assert_eq!(settled(&[&alice]), [serde_json::Value::Null; 0]);
    check_rows_and_folders(&world, &[]);
    up.kill9();
}

fn check(failpoint: Failpoint) {
    let config = format!("dangerous_failpoint: {}\n", name(failpoint));
    let world = World::new();
    let alice = world.user("alice");
    let up = world.begin(Some(&config)).ready();
    alice.sign_up();
    alice.ok(&["app", "publish", &world.hello("hello", "1.0.0", "hi")]);
    let before = Lasting::of(&world, &["alice"]);

    let created = alice.run(&["enclave", "create", "notes", "--app", "hello", "--no-wait"]);
    // The answer may have been on its way when the other side died.
    assert!([0, 7].contains(&created.code), "{created:#?}");
    assert_eq!(up.ended_by_itself().signal, ABORTED);

    // It dies once more, while it mends what it left.
    assert_eq!(world.ending_up(&config).signal, ABORTED);

    let up = world.up();
    before.check(&world);
    let enclave = alice.enclave_in("notes", &["running"], SOON);
    check_rows_and_folders(&world, &settled(&[&alice]));
    alice.verify("notes");
    assert!(alice.get("notes", "/").contains("hi"));
    assert!(enclave["incarnation"].as_u64().unwrap() >= 1);
    up.kill9();
}

#[test]
fn up_killed_after_the_row_is_mended_by_the_next_start() {
    check(Failpoint::AfterRow);
}

#[test]
fn up_killed_after_the_measured_copy_is_mended_by_the_next_start() {
    check(Failpoint::AfterCopy);
}

#[test]
fn up_killed_after_the_announcement_is_mended_by_the_next_start() {
    check(Failpoint::AfterAnnouncement);
}

#[test]
fn up_killed_after_the_spawn_is_mended_by_the_next_start() {
    check(Failpoint::AfterSpawn);
}

#[test]
fn up_killed_after_the_record_is_mended_by_the_next_start() {
    check(Failpoint::AfterRecord);
}

#[test]
fn up_killed_when_the_facade_is_ready_is_mended_by_the_next_start() {
    check(Failpoint::AfterReady);
}

#[test]
fn up_killed_before_an_enclave_is_stopped_deletes_at_the_next_start() {
    check_end(Failpoint::StopBegun);
}

#[test]
fn up_killed_after_an_end_is_logged_deletes_at_the_next_start() {
    check_end(Failpoint::StopRetracted);
}

#[test]
fn up_killed_after_the_processes_have_ended_deletes_at_the_next_start() {
    check_end(Failpoint::StopEnded);
}

#[test]
fn up_killed_before_a_folder_is_removed_deletes_at_the_next_start() {
    check_end(Failpoint::DeleteEnded);
}

#[test]
fn up_killed_before_a_row_is_removed_deletes_at_the_next_start() {
    check_end(Failpoint::DeleteRemoved);
}
