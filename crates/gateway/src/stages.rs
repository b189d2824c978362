//! Starts on their way, and who watches them. A start runs whether somebody watches or not, and watching starts nothing.
//!
//! What is told comes from the enclave's events in the store, so every gateway tells the same, and a watcher that comes
//! back goes on where it was. A start that this gateway follows itself wakes its watchers; others are looked for.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::Code;
use api::enclaves::{Stage, State as EnclaveState};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};
use lifecycle::Event as LifeEvent;
use names::EnclaveId;
use server::telemetry::chain;
use store::{By, EnclaveEvent, Note};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use crate::controller::ControllerError;
use crate::enclaves::find;
use crate::extract::Caller;
use crate::refusal::Refusal;
use crate::shared::{Shared, now};

/// How long one start is followed, its time in the queue included.
const START_DEADLINE: Duration = Duration::from_secs(1800);
/// Tries to reach a controller that does not answer, and the pause between them.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);
/// How often the store is asked about a start that another process follows.
const LOOK: Duration = Duration::from_millis(400);
/// Events that are read at once.
const EVENTS: u32 = 64;
/// What a browser sends when it comes back (HTML, 9.2).
const LAST_EVENT_ID: &str = "last-event-id";

/// As every other answer it is not stored; and nginx would collect events otherwise.
const AS_IT_COMES: [(HeaderName, HeaderValue); 2] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
];

/// The starts that this process follows, to wake who watches them.
#[derive(Default)]
pub(crate) struct Stages {
    running: Mutex<HashMap<EnclaveId, watch::Sender<()>>>,
}

impl Stages {
    fn begin(&self, id: EnclaveId) -> watch::Sender<()> {
        let sender = watch::channel(()).0;
        self.lock().insert(id, sender.clone());
        sender
    }

    /// Forgets this start, not a newer one.
    fn end(&self, id: &EnclaveId, news: &watch::Sender<()>) {
        let mut running = self.lock();
        if running.get(id).is_some_and(|of| of.same_channel(news)) {
            running.remove(id);
        }
        news.send_replace(());
    }

