//! The steps of a start and of an end, in their order, and what each leaves behind when it fails.

mod ends;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::node::{BindProcess, StartEnclave, StopEnclave};
use lifecycle::Event;
use names::{Digest, EnclaveId};
use node_api::{Admin, CallError};
pub(crate) use server::clock::now;
use server::telemetry::chain;
use store::{By, Claim, ControllerId, Desired, Enclave as Row, Note, Store, StoreError};
use tracing::{Instrument, info_span};
use workload::Manifest;

use crate::config::{Config, Failpoint};
use crate::driver::{Driver, DriverError, Exit, Instance, Plan};
use crate::reason::Reason;
use crate::routes::Routes;
use crate::stages::Stages;
use crate::starts::{Starts, Turn, Waiting};

/// Longest time from spawn to the facade's word that it is ready.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long the agent may take to hear of an end: what can't be told is ended all the same.
const RETRACT_DEADLINE: Duration = Duration::from_secs(10);

/// How soon the store is asked again that did not take the end of something.
const STORE_AGAIN: Duration = Duration::from_millis(500);

/// How often a place in the queue is told, at most.
const QUEUE_NEWS: Duration = Duration::from_millis(500);

/// What all operations share.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) agent: Admin,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) routes: Routes,
    pub(crate) starts: Starts,
    /// This run; another one after it was given up by others.
    pub(crate) myself: Mutex<ControllerId>,
}

/// A start that did not come to its end: why, and the sentence for people.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) reason: Reason,
    pub(crate) cause: Option<String>,
    pub(crate) message: String,
}

impl Failed {
    pub(crate) fn note(&self) -> Note {
        Note {
            reason: Some(self.reason.code().to_owned()),
            cause: self.cause.clone(),
            ..Note::stage("failed", &self.message, 100)
        }
    }

    fn because(self, cause: Option<&str>) -> Self {
        Self { cause: cause.map(str::to_owned), ..self }
    }
}

pub(crate) fn failed(reason: Reason, message: impl Into<String>) -> Failed {
    Failed { reason, cause: None, message: message.into() }
}

pub(crate) fn store_failed(error: &StoreError) -> Failed {
    match error {
        StoreError::WrongState => failed(Reason::Cancelled, "it was stopped while it started"),
        StoreError::ClaimLost => failed(Reason::TakenOver, "another controller has taken it over"),
        _ => failed(Reason::Store, format!("the store did not take a change: {}", chain(error))),
    }
}

fn driver_failed(reason: Reason, error: &DriverError) -> Failed {
    failed(reason, chain(error)).because(error.cause())
}

pub(crate) fn agent_failed(error: &CallError) -> Failed {
    match error {
        CallError::Refused { code, .. } if code == LOG_FULL => failed(Reason::LogFull, chain(error)),
        CallError::Refused { code, .. } => failed(Reason::NotAnnounced, chain(error)).because(Some(code)),
        CallError::Connect { .. }
        | CallError::Http(_)
        | CallError::Body(_)
        | CallError::Deadline
        | CallError::Form(_) => failed(Reason::NotAnnounced, chain(error)).because(Some("agent-unreachable")),
    }
}

/// The agent's code for a log that has no room for another start.
const LOG_FULL: &str = "log_full";

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

/// What a start brings about.
pub(crate) struct Started {
    pub(crate) instance: Box<dyn Instance>,
    pub(crate) incarnation: u64,
    pub(crate) host: String,
}

