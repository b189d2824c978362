//! Every reason that a controller writes down, by what brings it about; `starts.rs` has those of facades and files.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::enclaves::State;
use controller::{Config, Limits};
use fixtures::{Access, Server};
use lifecycle::Deadlines;
use names::{Digest, EnclaveId};
use proto::v1::{Stage, StartEnclaveRequest, StartQueueRequest};
use store::{DatabaseUrl, NewApp, NewEnclave, Quota, Store, UserId};
use tokio_stream::StreamExt;

use crate::world::{GOOD, World, config, fill, id, listen, manifest};

/// A facade that is never ready, and ends when it is asked to.
const DEAF: &str = "exec cat > /dev/null";
/// Longest that anything here is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts the stand-in agent and a controller with other limits.
async fn start_with(world: &World, limits: impl FnOnce(&mut Limits)) {
    listen(&world.path("run/admin.sock"), Arc::clone(&world.calls));
    start_on(world, world.store().await, limits).await;
}

async fn start_on(world: &World, store: Store, limits: impl FnOnce(&mut Limits)) {
    let mut config: Config = config(&world.path(""), None);
    limits(&mut config.settings.limits);
    controller::start(config, store, &world.tasks).await.unwrap();
}

fn deadlines(change: impl FnOnce(&mut Deadlines)) -> Deadlines {
    let mut deadlines = Deadlines::default();
    change(&mut deadlines);
    deadlines
}

