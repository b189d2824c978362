//! One data folder, one published app, one row, a stand-in agent and a stand-in facade.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use api::enclaves::State;
use controller::{Config, Failpoint, Licenses};
use licensing::{LicenseId, Plan};
use names::{Digest, EnclaveId};
use packing::Blobs;
use proto::v1::controller_client::ControllerClient;
use proto::v1::{
    DeleteEnclaveRequest, RouteTable, Stage, StartEnclaveRequest, StopEnclaveRequest, WatchRoutesRequest,
};
use serde_json::json;
use server::Tasks;
use store::{DatabaseUrl, Licensing, NewApp, NewEnclave, Quota, Store, User, UserId};
use tokio_stream::StreamExt;
use workload::{Endpoint, Entry, Manifest, ManifestParts, Resources};

pub const HOST: &str = "web-alice.enclaves.localhost";
pub const CONTENT: &[u8] = b"#!/bin/true\n";

/// The licence of licensed worlds.
pub const LICENSE: LicenseId = LicenseId::from_bytes([7; 16]);
/// The attestation key of the stand-in agent's node.
pub const NODE: &str = "000b1111111111111111111111111111111111111111111111111111111111111111";
/// Seconds between the announcement of a licence's stop and the stop.
pub const WARNING: u64 = 4;

/// A facade that is ready and ends when it is asked to.
pub const GOOD: &str = "echo ready; exec cat > /dev/null";

pub struct World {
    dir: tempfile::TempDir,
    pub calls: Arc<Mutex<Vec<String>>>,
    pub tasks: Tasks,
}

/// Tells the process of a test which enclave it is about.
pub const ID: &str = "CONTROLLER_TEST_ID";

thread_local! {
    static ENCLAVE: EnclaveId = std::env::var(ID).map_or_else(
        |_| {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).unwrap();
            EnclaveId::from_bytes(bytes)
        },
        |text| text.parse().unwrap(),
    );
}

/// The enclave of this test: each test has a thread of its own, and control groups are named after enclaves, so that tests which run at once
/// must not share one.
pub fn id() -> EnclaveId {
    ENCLAVE.with(|id| *id)
}

impl World {
    /// A world whose facade does this; nothing runs in it yet.
    pub async fn new(facade: &str) -> Self {
        Self::under(facade, Licensing::Off).await
    }

    /// The same, where the enclave has its place on [`LICENSE`].
    pub async fn licensed(facade: &str) -> Self {
        Self::under(facade, Licensing::Required).await
    }

    async fn under(facade: &str, licensing: Licensing) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["apps", "enclaves", "run"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let world = Self { dir, calls: Arc::default(), tasks: Tasks::new() };
        // A copy, because other users have to reach it.
        fs::copy(env!("CARGO_BIN_EXE_stand-in-facade"), world.path("facade")).unwrap();
        world.write_facade(facade);
        let manifest = manifest();
        Blobs::open_dir(world.path("blobs")).unwrap().put(&Digest::of(CONTENT), CONTENT).unwrap();
        fill(&world.store().await, &manifest, licensing).await;
        world
    }

