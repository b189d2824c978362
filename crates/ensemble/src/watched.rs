//! What an operator's monitoring sees of the ensemble: readiness of each part, and numbers from the database.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, Result};
use observe::listener::Shown;
use observe::{Check, Listener, Metrics, Observed, Readiness};
use server::Tasks;
use server::telemetry::chain;
use store::Store;

use crate::Layout;

/// Free bytes of the data folder below which the ensemble is not ready: the enclave log must always find room.
const DISK_RESERVE: u64 = 64 << 20;

/// Binds what the configuration names and answers until the tasks are stopped. The address, where one is bound by TCP.
pub(crate) async fn serve(
    config: &observe::Config,
    observed: Observed,
    readiness: &Readiness,
    store: &Store,
    log: &Path,
    tasks: &Tasks,
) -> Result<Option<std::net::SocketAddr>> {
    let listener = Listener::bind(config).await.context("listen for monitoring")?;
    let address = listener.address();
    let shown = Shown {
        metrics: observed.metrics,
        gauges: gauges(store.clone(), log.to_path_buf()),
        readiness: readiness.clone(),
    };
    listener.serve(&shown, tasks);
    if let Some(exporter) = observed.exporter {
        tasks.spawn_cancellable(exporter.run());
    }
    Ok(address)
}

/// The parts that have to work before users can be served.
pub(crate) fn readiness(layout: &Layout, store: &Store) -> Readiness {
    let database = store.clone();
    let agent = node_api::Admin::new(&layout.admin_socket());
    let (controller, data) = (layout.controller_socket(), layout.root().to_path_buf());
    Readiness::of(vec![
        Check::new("database", move || {
            let store = database.clone();
            async move { store.ping().await.map_err(|error| chain(&error)) }
        }),
        Check::new("node", move || {
            let agent = agent.clone();
            async move { node(&agent).await }
        }),
        Check::new("controller", move || {
            let socket = controller.clone();
            async move {
                tokio::net::UnixStream::connect(socket).await.map(drop).map_err(|error| error.to_string())
            }
        }),
        disk(data),
    ])
}

fn disk(data: PathBuf) -> Check {
    Check::new("disk", move || {
        let free = free_bytes(&data);
        async move {
            match free {
                Ok(free) if free >= DISK_RESERVE => Ok(()),
                Ok(free) => Err(format!("only {} MiB are free in the data folder", free >> 20)),
                Err(error) => Err(error.to_string()),
            }
        }
    })
}

/// The agent answers, and the verifier's word about the node has not run out.
async fn node(agent: &node_api::Admin) -> Result<(), String> {
    let described = agent.node().await.map_err(|error| chain(&error))?;
    match described.verdict_expires {
        Some(until) if until > signer::system_clock()() => Ok(()),
        Some(_) | None => {
            Err("the node has no current verdict: see the log for the verifier's reason".into())
        }
    }
}

fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

fn gauges(store: Store, log: PathBuf) -> observe::listener::Gauges {
    Arc::new(move |metrics: &Metrics| -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (store, metrics, log) = (store.clone(), metrics.clone(), log.clone());
        Box::pin(async move {
            // It ends at 16 MiB, and nothing new starts from nine tenths on.
            if let Ok(metadata) = tokio::fs::metadata(&log).await {
                metrics.set("enclave_log", "bytes", metadata.len());
            }
            match store.counts().await {
                Ok(counts) => {
                    for count in counts {
                        metrics.set(count.kind, &count.state, count.number);
                    }
                }
                Err(error) => tracing::warn!(error = %chain(&error), "no numbers from the database"),
            }
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `/proc` is a file system without room on every machine.
    #[tokio::test]
    async fn a_disk_without_room_makes_it_not_ready() {
        let report = Readiness::of(vec![disk("/proc".into())]).report().await;
        assert_eq!(report.status, "not_ready");
        let [line] = &report.checks[..] else { panic!("one check, one line") };
        assert_eq!((line.name, line.ok), ("disk", false));
        assert_eq!(line.problem.as_deref(), Some("only 0 MiB are free in the data folder"));
        let here = tempfile::tempdir().unwrap();
        assert_eq!(Readiness::of(vec![disk(here.path().into())]).report().await.status, "ready");
    }
}
