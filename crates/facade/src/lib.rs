//! In each enclave: the TLS key, evidence, owner and token checks, the way to the app.
//!
//! It is the first process of its enclave: it makes the key, has it certified, starts the app and stands before it.
//! It is not a judge of evidence (clients are) and keeps no state: a restart is a new incarnation with a new key.
//! The controller starts it with a [`Launch`] file; the contract is in `workload::launch`.
//!
//! ```text
//! edge --bytes--> front: TLS 1.3, client certificate -+-> evidence: agent, bound to this connection
//!                                                     `-> owner, token -> headers -> proxy -> upstream: the app
//! ```

pub mod activity;
pub mod app;
pub mod body;
pub mod evidence;
pub mod front;
pub mod headers;
pub mod identity;
pub mod limits;
pub mod original;
pub mod proxy;
pub mod refusal;
pub mod session;
pub mod spans;
pub mod tokens;
pub mod tunnel;
pub mod upstream;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use attested_tls::LocalKey;
use node_api::Node;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::Tasks;
use server::telemetry::chain;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tracing::{Instrument, error, info, info_span, warn};
use workload::Endpoint;
use workload::launch::{ACTIVE_LINE, ACTIVE_SECONDS, CAUSE_LINE, FacadeExit, Launch, READY_LINE};

use activity::Activity;
use app::{App, AppError};
use evidence::Desk;
use front::Front;
use identity::{Certifier, Identity};
use limits::Limits;
use proxy::Proxy;
use tokens::Tokens;
use upstream::{Address, Upstream};

/// Only the user that the facade runs as, and root, may connect to it.
const SOCKET_MODE: u32 = 0o600;

/// Reads a launch file and runs it; every way to end has its exit code.
pub async fn run_file(path: &Path) -> FacadeExit {
    match server::config::read(path) {
        Ok(launch) => run(launch).await,
        Err(error) => {
            error!(error = %chain(&error), "configuration");
            FacadeExit::BadConfiguration
        }
    }
}

/// Runs one enclave to its end. To be awaited on the main thread, which the app's life is tied to.
pub async fn run(launch: Launch) -> FacadeExit {
    let told = Ends::listen();
    let span = server::trace::span_after("start facade", launch.trace.as_deref());
    let (app, identity, certifier) = match start(&launch).instrument(span).await {
        Ok(started) => started,
        Err(exit) => return exit,
    };
    let tasks = Tasks::new();
    let exit = match open(&launch, identity, certifier, &tasks) {
        Ok(()) => serve(app, told).await,
        Err(exit) => exit,
    };
    tasks.drain().await;
    info!(exit = exit.reason(), "facade ends");
    exit
}

/// Isolation, key and certificate, the app: all that must be there before the first connection.
async fn start(launch: &Launch) -> Result<(App, Identity, Certifier), FacadeExit> {
    let isolated = isolate(launch);
    isolated
        .inspect_err(|error| error!(error = %chain(error.as_ref()), "isolation"))
        .or(Err(FacadeExit::NotIsolated))?;
    let node = Node::new(Path::new(&launch.agent_socket));
    check_announced(&node, launch).await?;
    // Only now: the agent had to look at this process's executable. The key is made after it.
    sandbox::keep_secrets()
        .inspect_err(|error| error!(%error, "forbid tracing"))
        .or(Err(FacadeExit::NotIsolated))?;
    let key = LocalKey::generate()
        .inspect_err(|error| error!(error = %chain(error), "key"))
        .or(Err(FacadeExit::NotCertified))?;
    info!(custody = key.custody().code(), "key made");
    let certifier = Certifier::new(node, key, launch.dns_name.clone());
    let command = sandbox::app_command(Path::new(sandbox::OWN_PROGRAM), &launch.isolation, &launch.app);
    let command = command.map_err(|error| not_running(&AppError::Spawn(error)))?;
    let started = App::start(command, address(launch), Path::new(&launch.app_log)).await;
    let mut app = started.map_err(|error| not_running(&error))?;
    raise_descriptor_limit();
    // The app starts while the signer works.
    let (certified, listening) = tokio::join!(
        certifier.first().instrument(info_span!("certify")),
        app.listening().instrument(info_span!("app listens"))
    );
    let identity = certified
        .inspect_err(|error| {
            error!(error = %chain(error), "certificate");
            error.code().map(say_cause);
        })
        .or(Err(FacadeExit::NotCertified))?;
    listening.map_err(|error| not_running(&error))?;
    Ok((app, identity, certifier))
}

/// The launch file is the controller's word and is measured by nobody; what it announced before is in the log and in every
/// statement. Serving another owner or name than that is refused.
async fn check_announced(node: &Node, launch: &Launch) -> Result<(), FacadeExit> {
    let announced = node
        .myself()
        .await
        .inspect_err(|error| error!(error = %chain(error), "the agent does not know this enclave"))
        .or(Err(FacadeExit::NotCertified))?;
    let said = (announced.enclave_id, announced.incarnation, announced.owner, announced.dns_name.as_str());
    if said == (launch.enclave_id, launch.incarnation, launch.owner, launch.dns_name.as_str()) {
        return Ok(());
    }
    error!("the launch file names another enclave, owner or name than was announced");
    Err(FacadeExit::BadConfiguration)
}

