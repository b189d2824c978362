//! Starts on their way, and who watches them. A start runs whether somebody watches or not, and watching starts nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::Code;
use api::enclaves::{Stage, State as EnclaveState};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use names::EnclaveId;
use server::telemetry::chain;
use tokio::sync::watch;

use crate::controller::ControllerError;
use crate::enclaves::find;
use crate::extract::Caller;
use crate::refusal::Refusal;
use crate::shared::{Shared, now};

/// Stages kept of one start.
const STAGES: usize = 64;
/// Characters of a stage's message.
const MESSAGE: usize = 500;
/// How long one start may take.
const START_DEADLINE: Duration = Duration::from_secs(600);
/// Tries to reach a controller that does not answer, and the pause between them.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);
/// How often the store is asked about a start that another process has begun.
const LOOK: Duration = Duration::from_millis(500);

type Seen = watch::Receiver<Vec<Stage>>;

/// The starts that this process knows of.
#[derive(Default)]
pub(crate) struct Stages {
    running: Mutex<HashMap<EnclaveId, Seen>>,
}

impl Stages {
    /// Begins the list of a new start; an older one's watchers keep what they have.
    fn begin(&self, id: EnclaveId) -> watch::Sender<Vec<Stage>> {
        let (sender, receiver) = watch::channel(Vec::new());
        self.lock().insert(id, receiver);
        sender
    }

    /// Forgets this list, not a newer one.
    fn end(&self, id: &EnclaveId, stages: &watch::Sender<Vec<Stage>>) {
        let mut running = self.lock();
        if running.get(id).is_some_and(|seen| seen.same_channel(&stages.subscribe())) {
            running.remove(id);
        }
    }

    fn of(&self, id: &EnclaveId) -> Option<Seen> {
        self.lock().get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EnclaveId, Seen>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the controller start the enclave, in the background.
pub(crate) fn bring_up(shared: &Arc<Shared>, id: EnclaveId) {
    let stages = shared.stages.begin(id);
    let task = Arc::clone(shared);
    shared.tasks.spawn_cancellable(async move {
        let ended = tokio::time::timeout(START_DEADLINE, start(&task, &id, &stages)).await;
        let failure = match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::warn!(enclave = %id, error = %chain(&error), "start");
                Some(reason(&error))
            }
            Err(_) => Some("start_timeout"),
        };
        if let Some(reason) = failure {
            give_up(&task, &id, &stages, reason).await;
        }
        task.stages.end(&id, &stages);
    });
}

