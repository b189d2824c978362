//! The binary as the controller starts it: readiness, and every way to end with its exit code.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use attested_tls::Application::Http1;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use names::{Digest, EnclaveId};
use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Enclosure, Identity, OWN_PROGRAM};
use server::Tasks;
use tempfile::TempDir;
use workload::launch::{ACTIVE_LINE, AppLaunch, CAUSE_LINE, FacadeExit, Isolation, Launch, Namespaces};
use workload::{Endpoint, Resources};

use crate::world::{Agent, Gateway, HOST, Person, dial, enclave, issuer};

/// An app in Perl, which every Debian has: it says who it is, ends when told to, and leaves orphans when told to.
const APP: &str = r#"
use Socket; $| = 1;
$SIG{TERM} = sub { print "asked to end\n"; exit 0 }; $SIG{PIPE} = 'IGNORE';
unlink $ARGV[0];
socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un($ARGV[0])) or die "bind: $!"; listen(S, 9);
print "listening\n";
while (accept(C, S)) {
  my $line = <C>; while (<C>) { last if /^\r?\n$/ }
  exit 7 if $line =~ /exit/;
  if ($line =~ /orphans/) { for (1..5) { if (!fork) { fork; exit 0 } } while (wait > 0) {} }
  my $body = "pid $$ uid $<";
  $body = join "\n", @ARGV[1..$#ARGV], map { "$_=$ENV{$_}" } sort keys %ENV if $line =~ /told/;
  syswrite C, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: " . length($body) . "\r\n\r\n$body";
  close C;
}
"#;

struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    launch: Launch,
    owner: Person,
    gateway: Gateway,
    tasks: Tasks,
    folder: TempDir,
}

/// A launch file's contents for an app behind a Unix socket, without any isolation.
fn launch(folder: &Path, owner: &Person) -> Launch {
    let text = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::fs::write(folder.join("app.log"), "").unwrap();
    std::fs::create_dir(folder.join("root")).unwrap();
    let id: EnclaveId = "000102030405060708090a0b0c0d0e0f".parse().unwrap();
    Launch {
        enclave_id: id,
        incarnation: 1,
        dns_name: HOST.to_owned(),
        owner: owner.id(),
        listen: text("facade.sock"),
        agent_socket: text("agent.sock"),
        jwks_file: text("jwks.json"),
        issuer: issuer(),
        audience: enclave(),
        app: AppLaunch {
            root: "/".to_owned(),
            mount_point: text("root"),
            command: "/usr/bin/perl".parse().unwrap(),
            args: vec!["-e".to_owned(), APP.to_owned(), text("app.sock")],
            env: [("LC_ALL".to_owned(), "C".to_owned())].into(),
            endpoint: Endpoint::Socket(text("app.sock").parse().unwrap()),
            writable: vec![],
            resources: Resources::default(),
            groups: vec![],
        },
        isolation: Isolation::default(),
        app_log: text("app.log"),
        trace: None,
    }
}

impl Running {
    /// Starts the binary with a launch file that the test may change.
    fn start(change: impl FnOnce(&mut Launch)) -> Self {
        let (folder, tasks) = (TempDir::new().unwrap(), Tasks::new());
        let (owner, gateway) = (Person::new(), Gateway::new());
        gateway.publish(&folder.path().join("jwks.json"));
        Agent::serve(&folder.path().join("agent.sock"), owner.id(), &tasks);
        let mut launch = launch(folder.path(), &owner);
        change(&mut launch);
        let file = folder.path().join("facade.yaml");
        std::fs::write(&file, serde_json::to_vec(&launch).unwrap()).unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_sealwright-facade"));
        let args = ["--config".as_ref(), file.as_os_str()];
        let enclosure = Enclosure {
            launcher: &program,
            isolation: launch.isolation,
            identity: Identity::Controllers,
            groups: vec![],
        };
        let mut command = enclosure.command(Path::new(OWN_PROGRAM), &args).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output, launch, owner, gateway, tasks, folder }
    }

    /// Starts it and reads the one line on its output.
    async fn ready(change: impl FnOnce(&mut Launch)) -> Self {
        let mut running = Self::start(change);
        running = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            running.output.read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n", "app log: {}", running.app_log());
            running
        })
        .await
        .unwrap();
        running
    }

    fn app_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("app.log")).unwrap()
    }

    /// The body of the app's answer to the owner.
    async fn get(&self, path: &str) -> String {
        let (stream, _, _) = dial(Path::new(&self.launch.listen), &self.owner, Http1).await;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        self.tasks.spawn_cancellable(async move { drop(connection.await) });
        let request = hyper::Request::builder()
            .uri(path)
            .header("host", HOST)
            .header("authorization", format!("Bearer {}", self.gateway.token(&self.owner)))
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let answer =
            sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(answer.to_vec()).unwrap()
    }

    /// The facade's process: below the stage that made its namespaces, where there are any.
    fn facade(&self) -> Pid {
        let mut pid = self.child.id();
        if self.launch.isolation.enclave.pid {
            pid = *children(pid).first().unwrap();
        }
        Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
    }

    /// Waits for the end; the exit code, and that nothing but lines of the contract was said on standard output.
    async fn end(self) -> Option<FacadeExit> {
        let Self { mut child, mut output, tasks, folder, .. } = self;
        // The controller's end of standard input must stay open until the process has ended.
        let input = child.stdin.take();
        let status = tokio::task::spawn_blocking(move || {
            let status = child.wait().unwrap();
            let mut rest = String::new();
            output.read_to_string(&mut rest).unwrap();
            // What the contract knows, and nothing else.
            let known = |line: &str| line == ACTIVE_LINE || line.starts_with(CAUSE_LINE);
            assert!(rest.lines().all(known), "{rest}");
            status
        });
        let status = tokio::time::timeout(Duration::from_secs(30), status).await.unwrap().unwrap();
        drop((input, folder));
        tasks.stop();
        status.code().or(status.signal().map(|signal| 1000 + signal)).and_then(FacadeExit::from_code)
    }
}

