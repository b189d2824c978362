//! The steps of a start and of an end, in their order, and what each leaves behind when it fails.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::enclaves::State;
use api::node::{BindProcess, StartEnclave, StopEnclave};
use names::{Digest, EnclaveId};
use node_api::{Admin, CallError};
use server::telemetry::chain;
use store::{Enclave as Row, Store, StoreError};
use workload::Manifest;

use crate::config::{Config, Failpoint};
use crate::driver::{Driver, Exit, Instance, Plan};
use crate::reason::Reason;
use crate::routes::Routes;
use crate::stages::Stages;

/// Longest time from spawn to the facade's word that it is ready.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// What all operations share.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) agent: Admin,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) routes: Routes,
}

/// A start that did not come to its end: why, and the sentence for people.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

fn failed(reason: Reason, message: impl Into<String>) -> Failed {
    Failed { reason, message: message.into() }
}

fn store_failed(error: &StoreError) -> Failed {
    failed(Reason::Store, format!("the store did not take a change: {}", chain(error)))
}

/// How far a start has come: what must be undone if it ends here.
#[derive(Default)]
pub(crate) struct Attempt {
    /// The incarnation that was announced at the agent.
    pub(crate) announced: Option<u64>,
    /// The incarnation whose process a row names.
    pub(crate) recorded: Option<u64>,
    /// What was started. It is here and not in the future that waits for it, because that may be dropped at any await.
    pub(crate) instance: Option<Box<dyn Instance>>,
}

/// A running enclave.
pub(crate) struct Live {
    pub(crate) instance: Box<dyn Instance>,
    pub(crate) incarnation: u64,
    pub(crate) host: String,
}

impl Parts {
    /// Brings an enclave from its row to `running`, a stage at a time.
    pub(crate) async fn bring_up(
        &self,
        row: &Row,
        stages: &Stages,
        attempt: &mut Attempt,
    ) -> Result<Live, Failed> {
        stages.say("prepare", "making the measured copy of the app's file system", 10);
        let plan = self.plan(row).await?;
        self.config.failpoint(Failpoint::AfterRow);
        let copied = self.driver.prepare(&plan).await;
        copied.map_err(|error| failed(Reason::CopyFailed, chain(&error)))?;
        self.config.failpoint(Failpoint::AfterCopy);

        stages.say("log", "announcing the start in the node's measured log", 40);
        self.announce(&plan, attempt).await?;
        self.config.failpoint(Failpoint::AfterAnnouncement);

        stages.say("spawn", "starting facade and app", 50);
        self.spawn(&plan, attempt).await?;

        stages.say("certify", "the enclave makes its key, attests, and gets its certificate", 70);
        wait_ready(attempt).await?;
        self.config.failpoint(Failpoint::AfterReady);

        let running = self.store.set_state(&row.id, State::Starting, State::Running, None, now()).await;
        running.map_err(|error| store_failed(&error))?;
        let instance = attempt.instance.take().ok_or_else(ended)?;
        self.routes.add(&plan.host, self.driver.address(&row.id));
        stages.say("ready", "the enclave answers", 100);
        Ok(Live { instance, incarnation: plan.incarnation, host: plan.host })
    }

    async fn plan(&self, row: &Row) -> Result<Plan, Failed> {
        let app =
            self.store.app_by_digest(&row.version_digest).await.map_err(|error| store_failed(&error))?;
        let app = app.ok_or_else(|| failed(Reason::VersionMissing, "nobody has published this version"))?;
        let manifest: Manifest = serde_json::from_str(&app.manifest)
            .map_err(|error| failed(Reason::VersionMismatch, format!("the stored manifest: {error}")))?;
        if manifest.digest() != row.version_digest {
            return Err(failed(Reason::VersionMismatch, "the stored manifest has another digest"));
        }
        let incarnation = self.store.next_incarnation(&row.id).await.map_err(|error| store_failed(&error))?;
        Ok(Plan {
            id: row.id,
            incarnation,
            version: row.version_digest,
            manifest,
            host: row.host.clone(),
            owner: row.owner,
        })
    }

    async fn announce(&self, plan: &Plan, attempt: &mut Attempt) -> Result<(), Failed> {
        let facade =
            self.driver.facade_digest().map_err(|error| failed(Reason::NotSpawned, chain(&error)))?;
        attempt.announced = Some(plan.incarnation);
        let start = StartEnclave {
            enclave_id: plan.id,
            incarnation: plan.incarnation,
            version: plan.version,
            instance: instance_digest(plan),
            owner: plan.owner,
            facade,
            dns_name: plan.host.clone(),
        };
        self.agent.start_enclave(&start).await.map_err(|error| failed(Reason::NotAnnounced, chain(&error)))
    }