    fn of(&self, id: &EnclaveId) -> Option<watch::Receiver<()>> {
        self.lock().get(id).map(watch::Sender::subscribe)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<EnclaveId, watch::Sender<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the controller start the enclave, in the background.
pub(crate) fn bring_up(shared: &Arc<Shared>, id: EnclaveId) {
    let news = shared.stages.begin(id);
    let task = Arc::clone(shared);
    let span = server::trace::span_after("follow the start", server::trace::parent().as_deref());
    let follow = async move {
        let ended = tokio::time::timeout(START_DEADLINE, start(&task, &id, &news)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(enclave = %id, error = %chain(&error), "start");
            give_up(&task, &id, &error).await;
        }
        task.stages.end(&id, &news);
    };
    shared.tasks.spawn_cancellable(follow.instrument(span));
}

/// Calls until the controller has said `ready` or `failed`. A call that breaks off is made again: it joins the start that is on its way.
async fn start(shared: &Shared, id: &EnclaveId, news: &watch::Sender<()>) -> Result<(), ControllerError> {
    let mut tries = 0;
    loop {
        let error = match follow_call(shared, id, news).await {
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
    news: &watch::Sender<()>,
) -> Result<(), ControllerError> {
    let mut stream = shared.controller.start(id).await?;
    while let Some(stage) = stream.message().await? {
        news.send_replace(());
        if matches!(stage.name.as_str(), "ready" | "failed") {
            return Ok(());
        }
    }
    Err(ControllerError::Unavailable(Box::new(tonic::Status::unavailable(
        "the stages ended before the last one",
    ))))
}

/// No controller has taken it: the row says so, unless one has it meanwhile, or its user wants something else.
async fn give_up(shared: &Shared, id: &EnclaveId, error: &ControllerError) {
    let (reason, message) = match error {
        ControllerError::Unavailable(_) | ControllerError::Deadline => {
            ("controller_unavailable", "server operations do not answer")
        }
        // The controller has written why.
        ControllerError::NoCapacity | ControllerError::WrongState(_) | ControllerError::NotFound => return,
        ControllerError::Refused(_) => ("controller-refused", "server operations refused the start"),
    };
    match shared.store.enclave(id).await {
        Ok(Some(row)) if row.state == EnclaveState::Pending && row.controller.is_none() => {}
        Ok(_) | Err(_) => return,
    }
    let note = Note { reason: Some(reason.into()), ..Note::stage("failed", message, 100) };
    if let Err(error) = shared.store.change(id, By::User, LifeEvent::Fail, &note, now()).await {
        tracing::debug!(enclave = %id, error = %chain(&error), "not marked as failed");
    }
}

/// `GET /v1/enclaves/{name}/stages`
pub(crate) async fn follow(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<([(HeaderName, HeaderValue); 2], Sse<impl Stream<Item = Result<Event, Infallible>>>), Refusal> {
    let enclave = find(&shared, &caller, path).await?;
    let seen = headers.get(LAST_EVENT_ID).map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
    let after = match seen {
        Some(Some(seen)) => seen,
        Some(None) => return Err(Refusal::new(Code::Malformed, "Last-Event-ID is no number of an event")),
        None if is_down(enclave.state) => {
            return Err(Refusal::new(Code::WrongState, "the enclave is stopped"));
        }
        None => shared.store.newest_start(&enclave.id).await?,
    };
    let news = shared.stages.of(&enclave.id);
    let alive = KeepAlive::new().interval(shared.timeouts.silence());
    let watcher = Watcher {
        shared,
        id: enclave.id,
        after,
        read: VecDeque::new(),
        news,
        until: Instant::now() + START_DEADLINE,
        ended: false,
    };
    Ok((AS_IT_COMES, Sse::new(watcher.events()).keep_alive(alive)))
}

const fn is_down(state: EnclaveState) -> bool {
    matches!(
        state,
        EnclaveState::Stopping | EnclaveState::Stopped | EnclaveState::Deleting | EnclaveState::Deleted
    )
}

/// Somebody who watches a start.
struct Watcher {
    shared: Arc<Shared>,
    id: EnclaveId,
    after: u64,
    read: VecDeque<EnclaveEvent>,
    news: Option<watch::Receiver<()>>,
    until: Instant,
    ended: bool,
}

impl Watcher {
    /// All stages after the last one that was seen, each once; ends with the start.
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut watcher| async move {
            let stage = watcher.next().await?;
            let data = serde_json::to_string(&stage).unwrap_or_default();
            let event = Event::default().id(stage.seq.to_string()).data(data);
            Some((Ok(event), watcher))
        })
    }

    async fn next(&mut self) -> Option<Stage> {
        // A gateway that stops ends the stream; the watcher goes on at another one, or here later.
        while !self.ended && Instant::now() < self.until && !self.shared.tasks.is_stopping() {
            if let Some(event) = self.read.pop_front() {
                self.after = event.seq;
                if let Some(stage) = self.stage(event).await {
                    self.ended = is_last(&stage);
                    return Some(stage);
                }
                continue;
            }
            match self.shared.store.enclave_events(&self.id, self.after, EVENTS).await {
                Ok(events) if events.is_empty() => {
                    if let Some(stage) = self.outcome().await {
                        self.ended = true;
                        return Some(stage);
                    }
                    self.wait().await;
                }
                Ok(events) => self.read = events.into(),
                // It may pass; the watcher's own patience ends it.
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
        None
    }

    async fn wait(&mut self) {
        match &mut self.news {
            Some(news) => {
                // Whoever follows the start may have gone.
                if let Ok(Err(_)) = tokio::time::timeout(LOOK, news.changed()).await {
                    self.news = None;
                }
            }
            None => tokio::time::sleep(LOOK).await,
        }
    }

    /// How it ended, where no event tells: after the last one that was seen, or in rows of former versions.
    async fn outcome(&self) -> Option<Stage> {
        let row = match self.shared.store.enclave(&self.id).await {
            Ok(Some(row)) => row,
            Ok(None) => return Some(failed(self.after, "the enclave is gone", Some("not_found".into()))),
            Err(_) => return None,
        };
        if row.event_seq > self.after {
            return None;
        }
        match row.state {
            EnclaveState::Pending | EnclaveState::Starting => None,
            EnclaveState::Running => {
                Some(Stage { name: "ready".into(), ..failed(self.after, "the enclave answers", None) })
            }
            EnclaveState::Failed => {
                let message = row.message.as_deref().unwrap_or("the start has failed");
                Some(Stage { cause: row.cause.clone(), ..failed(self.after, message, row.reason.clone()) })
            }
            EnclaveState::Stopping
            | EnclaveState::Stopped
            | EnclaveState::Deleting
            | EnclaveState::Deleted => {
                Some(failed(self.after, "the enclave is stopped", Some("stopped".into())))
            }
        }
    }

    /// An event as a stage of a start; others are of no interest here.
    async fn stage(&self, event: EnclaveEvent) -> Option<Stage> {
        let stage = Stage {
            seq: event.seq,
            name: event.stage,
            message: event.message,
            reason: event.reason,
            cause: event.cause,
            progress: u32::try_from(event.progress).unwrap_or(100),
            queue_position: None,
            queue_size: None,
        };
        match stage.name.as_str() {
            "pending" | "warning" => None,
            "queue" => {
                let place = self.shared.controller.place(&self.id).await;
                Some(Stage {
                    queue_position: place.map(|(position, _)| position),
                    queue_size: place.map(|(_, size)| size),
                    ..stage
                })
            }
            _ if is_down(event.state) => {
                let reason = Some("stopped".to_owned());
                Some(Stage { name: "failed".into(), reason, progress: 100, ..stage })
            }
            _ => Some(stage),
        }
    }
}

fn failed(seq: u64, message: &str, reason: Option<String>) -> Stage {
    Stage {
        seq,
        name: "failed".into(),
        message: message.into(),
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