/// Calls until the controller has said `ready` or `failed`. A call that breaks off is made again: it joins the start that is on its way.
async fn start(
    shared: &Shared,
    id: &EnclaveId,
    stages: &watch::Sender<Vec<Stage>>,
) -> Result<(), ControllerError> {
    let mut tries = 0;
    loop {
        let error = match follow_call(shared, id, stages).await {
            Ok(()) => return Ok(()),
            Err(error @ (ControllerError::Unavailable(_) | ControllerError::Deadline)) => error,
            Err(error) => return Err(error),
        };
        tries += 1;
        if tries >= TRIES {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow_call(
    shared: &Shared,
    id: &EnclaveId,
    stages: &watch::Sender<Vec<Stage>>,
) -> Result<(), ControllerError> {
    let mut stream = shared.controller.start(id).await?;
    while let Some(stage) = stream.message().await? {
        let stage = Stage {
            seq: 0,
            name: stage.name,
            message: stage.message.chars().take(MESSAGE).collect(),
            reason: Some(stage.reason).filter(|reason| !reason.is_empty()),
            cause: None,
            progress: stage.progress.min(100),
            queue_position: None,
            queue_size: None,
        };
        let last = is_last(&stage);
        push(stages, stage);
        if last {
            return Ok(());
        }
    }
    Err(ControllerError::Unavailable(Box::new(tonic::Status::unavailable(
        "the stages ended before the last one",
    ))))
}

/// The controller has not taken it: the row says so, unless the controller has changed it meanwhile.
async fn give_up(shared: &Shared, id: &EnclaveId, stages: &watch::Sender<Vec<Stage>>, reason: &'static str) {
    let failed =
        shared.store.set_state(id, EnclaveState::Pending, EnclaveState::Failed, Some(reason), now()).await;
    if let Err(error) = failed {
        tracing::debug!(enclave = %id, error = %chain(&error), "not marked as failed");
    }
    push(stages, failed_stage(Some(reason.to_owned())));
}

fn reason(error: &ControllerError) -> &'static str {
    match error {
        ControllerError::Unavailable(_) => "controller_unavailable",
        ControllerError::Deadline => "start_timeout",
        ControllerError::WrongState(_) => "wrong_state",
        ControllerError::NotFound => "not_found",
        ControllerError::Refused(_) => "controller_refused",
    }
}

/// `GET /v1/enclaves/{name}/stages`
pub(crate) async fn follow(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let enclave = find(&shared, &caller, path).await?;
    let seen = match shared.stages.of(&enclave.id) {
        Some(seen) => seen,
        None => from_store(&shared, &enclave)?,
    };
    Ok(Sse::new(events(seen)).keep_alive(KeepAlive::default()))
}

/// Stages of a start that this process has not begun: what the row says, until it says the last.
fn from_store(shared: &Arc<Shared>, enclave: &store::Enclave) -> Result<Seen, Refusal> {
    match enclave.state {
        EnclaveState::Running | EnclaveState::Failed => Ok(watch::channel(vec![summary(enclave)]).1),
        EnclaveState::Pending | EnclaveState::Starting => {
            let id = enclave.id;
            let stages = shared.stages.begin(id);
            let seen = stages.subscribe();
            let task = Arc::clone(shared);
            shared.tasks.spawn_cancellable(async move {
                // The outcome is in the list; a timeout only ends it.
                let _ = tokio::time::timeout(START_DEADLINE, watch_row(&task, &id, &stages)).await;
                task.stages.end(&id, &stages);
            });
            Ok(seen)
        }
        EnclaveState::Stopping | EnclaveState::Stopped | EnclaveState::Deleting | EnclaveState::Deleted => {
            Err(Refusal::new(Code::WrongState, "the enclave is stopped"))
        }
    }
}

async fn watch_row(shared: &Shared, id: &EnclaveId, stages: &watch::Sender<Vec<Stage>>) {
    loop {
        let stage = match shared.store.enclave(id).await {
            Ok(Some(enclave)) => summary(&enclave),
            Ok(None) => failed_stage(Some("not_found".into())),
            Err(_) => failed_stage(Some("internal".into())),
        };
        let last = is_last(&stage);
        if stages.borrow().last() != Some(&stage) {
            push(stages, stage);
        }
        if last {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn summary(enclave: &store::Enclave) -> Stage {
    let stage = |name: &str, message: &str, progress| Stage {
        seq: 0,
        name: name.into(),
        message: message.into(),
        reason: None,
        cause: None,
        progress,
        queue_position: None,
        queue_size: None,
    };
    match enclave.state {
        EnclaveState::Pending => stage("prepare", "waits for its start", 0),
        EnclaveState::Starting => stage("spawn", "starts", 50),
        EnclaveState::Running => stage("ready", "answers", 100),
        EnclaveState::Failed => failed_stage(enclave.reason.clone()),
        EnclaveState::Stopping | EnclaveState::Stopped | EnclaveState::Deleting | EnclaveState::Deleted => {
            failed_stage(Some("stopped".into()))
        }
    }
}

fn failed_stage(reason: Option<String>) -> Stage {
    Stage {
        seq: 0,
        name: "failed".into(),
        message: "the start has failed".into(),
        reason,
        cause: None,
        progress: 100,
        queue_position: None,
        queue_size: None,
    }
}

fn is_last(stage: &Stage) -> bool {
    stage.name == "ready" || stage.name == "failed"
}

fn push(stages: &watch::Sender<Vec<Stage>>, stage: Stage) {
    stages.send_modify(|list| {
        if list.len() < STAGES || is_last(&stage) {
            list.push(stage);
        }
    });
}

/// All stages from the first on, each once; ends with the list.
fn events(seen: Seen) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((seen, 0usize), |(mut seen, sent)| async move {
        loop {
            let next = seen.borrow_and_update().get(sent).cloned();
            if let Some(stage) = next {
                let data = serde_json::to_string(&stage).unwrap_or_default();
                return Some((Ok(Event::default().data(data)), (seen, sent + 1)));
            }
            // No value is lost: a list that has grown counts as changed also after its writer has gone.
            let ended = seen.changed().await.is_err();
            if ended {
                return None;
            }
        }
    })
}
