//! The whole: a cell, and around it store, controller, edge and gateway.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::{Anchor, Context as ClientContext};
use names::{Level, Part, TrustDomain};
use observe::{Observed, Readiness};
use serde::{Deserialize, Serialize};
use server::Tasks;
use store::{DatabaseUrl, Store};

use crate::cell::{Cell, CellOptions};
use crate::{Layout, Options, Ready, TpmEnded, trust, watched};

const TRUST_DOMAIN: &str = "sealwright.internal";
const NODE: &str = "local";
/// How long the node may take to its first verdict.
const FIRST_VERDICT: Duration = Duration::from_secs(60);

/// A running ensemble.
pub struct Ensemble {
    tasks: Tasks,
    cell: Cell,
    ready: Ready,
    store: Store,
    readiness: Readiness,
    log: PathBuf,
    context: PathBuf,
    _lock: File,
}

/// Ports that were taken once and are kept, so that a restart does not surprise.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Ports {
    gateway: u16,
    edge: u16,
}

/// What the operator says of the gateway.
struct Front {
    listen: Option<SocketAddr>,
    factors: gateway::Factors,
    settings: gateway::Settings,
}

/// Starts everything; answers when users can be served.
///
/// # Errors
/// Which part did not start, and why.
pub async fn start(options: Options, progress: impl Fn(&str)) -> Result<Ensemble> {
    attested_tls::install_provider();
    let layout = Layout::make(&options.data)?;
    let lock = layout.lock()?;
    let tasks = Tasks::new();
    let started = start_parts(&layout, options, &tasks, progress).await;
    match started {
        Ok((cell, ready, store)) => {
            let readiness = watched::readiness(&layout, &store);
            Ok(Ensemble {
                tasks,
                cell,
                ready,
                store,
                readiness,
                context: layout.context(),
                log: layout.agent().join("enclave-log.cel"),
                _lock: lock,
            })
        }
        Err(error) => {
            tasks.drain().await;
            Err(error)
        }
    }
}

async fn start_parts(
    layout: &Layout,
    options: Options,
    tasks: &Tasks,
    progress: impl Fn(&str),
) -> Result<(Cell, Ready, Store)> {
    let trust_domain: TrustDomain = TRUST_DOMAIN.parse().context("the trust domain")?;
    let agent = std::env::current_exe().context("find the own executable")?;
    let facade = match options.facade {
        Some(facade) => facade,
        None => agent.with_file_name("sealwright-facade"),
    };
    if !facade.exists() {
        bail!("{} is missing: build it with `cargo build --package facade`", facade.display());
    }
    progress("starting the TPM, the CA and the verifier");
    let cell_options = CellOptions {
        node: NODE.to_owned(),
        trust_domain: trust_domain.clone(),
        tpm: options.tpm,
        agent,
        facade: facade.clone(),
        endorsement: options.endorsement,
    };
    let cell = Cell::start(layout, cell_options, tasks).await?;
    if cell.level == Level::Simulated {
        progress("software TPM: a sample boot was extended into it; everything here is of level `simulated`");
    }
    progress("enrolling and appraising the node");
    wait_for_verdict(layout).await?;
    progress("starting controller, edge and gateway");
    let database = options.database.unwrap_or_else(|| DatabaseUrl::sqlite(layout.database()));
    let store = Store::open(&database).await.with_context(|| format!("open {database}"))?;
    let factors = gateway::Factors {
        key_file: layout.factors_key(),
        public_origin: options.public_origin,
        providers: options.providers,
    };
    let front = Front { listen: options.listen, factors, settings: options.gateway };
    let (gateway, edge) = bind(layout, front, &cell, store.clone(), tasks).await?;
    let config = controller::Config {
        dangerous_failpoint: options.dangerous_failpoint,
        dangerous_unisolated_apps: options.dangerous_unisolated_apps,
        settings: options.controller,
        ..controller_config(layout, &cell, &facade)
    };
    controller::start(config, store.clone(), tasks).await.context("start the controller")?;
    let ready = Ready {
        url: format!("https://{}", gateway.address()),
        edge: edge.address().to_string(),
        ca_file: layout.ca_file(),
        data: layout.root().to_path_buf(),
        pid: std::process::id(),
    };
    write_context(layout, &cell, &ready)?;
    let (routes, edge_tasks) =
        (edge::follow_controllers(&edge_config(layout, edge.address()), tasks), tasks.clone());
    tasks.spawn(edge.serve(routes, edge_tasks));
    tasks.spawn(gateway.serve());
    Ok((cell, ready, store))
}