fn children(pid: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|child| server::unix::process(*child).is_ok_and(|process| process.parent == pid)).collect()
}

/// Pids of zombies below a process.
fn zombies(parent: u32) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = all.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let fields = stat.rsplit_once(") ").unwrap_or_default().1;
            fields.starts_with(&format!("Z {parent} "))
        })
        .count()
}

#[tokio::test]
async fn it_says_ready_serves_and_stops_with_its_app_when_told() {
    let running = Running::ready(|_| {}).await;
    let who = running.get("/").await;
    assert!(who.starts_with("pid "), "{who}");
    assert!(running.app_log().starts_with("listening\n"), "{}", running.app_log());
    let app: u32 = who.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(Path::new(&format!("/proc/{app}")).exists());
    kill_process(running.facade(), Signal::TERM).unwrap();
    let log = running.folder.path().join("app.log");
    let kept = std::fs::File::open(log).unwrap();
    assert_eq!(running.end().await, Some(FacadeExit::Stopped));
    assert!(!Path::new(&format!("/proc/{app}")).exists(), "the app outlives its facade");
    let log = std::io::read_to_string(kept).unwrap();
    assert_eq!(log, "listening\nasked to end\n");
}

/// GHSA-m3cr-vc2j-pm27: parameters reached a shell. coder/coder#26146: a placeholder of an app was replaced by the session's token. An app's arguments
/// and environment arrive letter by letter, and the environment is no larger than its manifest says.
#[tokio::test]
async fn arguments_and_environment_reach_the_app_as_they_are() {
    let mark = TempDir::new().unwrap();
    let touched = mark.path().join("touched");
    let touch = format!("touch {}", touched.display());
    let odd = [
        format!("$({touch})"),
        format!(";{touch}"),
        format!("`{touch}`"),
        format!("|{touch}"),
        format!("&& {touch}"),
        "${TOKEN}".to_owned(),
        "$SESSION_TOKEN".to_owned(),
        "%TOKEN%".to_owned(),
        "*".to_owned(),
        "~".to_owned(),
        "\"".to_owned(),
        "'".to_owned(),
    ];
    let running = Running::ready(|launch| {
        launch.app.args.extend(odd.iter().cloned());
        launch.app.env.insert("FIRST".into(), format!("${{TOKEN}} $SESSION_TOKEN $({touch}) `{touch}`"));
    })
    .await;
    let told = running.get("/told").await;
    let first = format!("FIRST=${{TOKEN}} $SESSION_TOKEN $({touch}) `{touch}`");
    let expected: Vec<&str> = odd.iter().map(String::as_str).chain([first.as_str(), "LC_ALL=C"]).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    assert!(!touched.exists(), "a shell has read it");
}

#[tokio::test]
async fn the_end_of_the_app_is_the_end_of_the_enclave() {
    let running = Running::ready(|_| {}).await;
    let asked = tokio::time::timeout(Duration::from_secs(10), running.get("/exit")).await.unwrap();
    assert!(asked.contains("app_broken"), "{asked}");
    assert_eq!(running.end().await, Some(FacadeExit::AppEnded));
}

#[tokio::test]
async fn the_end_of_the_controller_is_the_end_of_the_enclave() {
    let mut running = Running::ready(|_| {}).await;
    drop(running.child.stdin.take());
    assert_eq!(running.end().await, Some(FacadeExit::ControllerGone));
}

