//! The isolation itself, tried from inside: this test binary is its own facade, started again in an enclave.
//!
//! As root the enclave is another user of the machine; as a plain user it is the same one. `testbed` tries the same as both.
#![allow(clippy::unwrap_used)]

mod escapes;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use packing::{AppSpec, Blobs};
use sandbox::{Enclosure, Feature, Group, Groups, Identity, Isolation, UidPool};
use workload::Manifest;
use workload::launch::AppLaunch;

const LAUNCH: &str = "SANDBOX_TEST_LAUNCH";
/// Far from where real enclaves are.
const UIDS: u32 = 3_100_000_000;
const FETCH: &str = "SANDBOX_TEST_FETCH";

/// The facade of these tests: not a test by itself, but what [`Enclave::start`] runs inside.
#[test]
fn facade_of_the_other_tests() {
    let Ok(path) = std::env::var(LAUNCH) else { return };
    let (isolation, app): (workload::launch::Isolation, AppLaunch) =
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    sandbox::prepare_enclave(&isolation, &app.endpoint).unwrap();
    if isolation.own_root {
        sandbox::prepare_root(&isolation, &app).unwrap();
    }
    let mut command = sandbox::app_command(launcher(), &isolation, &app).unwrap();
    if std::env::var_os(FETCH).is_some() {
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        println!("{}", fetch(&app.endpoint, &mut child));
        return child.kill().unwrap();
    }
    println!("app ended: {}", command.status().unwrap());
}

fn launcher() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_sandbox-launcher"))
}

/// What the app answers to `GET /`, as soon as it listens.
fn fetch(endpoint: &workload::Endpoint, app: &mut Child) -> String {
    let workload::Endpoint::Port(port) = endpoint else { panic!("a port") };
    loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", *port)) {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            return answer;
        }
        assert_eq!(app.try_wait().unwrap(), None, "the app ended");
        std::thread::yield_now();
    }
}

/// A folder with an app that is a shell, and everything that the shell's tests call.
struct Enclave {
    dir: tempfile::TempDir,
    isolation: Isolation,
    manifest: Manifest,
    group: RefCell<Group>,
}

impl Enclave {
    fn new() -> Self {
        let tools: String = ["sh", "id", "ls", "cat", "touch", "cp", "unshare", "sleep", "mount", "perl"]
            .iter()
            .map(|tool| format!("  - {{from: {}, to: /bin/{tool}, libraries: true}}\n", find(tool).display()))
            .collect();
        let yaml = format!(
            "name: shell\nversion: '1'\ncommand: /bin/sh\nport: 80\nwritable: [/tmp]\nenv: {{GREETING: hi}}\n\
             files:\n{tools}resources: {{memory: 64MiB, processes: 16}}\n"
        );
        Self::of(&yaml, Path::new("/"))
    }