impl Parts {
    pub(crate) fn myself(&self) -> ControllerId {
        *self.myself.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies an event to a claimed row.
    pub(crate) async fn change(
        &self,
        id: &EnclaveId,
        claim: &Claim,
        event: Event,
        note: &Note,
    ) -> Result<(), StoreError> {
        self.store.change(id, By::Claim(claim), event, note, now()).await.map(drop)
    }

    /// The same where nothing depends on it; a row that has moved meanwhile is left as it is.
    pub(crate) async fn note_change(&self, id: &EnclaveId, claim: &Claim, event: Event, note: &Note) {
        if let Err(error) = self.change(id, claim, event, note).await {
            tracing::warn!(enclave = %id, ?event, error = %chain(&error), "row not moved");
        }
    }

    /// Writes down how it ended, however long the store takes: nobody looks at a row again that says of an enclave which has ended
    /// that this controller starts or runs it.
    pub(crate) async fn note_end(&self, id: &EnclaveId, claim: &Claim, event: Event, note: &Note) {
        loop {
            match self.change(id, claim, event, note).await {
                Ok(()) => return,
                Err(error) if error.may_pass() => {
                    tracing::warn!(enclave = %id, ?event, error = %chain(&error), "row not moved yet");
                    tokio::time::sleep(STORE_AGAIN).await;
                }
                Err(error) => {
                    tracing::warn!(enclave = %id, ?event, error = %chain(&error), "row not moved");
                    return;
                }
            }
        }
    }

    /// Brings an enclave whose turn has come to `running`, a stage at a time.
    pub(crate) async fn bring_up(
        &self,
        row: &Row,
        claim: &Claim,
        stages: &Stages,
        attempt: &mut Attempt,
    ) -> Result<Started, Failed> {
        let stage = async |event, name, message, progress: u32| {
            let note = Note::stage(name, message, progress.into());
            self.change(&row.id, claim, event, &note).await.map_err(|error| store_failed(&error))?;
            stages.say(name, message, progress);
            Ok::<_, Failed>(())
        };
        stage(Event::Begin, "prepare", "making the measured copy of the app's file system", 10).await?;
        self.check_license(row).await?;
        let plan = self.plan(row, claim).await?;
        self.config.failpoint(Failpoint::AfterRow);
        let copied = self.driver.prepare(&plan).instrument(info_span!("measured copy")).await;
        copied.map_err(|error| driver_failed(Reason::not_prepared(&error), &error))?;
        self.config.failpoint(Failpoint::AfterCopy);

        stage(Event::Progress, "log", "announcing the start in the node's measured log", 40).await?;
        self.announce(&plan, attempt).await?;
        self.config.failpoint(Failpoint::AfterAnnouncement);

        stage(Event::Progress, "spawn", "starting facade and app", 50).await?;
        self.spawn(&plan, claim, attempt).await?;

        stage(Event::Progress, "certify", "the enclave makes its key, attests, and gets its certificate", 70)
            .await?;
        wait_ready(attempt).instrument(info_span!("wait for the facade")).await?;
        self.config.failpoint(Failpoint::AfterReady);

        let note = Note::stage("ready", "the enclave answers", 100);
        self.change(&row.id, claim, Event::Ready, &note).await.map_err(|error| store_failed(&error))?;
        let instance = attempt.instance.take().ok_or_else(ended)?;
        self.routes.add(&plan.host, self.driver.address(&row.id));
        stages.say("ready", "the enclave answers", 100);
        Ok(Started { instance, incarnation: plan.incarnation, host: plan.host })
    }

    async fn plan(&self, row: &Row, claim: &Claim) -> Result<Plan, Failed> {
        let app =
            self.store.app_by_digest(&row.version_digest).await.map_err(|error| store_failed(&error))?;
        let app = app.ok_or_else(|| failed(Reason::VersionMissing, "nobody has published this version"))?;
        let manifest: Manifest = serde_json::from_str(&app.manifest)
            .map_err(|error| failed(Reason::VersionMismatch, format!("the stored manifest: {error}")))?;
        if manifest.digest() != row.version_digest {
            return Err(failed(Reason::VersionMismatch, "the stored manifest has another digest"));
        }
        let incarnation = self.store.next_incarnation(&row.id, claim).await;
        Ok(Plan {
            id: row.id,
            incarnation: incarnation.map_err(|error| store_failed(&error))?,
            version: row.version_digest,
            manifest,
            host: row.host.clone(),
            owner: row.owner,
            trace: server::trace::current(),
        })
    }

    async fn announce(&self, plan: &Plan, attempt: &mut Attempt) -> Result<(), Failed> {
        let facade =
            self.driver.facade_digest().map_err(|error| driver_failed(Reason::NotSpawned, &error))?;
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
        self.agent.start_enclave(&start).await.map_err(|error| agent_failed(&error))
    }

    async fn spawn(&self, plan: &Plan, claim: &Claim, attempt: &mut Attempt) -> Result<(), Failed> {
        let started = self.driver.start(plan).await;
        let instance = started.map_err(|error| driver_failed(Reason::NotSpawned, &error))?;
        let process = instance.process();
        attempt.instance = Some(instance);
        self.config.failpoint(Failpoint::AfterSpawn);
        attempt.recorded = Some(plan.incarnation);
        let recorded = self.store.record_process(&plan.id, claim, plan.incarnation, Some(process)).await;
        recorded.map_err(|error| store_failed(&error))?;
        self.config.failpoint(Failpoint::AfterRecord);
        let bind =
            BindProcess { incarnation: plan.incarnation, pid: process.pid, start_time: process.start_time };
        self.agent.bind_process(&plan.id, &bind).await.map_err(|error| agent_failed(&error))
    }

    /// Undoes what an attempt left: no announced enclave without a process, no process without a row that says so.
    pub(crate) async fn undo(&self, id: &EnclaveId, claim: &Claim, mut attempt: Attempt, reason: &str) {
        if let Some(incarnation) = attempt.announced {
            self.retract(id, incarnation, reason).await;
        }
        if let Some(mut instance) = attempt.instance.take() {
            let grace = Duration::from_secs(self.config.settings.limits.deadlines.stop);
            if tokio::time::timeout(grace, instance.stop()).await.is_err() {
                tracing::error!(enclave = %id, "what was started did not end");
                return;
            }
        }
        if let Some(incarnation) = attempt.recorded {
            self.forget_process(id, claim, incarnation).await;
        }
    }

    /// Tells the agent that an enclave ends: from here on there is no evidence for it.
    pub(crate) async fn retract(&self, id: &EnclaveId, incarnation: u64, reason: &str) {
        let stop = StopEnclave { incarnation, reason: reason.to_owned() };
        match tokio::time::timeout(RETRACT_DEADLINE, self.agent.stop_enclave(id, &stop)).await {
            Ok(Ok(())) => {}
            // It began after the enclave did, or ended it by itself.
            Ok(Err(CallError::Refused { code, .. })) => {
                tracing::debug!(enclave = %id, code, "the agent knows of no such enclave");
            }
            Ok(Err(error)) => {
                tracing::warn!(enclave = %id, error = %chain(&error), "the agent was not told of an end");
            }
            Err(_) => tracing::warn!(enclave = %id, "the agent did not hear of an end in time"),
        }
    }

    pub(crate) async fn forget_process(&self, id: &EnclaveId, claim: &Claim, incarnation: u64) {
        if let Err(error) = self.store.record_process(id, claim, incarnation, None).await {
            tracing::warn!(enclave = %id, error = %chain(&error), "an ended process stays in its row");
        }
    }
}

async fn wait_ready(attempt: &mut Attempt) -> Result<(), Failed> {
    let instance = attempt.instance.as_mut().ok_or_else(ended)?;
    match tokio::time::timeout(READY_DEADLINE, instance.ready()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(exit)) => Err(exit_failed(exit, instance.cause())),
        Err(_) => Err(failed(Reason::ReadyTimeout, "it was not ready in time; see `enclave logs`")),
    }
}

