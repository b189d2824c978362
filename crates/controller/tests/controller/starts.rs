//! Starts and ends without crashes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use api::enclaves::State;

use crate::world::{CONTENT, GOOD, HOST, World, id};

const BROUGHT_UP: [&str; 5] = ["prepare", "log", "spawn", "certify", "ready"];

/// Starts, expects a failure for this reason, and nothing left.
async fn fails(world: &World, reason: &str) {
    let last = world.stages().await.pop().unwrap();
    assert_eq!((last.name.as_str(), last.reason.as_str()), ("failed", reason), "{}", last.message);
    assert_eq!(world.state().await, (State::Failed, Some(reason.to_owned())));
    assert_eq!(world.row().await.process, None);
    assert_eq!(world.processes(), [""; 0]);
    world.wait_for_routes(0).await;
}

#[tokio::test]
async fn a_start_goes_through_its_stages_and_ends_with_a_route() {
    let world = World::new(GOOD).await;
    world.start().await;
    assert_eq!(world.stage_names().await, BROUGHT_UP);
    assert_eq!(world.state().await, (State::Running, None));
    let table = world.wait_for_routes(1).await;
    assert_eq!(table.routes[0].host, HOST);
    assert_eq!(table.routes[0].socket, world.folder().join("run/tls").to_str().unwrap());
    assert_eq!(world.calls(), ["POST /v1/enclaves", "PUT /v1/enclaves/ID/process"]);
    assert!(world.row().await.process.is_some());
    assert!(world.tasks.drain().await);
    world.wait_until_nothing_runs().await;
}

#[tokio::test]
async fn a_second_start_joins_the_first() {
    let world = World::new(GOOD).await;
    world.start().await;
    let (one, two) = tokio::join!(world.stage_names(), world.stage_names());
    assert_eq!((one, two), (BROUGHT_UP.map(String::from).to_vec(), BROUGHT_UP.map(String::from).to_vec()));
    assert_eq!(world.stage_names().await, BROUGHT_UP);
    assert_eq!(world.row().await.incarnation, 1);
}

#[tokio::test]
async fn a_stop_retracts_first_and_leaves_no_process_and_no_route() {
    let world = World::new(GOOD).await;
    world.start().await;
    world.stages().await;
    world.stop().await;
    assert_eq!(world.state().await, (State::Stopped, None));
    assert_eq!(world.calls().last().unwrap(), "POST /v1/enclaves/ID/stop");
    assert_eq!(world.processes(), [""; 0]);
    world.wait_for_routes(0).await;
}

#[tokio::test]
async fn a_deleted_enclave_leaves_no_row_and_no_folder() {
    let world = World::new(GOOD).await;
    world.start().await;
    world.stages().await;
    world.delete().await;
    assert!(world.store().await.enclave(&id()).await.unwrap().is_none());
    assert!(!world.folder().exists());
    assert_eq!(world.processes(), [""; 0]);
}

#[tokio::test]
async fn an_app_that_ends_fails_the_enclave_and_takes_its_route() {
    let world = World::new("echo ready; read line < ${2%/enclaves/*}/run/end; exit 10").await;
    let pipe = world.path("run/end");
    assert!(std::process::Command::new("mkfifo").args(["-m", "666"]).arg(&pipe).status().unwrap().success());
    world.start().await;
    world.stages().await;
    world.wait_for_routes(1).await;
    tokio::task::spawn_blocking(move || fs::write(pipe, "now\n").unwrap()).await.unwrap();
    world.wait_for_routes(0).await;
    while world.state().await.0 != State::Failed {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.state().await, (State::Failed, Some("app-ended".into())));
    assert_eq!(world.calls().last().unwrap(), "POST /v1/enclaves/ID/stop");
}

#[tokio::test]
async fn a_facade_that_ends_before_it_is_ready_says_why() {
    for (code, reason) in
        [(11, "app-not-started"), (12, "app-not-listening"), (13, "not-certified"), (99, "crashed")]
    {
        let world = World::new(&format!("exit {code}")).await;
        world.start().await;
        fails(&world, reason).await;
        assert_eq!(world.calls().last().unwrap(), "POST /v1/enclaves/ID/stop");
    }
}

#[tokio::test]
async fn a_facade_that_says_anything_but_ready_is_ended() {
    let world = World::new("echo hello; cat > /dev/null; exit 14").await;
    world.start().await;
    fails(&world, "crashed").await;
}

