//! What the facade costs: requests through the real binary, beside the app alone and beside a bare hyper proxy that
//! ends the same TLS and checks nothing. Ratios first. The load comes from this process on the same machine, so
//! absolute numbers are a lower bound.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code)]
#[path = "../tests/facade/world.rs"]
mod world;

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use attested_tls::Application::{Http1, Http2};
use attested_tls::{Acceptor, Application, LocalKey};
use bytes::Bytes;
use facade::upstream::{Address, AppStream};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use server::Tasks;
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use workload::launch::{AppLaunch, Isolation, Launch};
use workload::{Endpoint, Resources};

use world::{Agent, Gateway, HOST, Person, dial, enclave, issuer};

const ROUND: Duration = Duration::from_secs(4);
const WARM_UP: Duration = Duration::from_secs(1);
const CONNECTIONS: [usize; 2] = [1, 16];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["app", port] => runtime.block_on(app(port.parse().unwrap())),
        ["bare", socket, port] => runtime.block_on(bare(Path::new(socket), port.parse().unwrap())),
        _ => runtime.block_on(measure()),
    }
}

/// The app: a fixed answer.
async fn app(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let service = service_fn(|_: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello from the app"))))
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

/// TLS and a connection pool, and nothing else.
async fn bare(socket: &Path, port: u16) {
    let folder = TempDir::new().unwrap();
    let tasks = Tasks::new();
    Agent::serve(&folder.path().join("agent.sock"), &tasks);
    let node = node_api::Node::new(&folder.path().join("agent.sock"));
    let certifier = facade::identity::Certifier::new(node, LocalKey::generate().unwrap(), HOST.to_owned());
    let acceptor: Acceptor = certifier.first().await.unwrap().acceptor().clone();
    let connect = move |_: hyper::Uri| {
        Box::pin(async move { Address::Port(port).connect().await.map(TokioIo::<AppStream>::new) })
    };
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
    let client: Arc<hyper_util::client::legacy::Client<_, Incoming>> =
        Arc::new(client.build(tower::service_fn(connect)));
    let listener = UnixListener::bind(socket).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, client) = (acceptor.clone(), Arc::clone(&client));
        tokio::spawn(async move {
            let connection = acceptor.accept(stream).await.unwrap();
            let http2 = connection.application.as_deref() == Some(b"h2");
            let service = service_fn(move |mut request: Request<Incoming>| {
                let client = Arc::clone(&client);
                async move {
                    let path = request.uri().path_and_query().unwrap().clone();
                    *request.uri_mut() = hyper::Uri::builder()
                        .scheme("http")
                        .authority("app")
                        .path_and_query(path)
                        .build()
                        .unwrap();
                    *request.version_mut() = hyper::Version::HTTP_11;
                    client.request(request).await
                }
            });
            let io = TokioIo::new(connection.stream);
            if http2 {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                drop(builder.serve_connection(io, service).await);
            } else {
                drop(hyper::server::conn::http1::Builder::new().serve_connection(io, service).await);
            }
        });
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Killed {
    /// Resident memory in KiB.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().split(' ').next())
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn again(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments);
    command
}

/// The real binary, without isolation, in front of this program as the app.
fn start_facade(folder: &Path, owner: &Person, port: u16) -> Killed {
    let text = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::fs::write(folder.join("app.log"), "").unwrap();
    let launch = Launch {
        enclave_id: "000102030405060708090a0b0c0d0e0f".parse().unwrap(),
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
            command: std::env::current_exe().unwrap().to_str().unwrap().parse().unwrap(),
            args: vec!["app".to_owned(), port.to_string()],
            env: [].into(),
            endpoint: Endpoint::Port(port),
            writable: vec![],
            resources: Resources::default(),
        },
        isolation: Isolation::default(),
        app_log: text("app.log"),
    };
    std::fs::write(folder.join("facade.yaml"), serde_json::to_vec(&launch).unwrap()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sealwright-facade"))
        .args(["--config", &text("facade.yaml")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    Killed(child)
}

async fn measure() {
    let (folder, tasks) = (TempDir::new().unwrap(), Tasks::new());
    let (owner, gateway) = (Arc::new(Person::new()), Gateway::new());
    gateway.publish(&folder.path().join("jwks.json"));
    Agent::serve(&folder.path().join("agent.sock"), &tasks);
    let port = free_port();
    let (to, for_whom) = (folder.path().to_path_buf(), Arc::clone(&owner));
    let facade = tokio::task::spawn_blocking(move || start_facade(&to, &for_whom, port)).await.unwrap();
    let idle = facade.resident();
    let bare_socket = folder.path().join("bare.sock");
    let _bare = Killed(again(&["bare", bare_socket.to_str().unwrap(), &port.to_string()]).spawn().unwrap());
    while !bare_socket.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let token = gateway.token(&owner);
    let way = |socket: &str, application| Way::Tls {
        socket: folder.path().join(socket),
        owner: Arc::clone(&owner),
        token: token.clone(),
        application,
    };
    println!("facade: requests with a small answer, {} s each, token checked on every one", ROUND.as_secs());
    for connections in CONNECTIONS {
        let alone = load(&Way::Plain(port), connections).await;
        println!("  {connections:>2} connections, app alone          {alone}");
        for (name, application) in [("HTTP/1.1", Http1), ("HTTP/2  ", Http2)] {
            let bare = load(&way("bare.sock", application), connections).await;
            let ours = load(&way("facade.sock", application), connections).await;
            println!(
                "  {connections:>2} connections, {name}: {:.2} of a bare hyper proxy, p50 +{} us, p99 +{} us over the app",
                ours.rate / bare.rate,
                ours.p50.saturating_sub(alone.p50),
                ours.p99.saturating_sub(alone.p99),
            );
            println!("       bare hyper proxy                {bare}");
            println!("       facade                          {ours}");
        }
    }
    println!("  resident memory of the facade: {idle} KiB idle, {} KiB after the load", facade.resident());
}

#[derive(Clone)]
enum Way {
    Plain(u16),
    Tls { socket: PathBuf, owner: Arc<Person>, token: String, application: Application },
}

struct Figures {
    rate: f64,
    p50: u64,
    p99: u64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>8.0} requests/s, p50 {:>5} us, p99 {:>6} us", self.rate, self.p50, self.p99)
    }
}

/// A closed loop: each connection asks again when it has its answer.
async fn load(way: &Way, connections: usize) -> Figures {
    let begin = Instant::now() + WARM_UP;
    let end = begin + ROUND;
    let workers: Vec<_> = (0..connections).map(|_| tokio::spawn(one(way.clone(), begin, end))).collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    all.sort_unstable();
    let at = |share: f64| all.get((all.len() as f64 * share) as usize).copied().unwrap_or(0);
    Figures { rate: all.len() as f64 / ROUND.as_secs_f64(), p50: at(0.5), p99: at(0.99) }
}

/// Latencies in microseconds of one connection's requests after the warm-up.
async fn one(way: Way, begin: Instant, end: Instant) -> Vec<u64> {
    let mut taken = Vec::new();
    let (mut http1, mut http2, uri, token) = match way {
        Way::Plain(port) => {
            let stream = Address::Port(port).connect().await.unwrap();
            let (sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            (Some(sender), None, "/".to_owned(), String::new())
        }
        Way::Tls { socket, owner, token, application } => {
            let (stream, _, _) = dial(&socket, &owner, application).await;
            let io = TokioIo::new(stream);
            if application == Http2 {
                let (sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                (None, Some(sender), format!("https://{HOST}/"), token)
            } else {
                let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                (Some(sender), None, "/".to_owned(), token)
            }
        }
    };
    while Instant::now() < end {
        let mut request = Request::builder().uri(&uri).header("authorization", format!("Bearer {token}"));
        if http1.is_some() {
            request = request.header("host", HOST);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let started = Instant::now();
        let answer = match (&mut http1, &mut http2) {
            (Some(sender), _) => sender.send_request(request).await,
            (None, Some(sender)) => sender.send_request(request).await,
            (None, None) => unreachable!("one of them was made above"),
        };
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
        if started >= begin {
            taken.push(u64::try_from(started.elapsed().as_micros()).unwrap());
        }
    }
    taken
}