    fn of(yaml: &str, base: &Path) -> Self {
        // Not in the home folder, which may be closed to other users.
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let packed = packing::pack(&AppSpec::from_yaml(yaml).unwrap(), base, |_| ()).unwrap();
        let blobs = Blobs::open_dir(dir.path().join("blobs")).unwrap();
        for (digest, source) in &packed.sources {
            blobs.put(digest, fs::File::open(source).unwrap()).unwrap();
        }
        packing::materialise(&packed.manifest, &blobs, &dir.path().join("copy")).unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        Self {
            dir,
            isolation: sandbox::probe(launcher()),
            manifest: packed.manifest,
            group: RefCell::default(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, script: &str) -> Command {
        self.command_with(vec!["-c".into(), script.into()])
    }

    fn command_with(&self, args: Vec<String>) -> Command {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let identity = match UidPool::new(UIDS).take() {
            Some(uid) if self.isolation.has(Feature::OwnUid) => {
                chown(self.path("root"), Some(uid), Some(uid)).unwrap();
                Identity::Own(uid)
            }
            Some(_) | None => Identity::Controllers,
        };
        let user = if let Identity::Own(uid) = identity { Some(uid) } else { None };
        let name = self.dir.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
        // The groups of the run before have the same name.
        drop(self.group.take());
        let group = Groups::find().make(&format!("test-{name}"), self.manifest.resources(), user).unwrap();
        let app = AppLaunch {
            root: text(packing::rootfs(&self.path("copy"))),
            mount_point: text(self.path("root")),
            command: self.manifest.command().clone(),
            args,
            env: self.manifest.env().clone(),
            endpoint: self.manifest.endpoint().clone(),
            writable: self.manifest.writable().to_vec(),
            resources: *self.manifest.resources(),
            groups: group.of_app().into_iter().map(text).collect(),
        };
        let launch = self.path("launch.json");
        fs::write(&launch, serde_json::to_string(&(self.isolation.plan(), app)).unwrap()).unwrap();
        let args = ["--exact", "facade_of_the_other_tests", "--nocapture"].map(OsStr::new);
        let program = std::env::current_exe().unwrap();
        let enclosure = Enclosure {
            launcher: launcher(),
            isolation: self.isolation.plan(),
            identity,
            groups: group.of_facade(),
        };
        self.group.replace(group);
        let mut command = enclosure.command(&program, &args).unwrap();
        command.env(LAUNCH, launch).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a shell script as the app and returns what it printed.
    fn run(&self, script: &str) -> String {
        let output = self.command(script).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {errors}", output.status);
        String::from_utf8(output.stdout).unwrap() + &errors
    }

    /// The command that runs a script of Perl as the app.
    fn perl(&self, script: &str) -> Command {
        self.command_with(["-c", "exec /bin/perl -e \"$1\"", "sh", script].map(str::to_owned).into())
    }

    /// Runs it, and returns what it printed and whether it ran out of memory.
    fn run_perl(&self, script: &str) -> String {
        let output = self.perl(script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("{said}{errors}out of memory: {}\n", self.group.borrow().ran_out_of_memory())
    }

    fn has(&self, features: &[Feature]) -> bool {
        let has = features.iter().all(|feature| self.isolation.has(*feature));
        if !has {
            not_checked(&format!("{:?} of {:?}", features, self.isolation.describe()));
        }
        has
    }
}

impl Drop for Enclave {
    fn drop(&mut self) {
        // Only root can empty the directories of a copy as they are.
        packing::remove_copy(&self.path("copy")).unwrap();
    }
}

/// Says what is not tried here. Where everything has to be there, it is a failure.
fn not_checked(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}");
    eprintln!("NOT CHECKED: {what}");
}

fn find(tool: &str) -> PathBuf {
    let directories = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    directories.iter().map(|dir| Path::new(dir).join(tool)).find(|path| path.exists()).unwrap()
}

#[test]
fn every_step_has_an_answer_and_a_line() {
    let isolation = sandbox::probe(launcher());
    assert_eq!(isolation.describe().len(), Feature::ALL.len());
    for (feature, reason) in isolation.missing() {
        assert!(!reason.is_empty(), "{feature:?}");
    }
}

#[test]
fn an_app_is_an_unprivileged_user_with_only_its_environment() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::OwnRoot]) {
        return;
    }
    let said =
        enclave.run("id; echo greeting=$GREETING; echo launch=$SANDBOX_TEST_LAUNCH; cat /proc/self/status");
    for expected in
        ["uid=1000 gid=1000", "greeting=hi\n", "launch=\n", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"]
    {
        assert!(said.contains(expected), "{expected} in {said}");
    }
}

#[test]
fn an_app_sees_no_process_of_the_machine_or_of_its_facade() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::AppProc]) {
        return;
    }
    let said = enclave.run("echo pid=$$; cd /proc; for p in [0-9]*; do echo seen=$p; done");
    // The first process is its own stage, which reaps.
    assert!(said.contains("pid=2\n"), "{said}");
    assert_eq!(said.matches("seen=").count(), 2, "{said}");
}

#[test]
fn an_app_sees_only_its_own_files_and_writes_only_where_it_may() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::OwnRoot]) {
        return;
    }
    let outside = enclave.dir.path().display();
    let script = format!(
        "echo root=$(ls /); ls {outside}; touch /x; touch /bin/x; touch /dev/x; touch /tmp/x && echo tmp=written; \
         cp /bin/id /tmp/id && /tmp/id; echo null > /dev/null && echo devices=work"
    );
    let said = enclave.run(&script);
    assert!(said.contains("tmp=written") && said.contains("devices=work"), "{said}");
    assert!(!said.contains("blobs"), "{said}");
    assert!(!said.contains("uid="), "what was written must not be executable: {said}");
    assert_eq!(said.matches("Read-only file system").count(), 3, "{said}");
    assert!(said.contains("root=bin dev lib"), "{said}");
    assert!(!enclave.path("root/bin").exists(), "the mounts are the enclave's alone");
}

