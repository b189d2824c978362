//! One public port: passes TLS to the right enclave by its exact server name, and cannot read a byte.
//!
//! It ends no TLS, holds no key and knows no user: it reads one ClientHello, looks its name up in the controller's
//! route table and copies bytes to the facade's Unix socket. Whoever controls the edge can refuse, delay or misroute;
//! a client notices, because the facade behind it must prove itself. Called by the `sealwright` command and testbed.

pub mod admission;
pub mod hello;
pub mod relay;
pub mod routes;
mod upstream;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proto::v1::controller_client::ControllerClient;
use serde::{Deserialize, Serialize};
use server::Tasks;
use server::telemetry::chain;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tracing::{debug, info, warn};

pub use admission::Bounds;
pub use routes::Routes;

use admission::{Admission, Door};

/// Tunnels may finish for this long when the service stops.
const GRACE: Duration = Duration::from_secs(2);
/// After an accept that failed (out of descriptors, mostly) the next one waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A peer that vanished without a word is found after this silence (then nine probes of the kernel's interval).
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// The configuration file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The public address.
    pub listen: SocketAddr,
    /// The Unix sockets of the controllers: one, or a list.
    #[serde(deserialize_with = "server::config::one_or_more")]
    pub controller: Vec<PathBuf>,
    /// Connections in all.
    #[serde(default = "default_connections")]
    pub connections: usize,
    /// Connections of one source: an IPv4 address or an IPv6 /64.
    #[serde(default = "default_per_source")]
    pub connections_per_source: usize,
    /// Connections whose ClientHello is being read at one time.
    #[serde(default = "default_half_open")]
    pub half_open: usize,
}

const fn default_connections() -> usize {
    4096
}

const fn default_per_source() -> usize {
    2048
}

const fn default_half_open() -> usize {
    512
}

impl Config {
    /// The bounds on connections.
    #[must_use]
    pub const fn bounds(&self) -> Bounds {
        Bounds {
            connections: self.connections,
            per_source: self.connections_per_source,
            half_open: self.half_open,
        }
    }
}

/// Runs until the tasks are stopped.
///
/// # Errors
/// Where the address can't be bound.
pub async fn run(config: Config, tasks: Tasks) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let edge = Edge::bind(config.listen, config.bounds())
        .await
        .with_context(|| format!("listen on {}", config.listen))?;
    let routes = follow_controllers(&config, &tasks);
    edge.serve(routes, tasks).await;
    Ok(())
}

/// The route tables of all controllers as one, as they change.
#[must_use]
pub fn follow_controllers(config: &Config, tasks: &Tasks) -> watch::Receiver<Routes> {
    let (tables, routes) = routes::Tables::new(config.controller.len());
    let tables = Arc::new(tables);
    for (number, socket) in config.controller.iter().enumerate() {
        let controller = ControllerClient::new(proto::connect(socket));
        tasks.spawn_cancellable(routes::follow(controller, Arc::clone(&tables), number));
    }
    routes
}

/// An edge that is bound to its port and accepts nothing yet.
#[derive(Debug)]
pub struct Edge {
    listener: TcpListener,
    address: SocketAddr,
    door: Door,
    half_open: Arc<Semaphore>,
}

impl Edge {
    /// Binds the port; port 0 takes a free one.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn bind(listen: SocketAddr, bounds: Bounds) -> io::Result<Self> {
        let bounds = affordable(bounds);
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let half_open = Arc::new(Semaphore::new(bounds.half_open));
        Ok(Self { listener, address, door: Door::new(bounds), half_open })
    }

    /// The bound address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts and relays until the tasks are stopped.
    pub async fn serve(self, routes: watch::Receiver<Routes>, tasks: Tasks) {
        info!(address = %self.address, "edge listens");
        let stopping = tasks.stopping();
        tokio::pin!(stopping);
        loop {
            let accepted = tokio::select! {
                () = &mut stopping => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((client, source)) => self.take(client, source, &routes, &tasks),
                Err(error) => {
                    warn!(%error, "accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Starts the relay of one accepted connection, or drops it.
    fn take(&self, client: TcpStream, source: SocketAddr, routes: &watch::Receiver<Routes>, tasks: &Tasks) {
        let admission = match self.door.admit(source.ip()) {
            Ok(admission) => admission,
            Err(refusal) => {
                debug!(%source, reason = %refusal, "connection refused");
                return;
            }
        };
        if let Err(error) = prepare(&client) {
            debug!(%source, %error, "connection gone before it began");
            return;
        }
        let (routes, half_open) = (routes.clone(), Arc::clone(&self.half_open));
        let stopping = tasks.stopping();
        tasks.spawn(async move {
            let grace = async {
                stopping.await;
                tokio::time::sleep(GRACE).await;
            };
            tokio::select! {
                () = one_connection(client, source, &routes, &half_open, admission) => {}
                () = grace => {}
            }
        });
    }
}

/// A tunnel takes two descriptors, and half of all are left to whatever else runs in this process.
fn affordable(bounds: Bounds) -> Bounds {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let room = limit.and_then(|limit| usize::try_from(limit / 4).ok()).unwrap_or(usize::MAX);
    if bounds.connections > room {
        warn!(
            wanted = bounds.connections,
            room, "fewer connections than configured: the descriptor limit is low"
        );
    }
    Bounds { connections: bounds.connections.min(room), ..bounds }
}

fn prepare(client: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(client, true)?;
    rustix::net::sockopt::set_tcp_keepidle(client, KEEPALIVE_IDLE)?;
    Ok(())
}

async fn one_connection(
    client: TcpStream,
    source: SocketAddr,
    routes: &watch::Receiver<Routes>,
    half_open: &Semaphore,
    admission: Admission,
) {
    match relay::relay(client, routes, half_open).await {
        Ok((up, down)) => debug!(%source, up, down, "tunnel ended"),
        Err(error) => debug!(%source, reason = error.code(), error = %chain(&error), "connection ended"),
    }
    drop(admission);
}