#[tokio::test]
async fn what_can_not_start_says_why() {
    let check = async |change: fn(&mut Launch), expected| {
        assert_eq!(Running::start(change).end().await, Some(expected));
    };
    check(|launch| launch.app.command = "/no/such/program".parse().unwrap(), FacadeExit::AppNotStarted).await;
    check(|launch| launch.app.args = vec!["-e".into(), "exit 0".into()], FacadeExit::AppEnded).await;
    check(|launch| launch.agent_socket.push_str("-nobody"), FacadeExit::NotCertified).await;
    check(|launch| launch.listen = "/no/such/folder/facade.sock".into(), FacadeExit::NotServing).await;
    let in_the_machines_mounts: fn(&mut Launch) = |launch| {
        launch.app.root = format!("{}-nothing-here", launch.app.mount_point);
        launch.isolation.own_root = true;
    };
    check(in_the_machines_mounts, FacadeExit::NotIsolated).await;
}

/// A controller that announces one owner and lets another one in, by the launch file that nobody measures.
#[tokio::test]
async fn only_what_was_announced_is_served() {
    let changes: [fn(&mut Launch); 4] = [
        |launch| launch.owner = Digest::of(b"somebody else"),
        |launch| launch.dns_name = "notes-bob.enclaves.localhost".into(),
        |launch| launch.incarnation = 2,
        |launch| launch.enclave_id = "ff0102030405060708090a0b0c0d0e0f".parse().unwrap(),
    ];
    for change in changes {
        assert_eq!(Running::start(change).end().await, Some(FacadeExit::BadConfiguration));
    }
}

/// Requests must not go to whoever took the app's address before it.
#[tokio::test]
async fn an_address_that_is_in_use_is_not_the_apps() {
    let squatter = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = squatter.local_addr().unwrap().port();
    let running = Running::start(|launch| launch.app.endpoint = Endpoint::Port(port));
    assert_eq!(running.end().await, Some(FacadeExit::AppNotStarted));
}

#[test]
fn a_bad_configuration_has_its_exit_code() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("facade.yaml");
    std::fs::write(&file, "enclave_id: 1\nsurprise: 2\n").unwrap();
    for arguments in
        [&["--config", file.to_str().unwrap()][..], &["--config", "/no/such/file"], &["--config"], &[]]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealwright-facade"));
        let status = command.args(arguments).stdin(Stdio::piped()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(FacadeExit::BadConfiguration.code().into()));
    }
}

/// Everything that this machine allows but the app's own root, which needs a measured copy.
#[tokio::test]
async fn isolated_as_far_as_the_machine_allows_it_serves_and_dies_with_its_tools() {
    let plan = sandbox::probe(Path::new(env!("CARGO_BIN_EXE_sealwright-facade"))).plan();
    let running = Running::ready(|launch| {
        launch.isolation = Isolation { own_root: false, app_uid: false, landlock: false, ..plan }
    })
    .await;
    let who = running.get("/").await;
    if plan.app.pid {
        assert_eq!(who, "pid 2 uid 1000");
    }
    let facade = running.facade();
    assert!(facade.as_raw_nonzero().get().unsigned_abs() != running.child.id() || !plan.enclave.pid);
    let below = children(facade.as_raw_nonzero().get().unsigned_abs());
    assert!(!below.is_empty());
    let top = Pid::from_raw(i32::try_from(running.child.id()).unwrap()).unwrap();
    kill_process(top, Signal::KILL).unwrap();
    assert_eq!(running.end().await, None);
    let started = Instant::now();
    let alive = |pid: &u32| server::unix::process(*pid).is_ok();
    while below.iter().any(alive) {
        assert!(started.elapsed() < Duration::from_secs(10), "orphans survive");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn orphans_of_the_app_are_reaped_by_the_first_process() {
    let plan = sandbox::probe(Path::new(env!("CARGO_BIN_EXE_sealwright-facade"))).plan();
    if !(plan.enclave.user && plan.enclave.pid) {
        assert!(std::env::var_os("CI").is_none(), "the machine has no pid namespaces");
        eprintln!("NOT CHECKED: without pid namespaces their first process is not ours");
        return;
    }
    let enclave =
        Namespaces { user: true, pid: true, mount: true, proc: plan.enclave.proc, ..Namespaces::default() };
    let running = Running::ready(|launch| {
        launch.isolation = Isolation { enclave, ..Isolation::default() };
    })
    .await;
    assert!(running.get("/orphans").await.starts_with("pid "));
    let facade = running.facade().as_raw_nonzero().get().unsigned_abs();
    let started = Instant::now();
    while zombies(facade) > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "zombies stay");
        tokio::task::yield_now().await;
    }
    kill_process(running.facade(), Signal::TERM).unwrap();
    assert_eq!(running.end().await, Some(FacadeExit::Stopped));
}