async fn wait_for_verdict(layout: &Layout) -> Result<()> {
    let agent = node_api::Admin::new(&layout.admin_socket());
    let verdict = async {
        loop {
            match agent.node().await {
                Ok(node) if node.verdict_expires.is_some() => return,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let waited = tokio::time::timeout(FIRST_VERDICT, verdict).await;
    waited.context("the node got no verdict in time: see the log for the verifier's reason")
}

async fn bind(
    layout: &Layout,
    front: Front,
    cell: &Cell,
    store: Store,
    tasks: &Tasks,
) -> Result<(gateway::Gateway, edge::Edge)> {
    let Front { listen, factors, settings } = front;
    let kept = kept_ports(layout);
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let wanted = listen.unwrap_or_else(|| loopback(kept.gateway));
    let edge = bind_edge(layout, SocketAddr::new(wanted.ip(), kept.edge)).await?;
    let deps = || -> Result<gateway::Deps> {
        Ok(gateway::Deps {
            store: store.clone(),
            certificate: trust::gateway_certificate(&cell.ca, &signer::system_clock(), tasks)?,
            token_keys: trust::token_keys(),
            tasks: tasks.clone(),
        })
    };
    let config = |listen| gateway::Config {
        listen,
        edge: edge.address().to_string(),
        trust_domain: cell.trust_domain.clone(),
        controller: vec![layout.controller_socket()],
        blobs: layout.blobs(),
        jwks: layout.jwks(),
        license_key: layout.license_key(),
        factors: factors.clone(),
        settings: settings.clone(),
    };
    let gateway = match gateway::Gateway::bind(config(wanted), deps()?).await {
        Ok(gateway) => gateway,
        // A kept port that somebody else has taken meanwhile; a port that was asked for is an error.
        Err(_) if listen.is_none() && kept.gateway != 0 => {
            gateway::Gateway::bind(config(loopback(0)), deps()?).await.context("start the gateway")?
        }
        Err(error) => return Err(error).context("start the gateway"),
    };
    let ports = Ports { gateway: gateway.address().port(), edge: edge.address().port() };
    std::fs::write(layout.ports(), serde_json::to_vec(&ports)?).context("keep the ports")?;
    Ok((gateway, edge))
}

fn kept_ports(layout: &Layout) -> Ports {
    std::fs::read(layout.ports())
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

fn edge_config(layout: &Layout, listen: SocketAddr) -> edge::Config {
    edge::Config {
        listen,
        controller: vec![layout.controller_socket()],
        connections: 4096,
        connections_per_source: 2048,
        half_open: 512,
    }
}

async fn bind_edge(layout: &Layout, wanted: SocketAddr) -> Result<edge::Edge> {
    let bind = |listen| edge::Edge::bind(listen, edge_config(layout, listen).bounds());
    match bind(wanted).await {
        Ok(edge) => Ok(edge),
        Err(_) if wanted.port() != 0 => bind(SocketAddr::new(wanted.ip(), 0)).await.context("start the edge"),
        Err(error) => Err(error).context("start the edge"),
    }
}

fn controller_config(layout: &Layout, cell: &Cell, facade: &Path) -> controller::Config {
    controller::Config {
        socket: layout.controller_socket(),
        admin_socket: layout.admin_socket(),
        agent_socket: layout.agent_socket(),
        jwks_file: layout.jwks(),
        blobs: layout.blobs(),
        apps: layout.apps(),
        enclaves: layout.enclaves(),
        facade: facade.to_path_buf(),
        trust_domain: cell.trust_domain.clone(),
        issuer: cell.trust_domain.part(Part::Gateway),
        uid_base: controller::DEFAULT_UID_BASE,
        dangerous_unisolated_apps: false,
        node: NODE.to_owned(),
        settings: controller::Settings::default(),
        dangerous_failpoint: None,
    }
}

/// The context that makes the next command work. Its anchor's level is that of the TPM which holds the CA's key.
fn write_context(layout: &Layout, cell: &Cell, ready: &Ready) -> Result<()> {
    let gateway = client::Endpoint::from_url(&ready.url).context("the gateway's address")?;
    let edge = ready.edge.parse().context("the edge's address")?;
    let anchor = Anchor {
        name: format!("CA of {}", cell.trust_domain),
        certificate: cell.root().der().to_vec(),
        level: cell.level,
    };
    let path = layout.context();
    let mut context = ClientContext::new(gateway, edge, cell.trust_domain.clone(), vec![anchor]);
    if let Ok(before) = ClientContext::load(&path) {
        context.simulated = before.simulated;
    }
    context.save(&path).context("write the client's context")
}

impl Ensemble {
    /// Where everything is.
    #[must_use]
    pub const fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The context file for clients.
    #[must_use]
    pub fn context(&self) -> &Path {
        &self.context
    }

    /// Level of the node's TPM.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.cell.level
    }

    /// Shows monitoring what there is, where the configuration wants that; answers the TCP address, if there is one.
    ///
    /// # Errors
    /// Where the address or socket can't be had.
    pub async fn show(&self, config: &observe::Config, observed: Observed) -> Result<Option<SocketAddr>> {
        watched::serve(config, observed, &self.readiness, &self.store, &self.log, &self.tasks).await
    }

    /// Comes when the node's TPM has ended by itself.
    pub fn tpm_ended(&self) -> impl Future<Output = TpmEnded> + Send + use<> {
        let ended = self.cell.tpm.ended();
        async move {
            ended.await;
            TpmEnded
        }
    }

    /// Ends everything: enclaves first, then the parts, the TPM last. False when something did not end in time.
    pub async fn stop(self) -> bool {
        self.readiness.drain();
        let drained = self.tasks.drain().await;
        self.cell.close();
        drained
    }
}
