//! The controller is killed at each named step of a start; the next one finds nothing running and brings it about.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use controller::Failpoint;
use proto::v1::StartEnclaveRequest;
use proto::v1::controller_client::ControllerClient;
use server::Tasks;
use store::{DatabaseUrl, Store};

use crate::world::{GOOD, ID, World, config, id, listen};

const FOLDER: &str = "CONTROLLER_TEST_FOLDER";
const STEP: &str = "CONTROLLER_TEST_STEP";
const SIGABRT: i32 = 6;

/// The controller that is killed: not a test by itself, but what [`crash`] runs in a process of its own.
#[tokio::test]
async fn controller_of_the_other_tests() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = PathBuf::from(folder);
    let step: Failpoint = serde_json::from_str(&std::env::var(STEP).unwrap()).unwrap();
    listen(&folder.join("run/admin.sock"), Arc::default());
    let store = Store::open(&DatabaseUrl::sqlite(folder.join("db.sqlite"))).await.unwrap();
    controller::start(config(&folder, Some(step)), store, &Tasks::new()).await.unwrap();
    let mut client = ControllerClient::new(proto::connect(&folder.join("run/controller.sock")));
    let request = StartEnclaveRequest { enclave_id: id().to_string() };
    let mut stages = client.start_enclave(request).await.unwrap().into_inner();
    while stages.message().await.unwrap().is_some() {}
    panic!("the failpoint did not end the process");
}

fn crash(world: &World, step: Failpoint) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crashes::controller_of_the_other_tests", "--nocapture"]);
    command
        .env(ID, id().to_string())
        .env(FOLDER, world.path(""))
        .env(STEP, serde_json::to_string(&step).unwrap());
    let output = command.output().unwrap();
    assert_eq!(output.status.signal(), Some(SIGABRT), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn after_a_crash_at_any_step_nothing_runs_and_the_next_start_brings_it_about() {
    let steps = [
        Failpoint::AfterRow,
        Failpoint::AfterCopy,
        Failpoint::AfterAnnouncement,
        Failpoint::AfterSpawn,
        Failpoint::AfterRecord,
        Failpoint::AfterReady,
    ];
    for step in steps {
        let world = World::new(GOOD).await;
        crash(&world, step);
        world.wait_until_nothing_runs().await;
        world.start().await;
        world.wait_for_routes(1).await;
        let row = world.row().await;
        assert_eq!((row.state.as_str(), row.incarnation), ("running", 2), "{step:?}");
        let pid = row.process.unwrap().pid.to_string();
        let shells = world.processes().len();
        assert!((1..=2).contains(&shells), "{step:?}: {pid} {:?}", world.processes());
        assert!(world.tasks.drain().await);
        world.wait_until_nothing_runs().await;
    }
}