fn ended() -> Failed {
    failed(Reason::Crashed, "it ended while it was started")
}

/// Why an enclave that ended by itself did, as a code and a sentence.
pub(crate) fn exit_failed(exit: Exit, cause: Option<String>) -> Failed {
    let reason = exit_reason(exit);
    let what = reason.sentence();
    let message = match &cause {
        Some(cause) => format!("{what}: {cause}; see `enclave logs`"),
        None => format!("{what}; see `enclave logs`"),
    };
    Failed { reason, cause, message }
}

const fn exit_reason(exit: Exit) -> Reason {
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

impl Parts {
    /// Waits for the turn, and tells every other place meanwhile.
    pub(crate) async fn wait_for_turn(
        &self,
        id: &EnclaveId,
        claim: &Claim,
        waiting: &Waiting,
        stages: &Stages,
    ) -> Result<Turn, Failed> {
        let mut last = None;
        loop {
            match waiting.news(last).await {
                Ok(turn) => return Ok(turn),
                Err(place) => {
                    let message = format!("waits for its turn: {} of {}", place.position, place.size);
                    let note = Note::stage("queue", &message, 0);
                    self.store.tell(id, claim, &note, now()).await.map_err(|error| store_failed(&error))?;
                    stages.say("queue", &message, 0);
                    last = Some(place);
                    // A long queue moves often; its end is what people wait for.
                    tokio::time::sleep(QUEUE_NEWS).await;
                }
            }
        }
    }

    /// Whether its user wants it to run. Where the store does not say, nobody has said otherwise.
    pub(crate) async fn is_wanted(&self, id: &EnclaveId) -> bool {
        match self.store.enclave(id).await {
            Ok(Some(row)) => row.desired == Desired::Running,
            Ok(None) => false,
            Err(_) => true,
        }
    }
}
