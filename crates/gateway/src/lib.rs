//! Client operations: accounts, sessions, apps and enclave requests over REST.
//!
//! It knows users and what they want; it starts nothing itself (the controller does), holds no CA key, and sees no byte of what a user says to an
//! enclave. Whoever controls it can refuse or delay service and hand out tokens, but not make a client trust a wrong enclave, nor own an enclave of
//! somebody else: the owner is a key that the user's client holds. Called by the `sealwright` command and testbed.

mod admin;
mod apps;
mod audit;
mod blobs;
mod certificate;
mod conditional;
mod config;
mod controller;
mod device;
mod door;
mod enclaves;
mod extract;
mod factors;
mod idempotency;
mod key_ring;
mod licenses;
mod limits;
mod listen;
mod lives;
mod marks;
mod meta;
mod names;
mod oidc;
mod origin;
mod original;
mod page;
mod precondition;
mod proxied;
mod refusal;
mod refused_logins;
mod routes;
mod seen;
mod session_list;
mod sessions;
mod settings;
mod shared;
mod stages;
mod timeouts;
mod tokens;
mod unattended;
mod unread;
mod users;
mod witness;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context as _;
use attested_tls::{Acceptor, CertificateSlot, ClientCertificates};
use server::Tasks;
use store::Store;
use tokio::net::TcpListener;

pub use config::{Config, Factors};
pub use idempotency::PATHS as IDEMPOTENT_PATHS;
pub use key_ring::MakeTokenKey;
pub use lives::{Lifetime, Lives};
pub use origin::{NotAnOrigin, Origin};
pub use passwords::{Breached, Hashing, Unreadable};
pub use precondition::{NO_CHANGES as UNCONDITIONAL_PATHS, THINGS as TAGGED_PATHS};
pub use proxied::{Network, NetworkError};
pub use routes::paths;
pub use settings::{Licensing, Limits, Loopback, Passwords, Quota, Settings, TokenKeys};
pub use timeouts::Timeouts;
pub use unattended::CODES as REASONS;

use shared::Shared;

/// What the gateway is given by the one who starts it.
pub struct Deps {
    /// Users, sessions, apps, enclaves.
    pub store: Store,
    /// Its own certificate, which may be renewed meanwhile. Clients dial an address or a name: it should serve both.
    pub certificate: Arc<CertificateSlot>,
    /// Makes the keys that sign tokens: one at start, others when it is time. They are never stored; their public halves are.
    pub token_keys: MakeTokenKey,
    /// Runs its connections and background work.
    pub tasks: Tasks,
}

/// Runs until the tasks are stopped.
///
/// # Errors
/// Where the address can't be bound or the data folder can't be used.
pub async fn run(config: Config, deps: Deps) -> anyhow::Result<()> {
    Gateway::bind(config, deps).await?.serve().await;
    Ok(())
}

/// A gateway that is bound to its port and accepts nothing yet.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    places: door::Places,
    timeouts: Timeouts,
    proxies: Vec<Network>,
    audit_days: Option<NonZeroU32>,
    acceptor: Acceptor,
    shared: Arc<Shared>,
}

impl Gateway {
    /// Binds the port (0 takes a free one), opens the blobs and writes the key set for the facades.
    ///
    /// # Errors
    /// Where the address can't be bound or the data folder can't be used.
    pub async fn bind(config: Config, deps: Deps) -> anyhow::Result<Self> {
        let acceptor =
            Acceptor::new(deps.certificate, ClientCertificates::Optional).context("TLS configuration")?;
        let listener =
            TcpListener::bind(config.listen).await.with_context(|| format!("listen on {}", config.listen))?;
        let address = listener.local_addr().context("local address")?;
        let places = door::Places {
            all: config.settings.connections,
            per_source: config.settings.connections_per_source,
        };
        let timeouts = config.settings.timeouts;
        let (proxies, audit_days) = (config.settings.trusted_proxies.clone(), config.settings.audit_days);
        anyhow::ensure!(
            proxies.len() <= proxied::MAX_NETWORKS,
            "more than {} trusted proxies",
            proxied::MAX_NETWORKS
        );
        let origin =
            config.factors.public_origin.clone().unwrap_or_else(|| Origin::localhost(address.port()));
        let shared = Shared::build(config, origin, deps.store, deps.token_keys, deps.tasks).await?;
        Ok(Self {
            listener,
            address,
            places,
            timeouts,
            proxies,
            audit_days,
            acceptor,
            shared: Arc::new(shared),
        })
    }

    /// The bound address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts and answers until the tasks are stopped.
    pub async fn serve(self) {
        let tasks = self.shared.tasks.clone();
        tasks.spawn_cancellable(sessions::prune(Arc::clone(&self.shared)));
        tasks.spawn_cancellable(audit::keep(Arc::clone(&self.shared), self.audit_days));
        tasks.spawn_cancellable(unattended::watch(Arc::clone(&self.shared)));
        tasks.spawn_cancellable(blobs::sweep(Arc::clone(&self.shared)));
        tasks.spawn_cancellable(key_ring::keep(Arc::clone(&self.shared)));
        let router = routes::router(self.shared);
        tracing::info!(address = %self.address, "gateway listens");
        let bounds =
            listen::Bounds { places: self.places, proxies: self.proxies, head: self.timeouts.head() };
        listen::serve(self.listener, self.acceptor, router, bounds, &tasks).await;
    }
}
