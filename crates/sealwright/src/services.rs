//! One part alone: its configuration file, and its `run`.

use std::fmt::Debug;
use std::path::Path;

use serde::de::DeserializeOwned;
use server::Tasks;

use crate::arguments::{Part, ServiceMode, ServiceOptions};
use crate::exit::ExitCode;
use crate::failure::Failure;

/// Runs one part until it is told to stop, or shows what it would run with.
pub(crate) async fn run(options: ServiceOptions) -> Result<(), Failure> {
    let ServiceOptions { part, config, mode } = options;
    match (part, mode) {
        (Part::Edge, ServiceMode::CheckConfig) => check::<edge::Config>(&config),
        (Part::Edge, ServiceMode::Run) => {
            let config = read::<edge::Config>(&config)?;
            until_signal(|tasks| edge::run(config, tasks)).await
        }
        (
            Part::Gateway | Part::Controller | Part::Agent | Part::Verifier | Part::Signer | Part::Facade,
            ServiceMode::CheckConfig | ServiceMode::Run,
        ) => Err(Failure::new(ExitCode::Failed, "this part does not run alone yet").next("sealwright up")),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
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

/// Prints the effective configuration. It holds paths of secrets, never secrets.
fn check<T: DeserializeOwned + Debug>(path: &Path) -> Result<(), Failure> {
    let config: T = read(path)?;
    crate::output::write(format!("{config:#?}\n").as_bytes())
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
