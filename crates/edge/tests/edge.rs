//! The edge with real TCP, real Unix sockets, and rustls at both ends where TLS matters.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use edge::relay::HELLO_DEADLINE;
use edge::{Bounds, Config, Edge, Routes};
use proto::v1;
use proto::v1::controller_server::{Controller, ControllerServer};
use rustls::pki_types::ServerName;
use server::Tasks;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

const ROOMY: Bounds = Bounds { connections: 100, per_source: 100, half_open: 20 };
const ALERT_UNRECOGNIZED: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
const ALERT_INTERNAL: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

struct Running {
    address: SocketAddr,
    routes: watch::Sender<Routes>,
    tasks: Tasks,
    folder: TempDir,
}

impl Running {
    async fn start(bounds: Bounds) -> Self {
        let folder = TempDir::new().unwrap();
        let tasks = Tasks::new();
        let edge = Edge::bind("127.0.0.1:0".parse().unwrap(), bounds).await.unwrap();
        let address = edge.address();
        let (routes, table) = watch::channel(Routes::default());
        let serving = tasks.clone();
        tasks.spawn(async move { edge.serve(table, serving).await });
        Self { address, routes, tasks, folder }
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A facade that greets with its name and echoes what it gets; it also tells the test what came first.
    fn facade(&self, host: &str) -> mpsc::UnboundedReceiver<Vec<u8>> {
        let path = self.socket(host);
        let listener = UnixListener::bind(&path).unwrap();
        self.add_route(host, &path);
        let (seen, first_bytes) = mpsc::unbounded_channel();
        let greeting = host.to_owned();
        self.tasks.spawn_cancellable(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, greeting) = (seen.clone(), greeting.clone());
                tokio::spawn(async move {
                    let mut first = vec![0; 64 * 1024];
                    let count = stream.read(&mut first).await?;
                    first.truncate(count);
                    seen.send(first).ok();
                    stream.write_all(greeting.as_bytes()).await?;
                    let (mut reading, mut writing) = stream.split();
                    tokio::io::copy(&mut reading, &mut writing).await?;
                    writing.shutdown().await
                });
            }
        });
        first_bytes
    }

    fn add_route(&self, host: &str, path: &Path) {
        let mut all = vec![(host.to_owned(), path.to_owned())];
        let old = self.routes.borrow().clone();
        for other in ["a.enclaves.localhost", "b.enclaves.localhost"] {
            if let Some(socket) = old.socket(other) {
                all.push((other.to_owned(), socket.to_owned()));
            }
        }
        self.routes.send_replace(all.into_iter().collect());
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// The first flight of a real client.
fn client_hello(name: &str) -> Vec<u8> {
    let config = client_config();
    let mut client =
        rustls::ClientConnection::new(config, ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn client_config() -> Arc<rustls::ClientConfig> {
    let roots = rustls::RootCertStore::empty();
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset after the alert is an end, too.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

async fn read_exactly(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn a_hello_in_single_bytes_reaches_its_facade_unchanged_and_bytes_flow_both_ways() {
    let running = Running::start(ROOMY).await;
    let mut seen = running.facade("a.enclaves.localhost");
    let hello = client_hello("a.enclaves.localhost");
    let mut client = running.dial().await;
    client.set_nodelay(true).unwrap();
    for byte in &hello {
        client.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(seen.recv().await.unwrap(), hello);
    assert_eq!(read_exactly(&mut client, 20).await, b"a.enclaves.localhost");
    client.write_all(b"and back").await.unwrap();
    assert_eq!(read_exactly(&mut client, 8).await, b"and back");
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut client).await, b"", "a half-closed tunnel ends when the facade ends");
}

#[tokio::test]
async fn two_tenants_get_their_own_facades() {
    let running = Running::start(ROOMY).await;
    let mut to_a = running.facade("a.enclaves.localhost");
    let mut to_b = running.facade("b.enclaves.localhost");
    for (name, other) in [("a", "b"), ("b", "a")] {
        let mut client = running.dial().await;
        client.write_all(&client_hello(&format!("{name}.enclaves.localhost"))).await.unwrap();
        let greeting = read_exactly(&mut client, 20).await;
        assert!(greeting.starts_with(name.as_bytes()) && !greeting.starts_with(other.as_bytes()));
    }
    assert!(to_a.recv().await.is_some() && to_a.try_recv().is_err());
    assert!(to_b.recv().await.is_some() && to_b.try_recv().is_err());
}

#[tokio::test]
async fn names_that_are_not_in_the_table_get_the_alert_and_no_upstream() {
    let running = Running::start(ROOMY).await;
    let mut seen = running.facade("a.enclaves.localhost");
    let good = client_hello("a.enclaves.localhost");
    let place = good.windows(20).position(|part| part == b"a.enclaves.localhost").unwrap();
    let spelled = |name: &[u8; 20]| {
        let mut bytes = good.clone();
        bytes[place..place + 20].copy_from_slice(name);
        bytes
    };
    for (case, bytes) in [
        ("unknown", client_hello("c.enclaves.localhost")),
        ("longer", client_hello("x.a.enclaves.localhost")),
        ("upper case", spelled(b"A.enclaves.localhost")),
        ("trailing dot", spelled(b"a.enclaves.localhos.")),
        ("address instead of a name", client_hello("127.0.0.1")),
    ] {
        let mut client = running.dial().await;
        client.write_all(&bytes).await.unwrap();
        assert_eq!(read_to_end(&mut client).await, ALERT_UNRECOGNIZED, "{case}");
    }
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn a_real_client_reads_the_alert() {
    let running = Running::start(ROOMY).await;
    let connector = tokio_rustls::TlsConnector::from(client_config());
    let name = ServerName::try_from("nobody.enclaves.localhost").unwrap();
    let error = connector.connect(name, running.dial().await).await.unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
}

#[tokio::test]
async fn plain_http_is_closed_without_an_answer() {
    let running = Running::start(ROOMY).await;
    let mut client = running.dial().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a.enclaves.localhost\r\n\r\n").await.unwrap();
    assert_eq!(read_to_end(&mut client).await, b"");
}

#[tokio::test]
async fn a_facade_that_is_gone_is_an_internal_error_and_a_removed_route_is_unknown() {
    let running = Running::start(ROOMY).await;
    running.add_route("a.enclaves.localhost", &running.socket("nobody-listens"));
    let mut client = running.dial().await;
    client.write_all(&client_hello("a.enclaves.localhost")).await.unwrap();
    assert_eq!(read_to_end(&mut client).await, ALERT_INTERNAL);
    running.routes.send_replace(Routes::default());
    let mut client = running.dial().await;
    client.write_all(&client_hello("a.enclaves.localhost")).await.unwrap();
    assert_eq!(read_to_end(&mut client).await, ALERT_UNRECOGNIZED);
}

/// RFC 8446 makes no promise of size; a client may send 16 KiB of nothing.
#[tokio::test]
async fn a_hello_without_an_end_is_cut() {
    let running = Running::start(ROOMY).await;
    let mut client = running.dial().await;
    let flood: Vec<u8> = std::iter::repeat_n([22, 3, 1, 0, 1, 1], 4000).flatten().collect();
    client.write_all(&flood).await.ok();
    let answer = read_to_end(&mut client).await;
    assert!(answer.is_empty() || answer == [21, 3, 3, 0, 2, 2, 50], "{answer:?}");
}

#[tokio::test]
async fn a_thousand_silent_connections_are_bounded_and_leave_in_time() {
    let limit = rustix::process::Rlimit { current: Some(4096), maximum: Some(4096) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let bounds = Bounds { connections: 300, per_source: 200, half_open: 50 };
    let running = Running::start(bounds).await;
    let mut held = Vec::new();
    for _ in 0..1000 {
        held.push(running.dial().await);
    }
    // Accepted in the order of their arrival: the first fill the source's bound, the rest is closed at once.
    for mut client in held.split_off(bounds.per_source) {
        assert_eq!(read_to_end(&mut client).await, b"");
    }
    let started = tokio::time::Instant::now();
    for mut client in held {
        assert_eq!(read_to_end(&mut client).await, b"");
    }
    assert!(started.elapsed() < HELLO_DEADLINE + Duration::from_secs(5));
    // And the door is open again.
    let _seen = running.facade("a.enclaves.localhost");
    let mut client = running.dial().await;
    client.write_all(&client_hello("a.enclaves.localhost")).await.unwrap();
    assert_eq!(read_exactly(&mut client, 20).await, b"a.enclaves.localhost");
}

#[tokio::test]
async fn stopping_closes_tunnels_within_the_grace() {
    let running = Running::start(ROOMY).await;
    let _seen = running.facade("a.enclaves.localhost");
    let mut client = running.dial().await;
    client.write_all(&client_hello("a.enclaves.localhost")).await.unwrap();
    read_exactly(&mut client, 20).await;
    assert!(running.tasks.drain().await);
    assert_eq!(read_to_end(&mut client).await, b"");
    assert!(TcpStream::connect(running.address).await.is_err());
}

/// A controller that sends the tables that the test sends.
struct Tables(tokio::sync::Mutex<Vec<mpsc::Receiver<Result<v1::RouteTable, Status>>>>);

type Stages = Pin<Box<dyn tokio_stream::Stream<Item = Result<v1::Stage, Status>> + Send>>;

#[tonic::async_trait]
impl Controller for Tables {
    type StartEnclaveStream = Stages;
    type WatchRoutesStream = ReceiverStream<Result<v1::RouteTable, Status>>;

    async fn start_enclave(
        &self,
        _: Request<v1::StartEnclaveRequest>,
    ) -> Result<Response<Self::StartEnclaveStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn stop_enclave(
        &self,
        _: Request<v1::StopEnclaveRequest>,
    ) -> Result<Response<v1::StopEnclaveResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn delete_enclave(
        &self,
        _: Request<v1::DeleteEnclaveRequest>,
    ) -> Result<Response<v1::DeleteEnclaveResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn start_queue(
        &self,
        _: Request<v1::StartQueueRequest>,
    ) -> Result<Response<v1::StartQueueResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn enclave_logs(
        &self,
        _: Request<v1::EnclaveLogsRequest>,
    ) -> Result<Response<v1::EnclaveLogsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn watch_routes(
        &self,
        _: Request<v1::WatchRoutesRequest>,
    ) -> Result<Response<Self::WatchRoutesStream>, Status> {
        let next = self.0.lock().await.pop().ok_or_else(|| Status::unavailable("no more"))?;
        Ok(Response::new(ReceiverStream::new(next)))
    }
}

fn table(hosts: &[&str]) -> v1::RouteTable {
    let route = |host: &&str| v1::Route { host: (*host).to_owned(), socket: format!("/run/{host}.sock") };
    v1::RouteTable { routes: hosts.iter().map(route).collect() }
}

async fn changed(routes: &mut watch::Receiver<Routes>) -> Routes {
    tokio::time::timeout(Duration::from_secs(10), routes.changed()).await.unwrap().unwrap();
    routes.borrow_and_update().clone()
}

#[tokio::test]
async fn the_table_follows_the_controller_and_survives_a_lost_stream() -> io::Result<()> {
    let folder = TempDir::new()?;
    let socket = folder.path().join("controller.sock");
    let tasks = Tasks::new();
    let (first, first_stream) = mpsc::channel(4);
    let (second, second_stream) = mpsc::channel(4);
    let controller = Tables(tokio::sync::Mutex::new(vec![second_stream, first_stream]));
    let incoming = proto::serve_socket(&socket)?;
    tasks.spawn_cancellable(async move {
        let server = tonic::transport::Server::builder().add_service(ControllerServer::new(controller));
        server.serve_with_incoming(incoming).await.unwrap();
    });
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        controller: vec![socket],
        connections: 1,
        connections_per_source: 1,
        half_open: 1,
    };
    let mut routes = edge::follow_controllers(&config, &tasks);
    first.send(Ok(table(&["a.localhost", "b.localhost"]))).await.unwrap();
    let seen = changed(&mut routes).await;
    assert_eq!(seen.socket("a.localhost"), Some(Path::new("/run/a.localhost.sock")));
    assert_eq!(seen.socket("A.localhost"), None);
    first.send(Ok(table(&["b.localhost"]))).await.unwrap();
    assert_eq!(changed(&mut routes).await.socket("a.localhost"), None);
    drop(first);
    assert!(routes.borrow().socket("b.localhost").is_some(), "the last table stays");
    second.send(Ok(table(&["c.localhost"]))).await.unwrap();
    let seen = changed(&mut routes).await;
    assert!(seen.socket("c.localhost").is_some() && seen.socket("b.localhost").is_none());
    assert!(tasks.drain().await);
    Ok(())
}

/// A second controller takes over what the first one had when it died.
#[tokio::test]
async fn the_table_is_made_of_those_of_all_controllers() {
    let folder = TempDir::new().unwrap();
    let mut senders = Vec::new();
    let (mut sockets, mut parts) = (Vec::new(), Vec::new());
    for name in ["one", "two"] {
        let socket = folder.path().join(name);
        let (sender, stream) = mpsc::channel(4);
        let controller = Tables(tokio::sync::Mutex::new(vec![stream]));
        let incoming = proto::serve_socket(&socket).unwrap();
        let tasks = Tasks::new();
        tasks.spawn_cancellable(async move {
            let server = tonic::transport::Server::builder().add_service(ControllerServer::new(controller));
            server.serve_with_incoming(incoming).await.unwrap();
        });
        senders.push(sender);
        sockets.push(socket);
        parts.push(tasks);
    }
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        controller: sockets,
        connections: 1,
        connections_per_source: 1,
        half_open: 1,
    };
    let tasks = Tasks::new();
    let mut routes = edge::follow_controllers(&config, &tasks);
    senders[0].send(Ok(table(&["a.localhost"]))).await.unwrap();
    assert!(changed(&mut routes).await.socket("a.localhost").is_some());
    senders[1].send(Ok(table(&["b.localhost"]))).await.unwrap();
    let seen = changed(&mut routes).await;
    assert!(seen.socket("a.localhost").is_some() && seen.socket("b.localhost").is_some());
    assert!(parts[0].drain().await);
    let moved = v1::Route { host: "a.localhost".into(), socket: "/elsewhere.sock".into() };
    senders[1].send(Ok(v1::RouteTable { routes: vec![moved] })).await.unwrap();
    while routes.borrow_and_update().socket("a.localhost") != Some(Path::new("/elsewhere.sock")) {
        tokio::time::timeout(Duration::from_secs(10), routes.changed()).await.unwrap().unwrap();
    }
    assert!(routes.borrow().socket("b.localhost").is_none());
    assert!(tasks.drain().await && parts[1].drain().await);
}
