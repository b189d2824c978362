//! One part alone: its configuration file, and its `run`.

use std::path::Path;

use anyhow::Context as _;
use ensemble::alone::{self, AgentFile, GatewayFile, SignerFile, VerifierFile};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use server::Tasks;
use store::{DatabaseUrl, Store};
use workload::launch::{FacadeExit, Launch};

use crate::arguments::{Part, ServiceMode, ServiceOptions};
use crate::exit::ExitCode;
use crate::failure::Failure;

/// The controller's file: its own configuration, and the database that it shares with the gateway.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ControllerFile {
    /// A SQLite file's path, or a PostgreSQL URL.
    database: DatabaseUrl,
    /// The rest.
    controller: controller::Config,
}

/// Runs one part until it is told to stop, or shows what it would run with.
pub(crate) async fn run(options: ServiceOptions) -> Result<(), Failure> {
    let ServiceOptions { part, config, mode } = options;
    match mode {
        ServiceMode::CheckConfig => check(part, &config),
        ServiceMode::Run => {
            server::telemetry::init("info");
            // A facade does it by itself, after the agent has looked at it.
            if part != Part::Facade
                && let Err(error) = sandbox::keep_secrets()
            {
                eprintln!("core dumps of this process are possible: {error}");
            }
            run_part(part, &config).await
        }
    }
}

fn check(part: Part, path: &Path) -> Result<(), Failure> {
    match part {
        Part::Gateway => show(&read::<GatewayFile>(path)?),
        Part::Controller => show(&read::<ControllerFile>(path)?),
        Part::Agent => show(&read::<AgentFile>(path)?),
        Part::Edge => show(&read::<edge::Config>(path)?),
        Part::Facade => show(&read::<Launch>(path)?),
        Part::Verifier => show(&read::<VerifierFile>(path)?),
        Part::Signer => show(&read::<SignerFile>(path)?),
    }
}

async fn run_part(part: Part, path: &Path) -> Result<(), Failure> {
    match part {
        Part::Edge => {
            let config = read::<edge::Config>(path)?;
            until_signal(|tasks| edge::run(config, tasks)).await
        }
        Part::Controller => {
            let ControllerFile { database, controller } = read(path)?;
            until_signal(|tasks| run_controller(database, controller, tasks)).await
        }
        Part::Facade => match facade::run_file(path).await {
            FacadeExit::Stopped => Ok(()),
            exit => Err(Failure::new(ExitCode::Failed, format!("the facade ended: {}", exit.reason()))),
        },
        Part::Gateway => {
            let file: GatewayFile = read(path)?;
            until_signal(|tasks| alone::run_gateway(file, tasks)).await
        }
        Part::Agent => {
            let file: AgentFile = read(path)?;
            until_signal(|tasks| alone::run_agent(file, tasks)).await
        }
        Part::Verifier => {
            let file: VerifierFile = read(path)?;
            until_signal(|tasks| alone::run_verifier(file, tasks)).await
        }
        Part::Signer => {
            let file: SignerFile = read(path)?;
            until_signal(|tasks| alone::run_signer(file, tasks)).await
        }
    }
}

async fn run_controller(
    database: DatabaseUrl,
    config: controller::Config,
    tasks: Tasks,
) -> anyhow::Result<()> {
    let store = Store::open(&database).await.with_context(|| format!("open {database}"))?;
    controller::start(config, store, &tasks).await?;
    tasks.stopping().await;
    Ok(())
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    server::config::read(path).map_err(|error| {
        let missing = matches!(&error, server::config::ConfigError::Read { source, .. }
            if source.kind() == std::io::ErrorKind::NotFound);
        let exit = if missing { ExitCode::NotFound } else { ExitCode::Failed };
        let failure = Failure::new(exit, error.to_string());
        match std::error::Error::source(&error) {
            Some(cause) => failure.because(cause.to_string()),
            None => failure,
        }
    })
}

/// Prints the effective configuration, defaults filled in, in a form that can be a configuration file again. It holds
/// paths of secrets, never secrets.
pub(crate) fn show<T: Serialize>(config: &T) -> Result<(), Failure> {
    crate::output::print(crate::arguments::Output::Json, config, String::new)
}

/// Runs a service; SIGINT and SIGTERM let it finish what it does.
async fn until_signal<F>(service: impl FnOnce(Tasks) -> F) -> Result<(), Failure>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let tasks = Tasks::new();
    let stopper = tasks.clone();
    tasks.spawn_cancellable(async move {
        stop_signal().await;
        stopper.stop();
    });
    let outcome = service(tasks.clone()).await;
    tasks.stop();
    tasks.drain().await;
    Ok(outcome?)
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        // Then Ctrl-C is what is left.
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}
