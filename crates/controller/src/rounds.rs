//! What a controller does again and again: shows that it lives, gives up those that do not, and looks for what there is to do.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use lifecycle::State;
use names::EnclaveId;
use server::telemetry::chain;
use store::{Controller, ControllerId, Desired, Enclave as Row, Process, Store};
use tokio::time::Instant;

use crate::config::Config;
use crate::service::Service;

/// How often it looks for work: wishes that came through other gateways, and enclaves of controllers that are gone.
const SWEEP: Duration = Duration::from_millis(500);
/// Looks for unused copies in the time after which one is removed.
const COPY_LOOKS: u32 = 24;
/// Beats in one lease.
const BEATS: u32 = 3;

/// Says that this controller is at work, and which run of it.
pub(crate) async fn register(config: &Config, store: &Store) -> Result<ControllerId> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("random bytes: {error}"))?;
    let id = ControllerId::from_bytes(bytes);
    let controller =
        Controller { id, node: config.node.clone(), host: host(), process: this_process()?, beat: 0 };
    store.register_controller(&controller).await.context("register the controller")?;
    Ok(id)
}

/// Within which process ids mean something: the boot and the pid namespace.
fn host() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), namespace.display())
}

fn this_process() -> Result<Process> {
    let process = sandbox::Process::of_pid(std::process::id()).context("find the own process")?;
    Ok(Process { pid: process.pid, start_time: process.start_time })
}

/// What is known of the others: the beat that was seen last, and since when.
#[derive(Default)]
pub(crate) struct Others {
    seen: HashMap<ControllerId, (u64, Instant)>,
}

impl Others {
    /// Gives up the controllers of this node that are dead: at once where their process is gone, after the lease where
    /// their beat has stood still.
    pub(crate) async fn bury(&mut self, config: &Config, store: &Store, myself: &ControllerId) -> Result<()> {
        let lease = Duration::from_secs(config.settings.limits.lease);
        let here = host();
        let controllers = store.controllers().await?;
        self.seen.retain(|id, _| controllers.iter().any(|controller| controller.id == *id));
        for other in controllers.iter().filter(|other| other.id != *myself && other.node == config.node) {
            let seen = self.seen.entry(other.id).or_insert((other.beat, Instant::now()));
            if seen.0 != other.beat {
                *seen = (other.beat, Instant::now());
            }
            let still = seen.1.elapsed() >= lease;
            let process = sandbox::Process { pid: other.process.pid, start_time: other.process.start_time };
            // Where it can't be looked at, only its beat counts: a controller that lives is not buried for our trouble.
            let gone = other.host == here && process.is_alive().is_ok_and(|alive| !alive);
            if (still || gone) && store.bury_controller(&other.id, other.beat).await? {
                tracing::warn!(controller = %other.id, gone, "a controller was given up");
            }
        }
        Ok(())
    }
}

/// Beats, and gives up others, until the controller stops.
pub(crate) async fn beat(service: Service, mut others: Others) {
    let config = &service.parts.config;
    let pause = Duration::from_secs(config.settings.limits.lease) / BEATS;
    loop {
        tokio::time::sleep(pause).await;
        let myself = service.parts.myself();
        match service.parts.store.beat(&myself).await {
            Ok(true) => {}
            Ok(false) => service.was_buried().await,
            Err(error) => tracing::warn!(error = %chain(&error), "no beat"),
        }
        if let Err(error) = others.bury(config, &service.parts.store, &service.parts.myself()).await {
            tracing::warn!(error = %chain(error.as_ref()), "other controllers are not seen");
        }
    }
}

/// Looks for work until the controller stops.
pub(crate) async fn sweep(service: Service) {
    let busy = Arc::new(Mutex::new(HashSet::new()));
    loop {
        tokio::time::sleep(SWEEP).await;
        match look(&service).await {
            Ok(rows) => rows.into_iter().for_each(|row| take_up(&service, row, &busy)),
            Err(error) => tracing::warn!(error = %chain(&error), "no look for work"),
        }
    }
}

/// Removes measured copies that no enclave has and none has needed for a while, until the controller stops.
pub(crate) async fn tidy(service: Service) {
    let unused = Duration::from_secs(service.parts.config.settings.limits.unused_copies);
    loop {
        tokio::time::sleep((unused / COPY_LOOKS).max(SWEEP)).await;
        let in_use = match service.parts.store.versions_in_use().await {
            Ok(in_use) => in_use,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "unused copies were not looked for");
                continue;
            }
        };
        let driver = Arc::clone(&service.parts.driver);
        match tokio::task::spawn_blocking(move || driver.sweep(&in_use, unused)).await {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(removed)) => tracing::info!(removed, "unused copies removed"),
            Ok(Err(error)) => tracing::warn!(error = %chain(&error), "an unused copy stays"),
        }
    }
}

pub(crate) async fn look(service: &Service) -> Result<Vec<Row>, store::StoreError> {
    service.parts.store.work(&service.parts.myself(), &service.parts.config.node).await
}

/// Has one enclave's task do what its row says; one that is at it already is let alone.
fn take_up(service: &Service, row: Row, busy: &Arc<Mutex<HashSet<EnclaveId>>>) {
    if !busy.lock().unwrap_or_else(PoisonError::into_inner).insert(row.id) {
        return;
    }
    let (service, busy) = (service.clone(), Arc::clone(busy));
    service.tasks.clone().spawn_cancellable(async move {
        bring_about(&service, &row).await;
        busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&row.id);
    });
}

/// Does what a row says.
pub(crate) async fn bring_about(service: &Service, row: &Row) {
    let comes_up = matches!(row.state, State::Pending | State::Starting | State::Running);
    if row.desired == Desired::Running && comes_up && row.extend_until.is_none() {
        if let Err(why) = service.enclave(row.id).start().await {
            tracing::debug!(enclave = %row.id, ?why, "not started");
        }
        return;
    }
    if let Err(why) = service.enclave(row.id).settle("wish").await {
        tracing::debug!(enclave = %row.id, ?why, "not settled");
    }
    if row.state == State::Deleting {
        service.forget(&row.id).await;
    }
}