    pub fn write_facade(&self, script: &str) {
        let path = self.path("facade.sh");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn folder(&self) -> PathBuf {
        self.path("enclaves").join(id().to_string())
    }

    pub async fn store(&self) -> Store {
        Store::open(&DatabaseUrl::sqlite(self.path("db.sqlite"))).await.unwrap()
    }

    pub async fn row(&self) -> store::Enclave {
        self.store().await.enclave(&id()).await.unwrap().unwrap()
    }

    pub async fn state(&self) -> (State, Option<String>) {
        let row = self.row().await;
        (row.state, row.reason)
    }

    /// Starts the stand-in agent and the controller.
    pub async fn start(&self) {
        self.start_with(config(self.dir.path(), None)).await;
    }

    /// The same with other settings.
    pub async fn start_with(&self, config: Config) {
        listen(&self.path("run/admin.sock"), Arc::clone(&self.calls));
        controller::start(config, self.store().await, &self.tasks).await.unwrap();
    }

    /// The settings of this world.
    pub fn config(&self) -> Config {
        config(self.dir.path(), None)
    }

    /// Stops the controller as `up` does, and starts another on the same folder.
    pub async fn restart(&mut self) {
        assert!(self.tasks.drain().await);
        self.tasks = Tasks::new();
        self.start().await;
    }

    pub fn client(&self) -> ControllerClient<proto::Channel> {
        ControllerClient::new(proto::connect(&self.path("run/controller.sock")))
    }

    /// Starts the enclave, as its user would, and returns its stages.
    pub async fn stages(&self) -> Vec<Stage> {
        loop {
            if self.row().await.state.is_at_rest() {
                self.store().await.want_running(&id(), Quota::default(), 3).await.unwrap();
            }
            let request = StartEnclaveRequest { enclave_id: id().to_string() };
            match self.client().start_enclave(request).await {
                Ok(stream) => return stream.into_inner().map(|stage| stage.unwrap()).collect().await,
                // What the controller started by itself has just failed.
                Err(status) => assert_eq!(status.code(), tonic::Code::FailedPrecondition),
            }
        }
    }

    pub async fn stage_names(&self) -> Vec<String> {
        self.stages().await.into_iter().map(|stage| stage.name).collect()
    }

    pub async fn stop(&self) {
        self.store().await.want_stopped(&id(), 2).await.unwrap();
        let request = StopEnclaveRequest { enclave_id: id().to_string(), reason: "asked".into() };
        self.client().stop_enclave(request).await.unwrap();
    }

    pub async fn delete(&self) {
        self.store().await.want_deleted(&id(), 2).await.unwrap();
        self.client().delete_enclave(DeleteEnclaveRequest { enclave_id: id().to_string() }).await.unwrap();
    }

    pub async fn routes(&self) -> tonic::Streaming<RouteTable> {
        self.client().watch_routes(WatchRoutesRequest {}).await.unwrap().into_inner()
    }

    /// Waits until the route table has this many routes.
    pub async fn wait_for_routes(&self, count: usize) -> RouteTable {
        let mut tables = self.routes().await;
        loop {
            let table = tables.next().await.unwrap().unwrap();
            if table.routes.len() == count {
                return table;
            }
        }
    }

    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Processes whose command line names this world's folder: one outside of the namespaces and one shell for each enclave.
    pub fn processes(&self) -> Vec<String> {
        let mine = |line: &String| line.contains(self.dir.path().to_str().unwrap());
        let pids = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        pids.filter_map(|pid| fs::read_to_string(pid.join("cmdline")).ok()).filter(mine).collect()
    }

    /// Waits until no process of this world is left: the kernel kills them one after the other.
    pub async fn wait_until_nothing_runs(&self) {
        while !self.processes().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Only root can empty the directories of a copy as they are.
        for copy in fs::read_dir(self.path("apps")).unwrap() {
            packing::remove_copy(&copy.unwrap().path()).unwrap();
        }
    }
}

pub fn config(dir: &Path, dangerous_failpoint: Option<Failpoint>) -> Config {
    let trust_domain: names::TrustDomain = "sealwright.internal".parse().unwrap();
    Config {
        socket: dir.join("run/controller.sock"),
        admin_socket: dir.join("run/admin.sock"),
        agent_socket: dir.join("run/agent.sock"),
        jwks_file: dir.join("run/jwks.json"),
        blobs: dir.join("blobs"),
        apps: dir.join("apps"),
        enclaves: dir.join("enclaves"),
        facade: dir.join("facade"),
        issuer: trust_domain.part(names::Part::Gateway),
        trust_domain,
        uid_base: controller::DEFAULT_UID_BASE,
        dangerous_unisolated_apps: false,
        node: "local".into(),
        settings: controller::Settings { licenses: Licenses { warning: WARNING }, ..Default::default() },
        dangerous_failpoint,
    }
}

pub fn manifest() -> Manifest {
    let path = |text: &str| text.parse().unwrap();
    let file = Entry::File {
        path: path("/app"),
        executable: true,
        size: CONTENT.len() as u64,
        sha256: Digest::of(CONTENT),
    };
    let parts = ManifestParts {
        command: path("/app"),
        args: vec![],
        env: [].into(),
        endpoint: Endpoint::Port(8080),
        entries: vec![file],
        writable: vec![],
        resources: Resources::default(),
    };
    parts.try_into().unwrap()
}

impl World {
    /// The enclave again, after it was deleted.
    pub async fn publish_again(&self) {
        let digest = manifest().digest();
        let user = UserId::from_bytes([1; 16]);
        self.store().await.create_enclave(&enclave(user, digest), Quota::default()).await.unwrap();
    }
}

fn enclave(user: UserId, version_digest: Digest) -> NewEnclave {
    NewEnclave {
        trace: None,
        id: id(),
        user,
        user_name: "alice".into(),
        name: "web".into(),
        app: "hello".into(),
        version: "1".into(),
        version_digest,
        owner: Digest::of(b"owner"),
        host: HOST.into(),
        idle_timeout: None,
        max_age: None,
        created_at: 1,
    }
}

pub async fn fill(store: &Store, manifest: &Manifest, licensing: Licensing) {
    let user = UserId::from_bytes([1; 16]);
    let account = User {
        id: user,
        name: "alice".into(),
        password_hash: "x".into(),
        role: store::Role::User,
        disabled_at: None,
        created_at: 1,
    };
    store.create_user(&account).await.unwrap();
    let app = NewApp {
        name: "hello".into(),
        version: "1".into(),
        digest: manifest.digest(),
        manifest: serde_json::to_string(manifest).unwrap(),
        record: "a.b.c".into(),
        publisher: Digest::of(b"publisher"),
        owner: user,
        created_at: 1,
    };
    store.publish_app(&app, store::Event::default()).await.unwrap();
    let enclave = enclave(user, manifest.digest());
    if licensing == Licensing::Required {
        issue(store, &user).await;
    }
    store.create_enclave(&enclave, Quota { licensing, ..Quota::default() }).await.unwrap();
}

async fn issue(store: &Store, holder: &UserId) {
    let terms = json!({"seats": 1, "enclaves": 1, "entitlements": ["hello"]});
    let terms = serde_json::from_value(terms).unwrap();
    let plan = Plan { code: "team".parse().unwrap(), terms, created_at: 1, retired_at: None };
    store.create_plan(&plan, store::Event::default()).await.unwrap();
    store.issue_license(LICENSE, &plan.code, holder, None, store::Event::default()).await.unwrap();
}

/// The stand-in agent: remembers method and path, refuses nothing.
pub fn listen(socket: &Path, calls: Arc<Mutex<Vec<String>>>) {
    // A former one may be there; it keeps its open connections and gets no new ones.
    fs::remove_file(socket).ok();
    let listener = UnixListener::bind(socket).unwrap();
    // Of this thread's test, not of the one that listens.
    let id = id().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            calls.lock().unwrap().push(answer(stream.unwrap()).replace(&id, "ID"));
        }
    });
}

fn node() -> serde_json::Value {
    let trust_domain: names::TrustDomain = "sealwright.internal".parse().unwrap();
    let node = trust_domain.part(names::Part::Gateway).to_string();
    json!({"node": node, "level": "simulated", "ak_name": NODE, "log_events": 0})
}

fn answer(mut stream: UnixStream) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap()
            }
            Some(_) => {}
            None => break,
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).unwrap();
    let body = if first.starts_with("GET /v1/node ") { node().to_string() } else { "{}".to_owned() };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).unwrap();
    let call = first.trim_end().trim_end_matches(" HTTP/1.1");
    call.to_owned()
}