#[tokio::test]
async fn a_missing_or_wrong_blob_fails_before_anything_is_announced() {
    let world = World::new(GOOD).await;
    for blob in fs::read_dir(world.path("blobs")).unwrap() {
        fs::write(blob.unwrap().path(), "other bytes").unwrap();
    }
    world.start().await;
    fails(&world, "copy-failed").await;
    fs::remove_dir_all(world.path("blobs")).unwrap();
    fails(&world, "copy-failed").await;
    assert_eq!(world.calls(), [""; 0]);
    assert_eq!(fs::read_dir(world.path("apps")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_copy_that_changed_on_disk_is_made_again_by_the_next_run() {
    let mut world = World::new(GOOD).await;
    world.start().await;
    world.stages().await;
    let copy = fs::read_dir(world.path("apps")).unwrap().next().unwrap().unwrap().path();
    world.stop().await;
    let root = copy.join("rootfs");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(root.join("app")).unwrap();
    fs::write(root.join("app"), "#!/bin/evil\n").unwrap();
    world.restart().await;
    assert_eq!(world.stage_names().await, BROUGHT_UP);
    assert_eq!(fs::read(root.join("app")).unwrap(), CONTENT);
}

#[tokio::test]
async fn an_agent_that_is_not_there_fails_the_start() {
    let world = World::new(GOOD).await;
    world.start().await;
    world.stop().await;
    fs::remove_file(world.path("run/admin.sock")).unwrap();
    fails(&world, "not-announced").await;
}

#[tokio::test]
async fn a_missing_facade_fails_the_start() {
    let world = World::new(GOOD).await;
    world.start().await;
    fs::remove_file(world.path("facade")).unwrap();
    world.stop().await;
    fs::remove_file(world.path("facade.sh")).unwrap();
    fails(&world, "not-spawned").await;
}

#[tokio::test]
async fn a_failed_enclave_can_be_started_again() {
    let world = World::new("exit 13").await;
    world.start().await;
    fails(&world, "not-certified").await;
    world.write_facade(GOOD);
    let before = world.row().await.incarnation;
    assert_eq!(world.stage_names().await, BROUGHT_UP);
    assert_eq!(world.row().await.incarnation, before + 1);
}

#[tokio::test]
async fn a_stop_cancels_a_start() {
    // Never ready, and deaf to the end of its input for as long as it can be.
    let world = World::new("cat > /dev/null; exit 0").await;
    world.start().await;
    let request = proto::v1::StartEnclaveRequest { enclave_id: id().to_string() };
    let mut stages = world.client().start_enclave(request).await.unwrap().into_inner();
    while stages.message().await.unwrap().unwrap().name != "certify" {}
    world.stop().await;
    assert_eq!(stages.message().await.unwrap().unwrap().reason, "cancelled");
    assert_eq!(world.state().await, (State::Stopped, None));
    assert_eq!(world.processes(), [""; 0]);
}

#[tokio::test]
async fn what_ran_runs_again_as_a_new_incarnation_after_a_restart() {
    let mut world = World::new(GOOD).await;
    world.start().await;
    world.stages().await;
    world.restart().await;
    world.wait_for_routes(1).await;
    assert_eq!(world.row().await.incarnation, 2);
    world.stop().await;
    world.restart().await;
    world.wait_for_routes(0).await;
    assert_eq!(world.state().await.0, State::Stopped);
}

/// Says what is not tried here. Where everything has to be there, it is a failure.
fn not_checked(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}");
    eprintln!("NOT CHECKED: {what}");
}

#[tokio::test]
async fn an_enclave_can_name_nothing_where_the_controller_opens_files() {
    let script = "d=${2%/*}; for f in app.log facade.yaml root run; do mv $d/$f $d/x; ln -sf /etc/passwd $d/$f; done; \
                  touch $d/run/mine; echo ready; exec cat > /dev/null";
    let mut world = World::new(script).await;
    world.start().await;
    assert_eq!(world.stage_names().await, BROUGHT_UP);
    if !rustix::process::geteuid().is_root() {
        return not_checked("without root enclaves are the controller's own user");
    }
    let folder = world.folder();
    let owner = |name: &str| fs::symlink_metadata(folder.join(name)).unwrap().uid();
    assert!(!fs::symlink_metadata(folder.join("app.log")).unwrap().is_symlink());
    assert!(owner("run/mine") >= controller::DEFAULT_UID_BASE);
    assert_eq!((owner(""), owner("facade.yaml"), owner("root")), (0, 0, 0));
    world.stop().await;
    assert_eq!((owner("run"), owner("app.log")), (0, 0), "the next enclave may get this user id");
    world.restart().await;
}

/// Root in a namespace has no capabilities there, and still may write the machine's sysctls.
#[tokio::test]
async fn an_enclave_of_root_is_never_root() {
    if !rustix::process::geteuid().is_root() {
        return not_checked("without root no enclave can be root");
    }
    let world = World::new(GOOD).await;
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o700)).unwrap();
    world.start().await;
    fails(&world, "not-spawned").await;
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    world.stages().await;
    assert_eq!(world.state().await.0, State::Running);
}

/// A facade may say which spans it has finished, in the trace of its start and in no other: nobody writes into other people's traces.
#[tokio::test]
async fn a_facade_that_writes_into_a_trace_that_is_not_its_own_is_ended() {
    let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let span = format!(
        r#"{{"context":"{context}","parent":null,"name":"x","began":1,"ended":2,"failed":false,"attributes":[]}}"#
    );
    let says = |line: &str| format!("echo 'span {line}'; echo ready; cat > /dev/null; exit 14");
    let world = World::new(&says(&span)).await;
    world.start().await;
    // Nobody has asked for this start in a trace.
    fails(&world, "crashed").await;

    let store = world.store().await;
    store.set_trace(&id(), Some(&context.replace("4bf9", "0000"))).await.unwrap();
    fails(&world, "crashed").await;
    // Not a span at all.
    world.write_facade(&says("{}"));
    fails(&world, "crashed").await;
}

/// A version that no enclave has any more needs no copy; one that somebody has keeps it, whether it runs or not.
#[tokio::test]
async fn a_copy_that_no_enclave_has_is_removed_and_made_again_when_it_is_needed() {
    let world = World::new(GOOD).await;
    let mut config = world.config();
    config.settings.limits.unused_copies = 1;
    // What a crash has left of a removal.
    std::fs::create_dir(world.path("apps").join("ab.partial-1-1")).unwrap();
    world.start_with(config).await;
    world.stages().await;
    world.stop().await;
    let copies = || fs::read_dir(world.path("apps")).unwrap().count();
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(3) {
        assert_eq!(copies(), 1, "the copy of a stopped enclave stays");
        tokio::task::yield_now().await;
    }
    assert_eq!(world.stage_names().await, BROUGHT_UP);
    world.delete().await;
    while copies() > 0 {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "the copy is not removed");
        tokio::task::yield_now().await;
    }
    world.publish_again().await;
    assert_eq!(world.stage_names().await, BROUGHT_UP);
}