    async fn spawn(&self, plan: &Plan, attempt: &mut Attempt) -> Result<(), Failed> {
        let started = self.driver.start(plan).await;
        let instance = started.map_err(|error| failed(Reason::NotSpawned, chain(&error)))?;
        let process = instance.process();
        attempt.instance = Some(instance);
        self.config.failpoint(Failpoint::AfterSpawn);
        attempt.recorded = Some(plan.incarnation);
        let recorded = self.store.record_process(&plan.id, plan.incarnation, Some(process)).await;
        recorded.map_err(|error| store_failed(&error))?;
        self.config.failpoint(Failpoint::AfterRecord);
        let bind =
            BindProcess { incarnation: plan.incarnation, pid: process.pid, start_time: process.start_time };
        let bound = self.agent.bind_process(&plan.id, &bind).await;
        bound.map_err(|error| failed(Reason::NotAnnounced, chain(&error)))
    }

    /// Undoes what an attempt left: no announced enclave without a process, no process without a row that says so.
    pub(crate) async fn undo(&self, id: &EnclaveId, mut attempt: Attempt, reason: &str) {
        if let Some(incarnation) = attempt.announced {
            self.retract(id, incarnation, reason).await;
        }
        if let Some(mut instance) = attempt.instance.take() {
            instance.stop().await;
        }
        if let Some(incarnation) = attempt.recorded {
            self.forget_process(id, incarnation).await;
        }
    }

    /// Tells the agent that an enclave ends: from here on there is no evidence for it.
    pub(crate) async fn retract(&self, id: &EnclaveId, incarnation: u64, reason: &str) {
        let stop = StopEnclave { incarnation, reason: reason.to_owned() };
        match self.agent.stop_enclave(id, &stop).await {
            Ok(()) => {}
            // It began after the enclave did, or ended it by itself.
            Err(CallError::Refused { code, .. }) => {
                tracing::debug!(enclave = %id, code, "the agent knows of no such enclave");
            }
            Err(error) => {
                tracing::warn!(enclave = %id, error = %chain(&error), "the agent was not told of an end");
            }
        }
    }

    pub(crate) async fn forget_process(&self, id: &EnclaveId, incarnation: u64) {
        if let Err(error) = self.store.record_process(id, incarnation, None).await {
            tracing::warn!(enclave = %id, error = %chain(&error), "an ended process stays in its row");
        }
    }

    /// Moves a row; a row that has moved meanwhile is left as it is.
    pub(crate) async fn move_row(&self, id: &EnclaveId, from: State, to: State, reason: Option<&str>) {
        if let Err(error) = self.store.set_state(id, from, to, reason, now()).await {
            tracing::warn!(enclave = %id, from = from.as_str(), to = to.as_str(), error = %chain(&error), "row not moved");
        }
    }
}

async fn wait_ready(attempt: &mut Attempt) -> Result<(), Failed> {
    let instance = attempt.instance.as_mut().ok_or_else(ended)?;
    match tokio::time::timeout(READY_DEADLINE, instance.ready()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(exit)) => Err(failed(exit_reason(exit), "it ended before it was ready; see `enclave logs`")),
        Err(_) => Err(failed(Reason::ReadyTimeout, "it was not ready in time; see `enclave logs`")),
    }
}

fn ended() -> Failed {
    failed(Reason::Crashed, "it ended while it was started")
}

/// Why an enclave that ended by itself did.
pub(crate) const fn exit_reason(exit: Exit) -> Reason {
    match exit {
        Exit::Facade(exit) => Reason::Facade(exit),
        Exit::OutOfMemory => Reason::OutOfMemory,
        Exit::Unknown => Reason::Crashed,
    }
}

/// SHA-256 over the resolved environment and the user-given parts: `sealwright/instance/v1`, then texts as u32 length and
/// bytes: the count of variables in decimal, each name and value in the order of names, the host name.
fn instance_digest(plan: &Plan) -> Digest {
    let mut bytes = b"sealwright/instance/v1".to_vec();
    let mut put = |text: &str| {
        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    };
    let env = plan.manifest.env();
    put(&env.len().to_string());
    for (name, value) in env {
        put(name);
        put(value);
    }
    put(&plan.host);
    Digest::of(&bytes)
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