#[test]
fn an_app_can_gain_nothing_by_making_namespaces_or_mounting() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::OwnRoot]) {
        return;
    }
    let said =
        enclave.run("unshare --user id; unshare --mount id; mount -t tmpfs tmpfs /tmp && echo mounted");
    assert!(!said.contains("uid=") && !said.contains("mounted"), "{said}");
}

#[test]
fn an_enclave_has_a_loopback_interface_and_no_other() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::Network, Feature::AppProc]) {
        return;
    }
    let said = enclave.run("cat /proc/net/dev; cat /proc/net/if_inet6; cat /proc/net/route");
    let interfaces: Vec<&str> =
        said.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
    assert_eq!(interfaces, ["lo", "app ended", "test result"], "{said}");
}

#[test]
fn limits_stop_a_flood_of_processes() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::OwnRoot]) {
        return;
    }
    let said = enclave.run("i=0; while [ $i -lt 40 ]; do sleep 30 & i=$((i+1)); done");
    assert!(said.to_lowercase().contains("cannot fork"), "{said}");
}

/// How many processes there are from this one down.
fn count_from(pid: u32) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let children =
        tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
    let children: Vec<u32> = children.flat_map(|line| numbers(&line)).collect();
    1 + children.into_iter().map(count_from).sum::<usize>()
}

fn numbers(line: &str) -> Vec<u32> {
    line.split_ascii_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// Waits until the app itself says that it runs.
fn started(mut command: Command) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("app-runs") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the app never ran");
    }
    (child, output)
}

#[test]
fn nothing_survives_the_outermost_process() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::AppPid]) {
        return;
    }
    let (mut child, mut output) = started(enclave.command("echo app-runs; sleep 600 & sleep 600"));
    child.kill().unwrap();
    child.wait().unwrap();
    // Every process of the enclave holds the other end of the pipe: it ends when the last of them has ended.
    output.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn nothing_survives_a_parent_that_is_killed() {
    let enclave = Enclave::new();
    if !enclave.has(&[Feature::AppPid]) {
        return;
    }
    // A shell stands for the controller: it starts the enclave and is killed.
    let inner = enclave.command("echo app-runs; sleep 600 & sleep 600");
    let mut parent = Command::new("sh");
    parent.args(["-c", "\"$@\" & wait", "sh"]).arg(inner.get_program()).args(inner.get_args());
    parent.env(LAUNCH, enclave.path("launch.json")).stdin(Stdio::null()).stdout(Stdio::piped());
    let (mut parent, mut output) = started(parent);
    assert!(count_from(parent.id()) >= 5, "controller, unshare, facade, unshare, app");
    parent.kill().unwrap();
    parent.wait().unwrap();
    output.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn the_examples_answer_from_inside() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let cases = [
        ("hello", "target/debug/hello", "from inside the enclave"),
        ("files", "/usr/bin/python3.11", "Served by Python"),
        ("nginx", "/usr/sbin/nginx", "Served by Debian's nginx"),
    ];
    for (name, needs, expected) in cases {
        if !examples.join("..").join(needs).exists() {
            not_checked(&format!(
                "{name} needs {needs}: scripts/install.sh test, cargo build --package hello"
            ));
            continue;
        }
        let folder = examples.join(name);
        let enclave = Enclave::of(&fs::read_to_string(folder.join("app.yaml")).unwrap(), &folder);
        if !enclave.has(&[Feature::OwnRoot, Feature::Network]) {
            return;
        }
        let mut command = enclave.command_with(enclave.manifest.args().to_vec());
        let output = command.env(FETCH, "1").output().unwrap();
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(expected), "{name}: {said} {errors}");
        eprintln!(
            "{name}: {} entries, {} bytes",
            enclave.manifest.entries().len(),
            enclave.manifest.total_size()
        );
    }
}