async fn until(what: &str, done: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

async fn row_of(store: &Store, id: &EnclaveId) -> store::Enclave {
    store.enclave(id).await.unwrap().unwrap()
}

/// The start that the controller began by itself fails for this reason: in the row, and with nothing left.
async fn failed(world: &World, id: &EnclaveId, reason: &str) {
    let store = world.store().await;
    until(&format!("{reason} in the row"), async || row_of(&store, id).await.state == State::Failed).await;
    let row = row_of(&store, id).await;
    assert_eq!(row.reason.as_deref(), Some(reason), "{:?}", row.message);
    until("its process is forgotten", async || row_of(&store, id).await.process.is_none()).await;
    world.wait_for_routes(0).await;
}

/// One more enclave of the same user.
async fn another(store: &Store, number: u8, version_digest: Digest) -> EnclaveId {
    let mut bytes = [number; 16];
    getrandom::fill(&mut bytes[1..]).unwrap();
    let enclave = NewEnclave {
        id: EnclaveId::from_bytes(bytes),
        trace: None,
        user: UserId::from_bytes([1; 16]),
        user_name: "alice".into(),
        name: format!("web-{number}"),
        app: "hello".into(),
        version: "1".into(),
        version_digest,
        owner: Digest::of(b"owner"),
        host: format!("web-{number}-alice.enclaves.localhost"),
        idle_timeout: None,
        max_age: None,
        created_at: 2,
    };
    store.create_enclave(&enclave, Quota::default()).await.unwrap();
    enclave.id
}

async fn stages_of(world: &World, id: &EnclaveId) -> tonic::Streaming<Stage> {
    let request = StartEnclaveRequest { enclave_id: id.to_string() };
    world.client().start_enclave(request).await.unwrap().into_inner()
}

async fn wait_for_stage(stages: &mut tonic::Streaming<Stage>, name: &str) -> Stage {
    loop {
        let stage = stages.message().await.unwrap().unwrap();
        if stage.name == name {
            return stage;
        }
    }
}

#[tokio::test]
async fn a_version_that_nobody_published_is_not_started() {
    let world = World::new(GOOD).await;
    let unknown = another(&world.store().await, 2, Digest::of(b"nobody's")).await;
    start_with(&world, |_| ()).await;
    failed(&world, &unknown, "version-missing").await;
}

/// The row of an app is somebody's word; the digest that the user asked for is not.
#[tokio::test]
async fn a_manifest_that_was_edited_in_the_database_is_not_started() {
    let world = World::new(GOOD).await;
    let store = world.store().await;
    let mut edited = Vec::new();
    for (version, manifest) in [("2", serde_json::to_string(&manifest()).unwrap()), ("3", "{}".to_owned())] {
        let app = NewApp {
            name: "hello".into(),
            version: version.into(),
            digest: Digest::of(version.as_bytes()),
            manifest,
            record: "a.b.c".into(),
            publisher: Digest::of(b"publisher"),
            owner: UserId::from_bytes([1; 16]),
            created_at: 1,
        };
        store.publish_app(&app, store::Event::default()).await.unwrap();
        edited.push(another(&store, version.as_bytes()[0], app.digest).await);
    }
    start_with(&world, |_| ()).await;
    for id in edited {
        failed(&world, &id, "version-mismatch").await;
    }
}

#[tokio::test]
async fn a_start_that_goes_no_further_is_given_up() {
    let world = World::new(DEAF).await;
    start_with(&world, |limits| limits.deadlines = deadlines(|it| it.progress = 1)).await;
    failed(&world, &id(), "no-progress").await;
    world.wait_until_nothing_runs().await;
}

#[tokio::test]
async fn a_start_as_a_whole_has_a_deadline() {
    let world = World::new(DEAF).await;
    start_with(&world, |limits| limits.deadlines = deadlines(|it| it.start = 1)).await;
    failed(&world, &id(), "start-timeout").await;
    world.wait_until_nothing_runs().await;
}

/// The place in the queue is told in the stages, by the controller's queue, and in the history that gateways show.
#[tokio::test]
async fn who_waits_is_told_the_place_and_given_up_when_no_turn_comes() {
    let world = World::new(DEAF).await;
    start_with(&world, |limits| {
        limits.starts = 1;
        limits.deadlines = deadlines(|it| it.queue = 2);
    })
    .await;
    wait_for_stage(&mut stages_of(&world, &id()).await, "certify").await;
    let store = world.store().await;
    let waiting =
        [another(&store, 2, manifest().digest()).await, another(&store, 3, manifest().digest()).await];
    let mut stages = stages_of(&world, &waiting[0]).await;
    assert_eq!(wait_for_stage(&mut stages, "queue").await.message, "waits for its turn: 1 of 1");
    let queue = async || world.client().start_queue(StartQueueRequest {}).await.unwrap().into_inner();
    until("both wait", async || queue().await.enclave_ids.len() == 2).await;
    assert_eq!(queue().await.enclave_ids, waiting.map(|id| id.to_string()));
    let last = stages.map(Result::unwrap).collect::<Vec<_>>().await.pop().unwrap();
    assert_eq!((last.name.as_str(), last.reason.as_str()), ("failed", "queue-timeout"));
    for (place, id) in (1..).zip(waiting) {
        failed_without_routes(&store, &id, "queue-timeout").await;
        let told = store.enclave_events(&id, 0, 100).await.unwrap();
        let told: Vec<_> = told.into_iter().filter(|event| event.stage == "queue").collect();
        assert!(
            told.iter().any(|event| event.message.starts_with(&format!("waits for its turn: {place} of "))),
            "{told:?}"
        );
    }
    assert_eq!(queue().await.enclave_ids, [""; 0]);
}

async fn failed_without_routes(store: &Store, id: &EnclaveId, reason: &str) {
    until(reason, async || row_of(store, id).await.state == State::Failed).await;
    assert_eq!(row_of(store, id).await.reason.as_deref(), Some(reason));
}

#[tokio::test]
async fn a_node_that_is_full_takes_no_other_enclave_and_a_queue_that_is_full_neither() {
    let world = World::new(GOOD).await;
    start_with(&world, |limits| limits.enclaves = 1).await;
    wait_for_stage(&mut stages_of(&world, &id()).await, "ready").await;
    let store = world.store().await;
    let other = another(&store, 2, manifest().digest()).await;
    failed_without_routes(&store, &other, "no-capacity").await;
    assert_eq!(world.state().await.0, State::Running);

    let world = World::new(DEAF).await;
    start_with(&world, |limits| (limits.starts, limits.queue) = (1, 1)).await;
    wait_for_stage(&mut stages_of(&world, &id()).await, "certify").await;
    let store = world.store().await;
    let first = another(&store, 2, manifest().digest()).await;
    wait_for_stage(&mut stages_of(&world, &first).await, "queue").await;
    let second = another(&store, 3, manifest().digest()).await;
    failed_without_routes(&store, &second, "no-capacity").await;
    assert_eq!(row_of(&store, &first).await.state, State::Pending);
}

/// An agent that refuses everything with this code.
fn refuse(socket: &std::path::Path, code: &'static str) -> Arc<Mutex<usize>> {
    fs::remove_file(socket).ok();
    let listener = UnixListener::bind(socket).unwrap();
    let asked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                match line.trim_end().split_once(": ") {
                    Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                        length = value.parse().unwrap()
                    }
                    Some(_) => {}
                    None if line.trim_end().is_empty() => break,
                    None => {}
                }
            }
            reader.take(length).read_to_end(&mut Vec::new()).unwrap();
            *counted.lock().unwrap() += 1;
            let body = format!(r#"{{"code":"{code}","detail":"no"}}"#);
            let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length:";
            write!(stream, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    asked
}

#[tokio::test]
async fn an_enclave_log_without_room_is_a_reason_of_its_own() {
    for (code, reason) in [("log_full", "log-full"), ("agent_stopping", "not-announced")] {
        let world = World::new(GOOD).await;
        let asked = refuse(&world.path("run/admin.sock"), code);
        start_on(&world, world.store().await, |_| ()).await;
        failed(&world, &id(), reason).await;
        assert!(*asked.lock().unwrap() > 0);
        assert_eq!(world.processes(), [""; 0]);
    }
}

/// Asked to end, it does not, and its time is shorter than the patience before the force: it is said, and the next round ends it.
#[tokio::test]
async fn an_enclave_that_does_not_end_in_time_is_told_and_its_process_not_forgotten_before_it_has_ended() {
    let world = World::new("echo ready; trap '' TERM; while :; do sleep 1; done").await;
    start_with(&world, |limits| limits.deadlines = deadlines(|it| it.stop = 1)).await;
    wait_for_stage(&mut stages_of(&world, &id()).await, "ready").await;
    world.stop().await;
    failed(&world, &id(), "not-stopped").await;
    world.wait_until_nothing_runs().await;
}

/// Its row is another controller's by then, so the reason is told to who watches and not written.
#[tokio::test]
async fn who_watches_a_start_is_told_when_another_controller_takes_it_over() {
    let world = World::new(DEAF).await;
    start_with(&world, |limits| limits.lease = 1).await;
    let mut stages = stages_of(&world, &id()).await;
    wait_for_stage(&mut stages, "certify").await;
    let store = world.store().await;
    let me = store.controllers().await.unwrap().pop().unwrap().id;
    until("it is buried", async || {
        let controllers = store.controllers().await.unwrap();
        let Some(found) = controllers.iter().find(|found| found.id == me) else { return true };
        store.bury_controller(&me, found.beat).await.unwrap()
    })
    .await;
    assert_eq!(wait_for_stage(&mut stages, "failed").await.reason, "taken-over");
}

/// The database goes away in the middle of a start and comes back: the start fails with a reason that is written down when that
/// can be done, and nothing has to be started anew for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_fails_the_start_and_is_told_when_it_is_back() {
    let server = Server::start(Access::Socket);
    let url: DatabaseUrl = server.new_database().parse().unwrap();
    let world = World::new("echo begun > ${2%/enclaves/*}/run/begun; read line < ${2%/enclaves/*}/run/go; echo ready; exec cat > /dev/null").await;
    let pipe = world.path("run/go");
    assert!(std::process::Command::new("mkfifo").args(["-m", "666"]).arg(&pipe).status().unwrap().success());
    fs::write(world.path("run/begun"), "").unwrap();
    fs::set_permissions(world.path("run/begun"), std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .unwrap();
    let store = Store::open(&url).await.unwrap();
    fill(&store, &manifest(), store::Licensing::Off).await;
    listen(&world.path("run/admin.sock"), Arc::clone(&world.calls));
    start_on(&world, store.clone(), |_| ()).await;
    until("the facade runs", async || !fs::read(world.path("run/begun")).unwrap().is_empty()).await;
    server.kill();
    tokio::task::spawn_blocking(move || fs::write(pipe, "now\n").unwrap()).await.unwrap();
    world.wait_until_nothing_runs().await;
    server.start_again();
    let row = async || store.enclave(&id()).await.ok().flatten();
    until("the reason is written", async || row().await.is_some_and(|row| row.state == State::Failed)).await;
    assert_eq!(row().await.unwrap().reason.as_deref(), Some("store-failed"));
    store.want_running(&id(), Quota::default(), 3).await.unwrap();
    let again = world.path("run/go");
    tokio::task::spawn_blocking(move || fs::write(again, "now\n").unwrap()).await.unwrap();
    until("it runs", async || row().await.is_some_and(|row| row.state == State::Running)).await;
    assert!(world.tasks.drain().await);
}