fn isolate(launch: &Launch) -> Result<(), Box<dyn std::error::Error>> {
    sandbox::prepare_enclave(&launch.isolation, &launch.app.endpoint)?;
    if launch.isolation.own_root {
        sandbox::prepare_root(&launch.isolation, &launch.app)?;
    }
    Ok(())
}

fn not_running(error: &AppError) -> FacadeExit {
    error!(error = %chain(error), "app");
    if let AppError::Ended(ending) = error {
        say_cause(&ending.code());
    }
    match error {
        AppError::Ended(ending) if ending.is_not_isolated() => FacadeExit::NotIsolated,
        AppError::AddressInUse | AppError::Spawn(_) => FacadeExit::AppNotStarted,
        AppError::Ended(ending) if ending.is_not_started() => FacadeExit::AppNotStarted,
        AppError::Ended(_) => FacadeExit::AppEnded,
        AppError::NotListening => FacadeExit::AppNotListening,
    }
}

/// Where the app listens, as this process sees it.
fn address(launch: &Launch) -> Address {
    match &launch.app.endpoint {
        Endpoint::Port(port) => Address::Port(*port),
        Endpoint::Socket(path) => {
            let root = if launch.isolation.own_root { &launch.app.mount_point } else { &launch.app.root };
            Address::Socket { root: PathBuf::from(root), path: PathBuf::from(path.relative()) }
        }
    }
}

/// Each connection and each request at the app takes a descriptor; the usual soft limit is 1024.
/// Called after the app's start, so that the app keeps the limit that it expects.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        warn!(%error, "descriptor limit stays");
    }
}

/// Opens the door and says so.
fn open(launch: &Launch, identity: Identity, certifier: Certifier, tasks: &Tasks) -> Result<(), FacadeExit> {
    let limits = Limits::default();
    let node = Node::new(Path::new(&launch.agent_socket));
    let tokens = Tokens::new(Path::new(&launch.jwks_file), launch.issuer.as_str(), launch.audience.as_str());
    let proxy = Proxy::new(Upstream::new(address(launch)), limits, tasks.clone());
    let activity = proxy.activity();
    let parts = (tokens, Desk::new(node, &limits), proxy);
    let front = Arc::new(Front::new((launch.dns_name.clone(), launch.owner), parts, limits, tasks.clone()));
    let listener = server::unix::listen(Path::new(&launch.listen), SOCKET_MODE)
        .inspect_err(|error| error!(%error, path = launch.listen, "listen"))
        .or(Err(FacadeExit::NotServing))?;
    let (renewed, current) = watch::channel(identity);
    tasks.spawn(front.serve(listener, current));
    tasks.spawn_cancellable(async move { certifier.keep(renewed).await });
    say(READY_LINE).or(Err(FacadeExit::ControllerGone))?;
    tasks.spawn_cancellable(tell_activity(activity));
    Ok(())
}

/// Tells the controller: `workload::launch` lists what may be said.
fn say(line: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush())
}

/// Tells why the enclave ends, below what its exit code says. Nobody may be listening any more.
fn say_cause(code: &str) {
    say(&format!("{CAUSE_LINE}{code}")).ok();
}

/// Tells that the enclave is used, while it is.
async fn tell_activity(activity: Activity) {
    loop {
        tokio::time::sleep(Duration::from_secs(ACTIVE_SECONDS)).await;
        if activity.take() && say(ACTIVE_LINE).is_err() {
            return;
        }
    }
}

/// Waits for whatever ends the enclave.
async fn serve(mut app: App, told: Result<Ends, std::io::Error>) -> FacadeExit {
    let Ok(mut told) = told else { return FacadeExit::NotServing };
    let exit = tokio::select! {
        ending = app.ended() => {
            warn!(%ending, "the app ended");
            say_cause(&ending.code());
            None
        }
        exit = told.end() => Some(exit),
    };
    let Some(exit) = exit else {
        app.printed().await;
        return FacadeExit::AppEnded;
    };
    app.stop().await;
    exit
}

/// What ends a facade from outside.
struct Ends {
    stop: tokio::signal::unix::Signal,
    controller: oneshot::Receiver<()>,
}

impl Ends {
    fn listen() -> Result<Self, std::io::Error> {
        let stop = signal(SignalKind::terminate())?;
        let (gone, controller) = oneshot::channel();
        // Reading standard input can't be cancelled, so it has a thread of its own that dies with the process.
        std::thread::Builder::new().name("controller".to_owned()).spawn(move || {
            let mut ignored = [0u8; 64];
            while std::io::stdin().read(&mut ignored).is_ok_and(|count| count > 0) {}
            gone.send(()).ok();
        })?;
        Ok(Self { stop, controller })
    }

    async fn end(&mut self) -> FacadeExit {
        tokio::select! {
            _ = self.stop.recv() => FacadeExit::Stopped,
            _ = &mut self.controller => FacadeExit::ControllerGone,
        }
    }
}
