//! One task for each enclave: it alone starts, watches and ends it, so that nothing is done twice.

use std::sync::Arc;

use api::enclaves::State;
use names::EnclaveId;
use server::Tasks;
use store::Desired;
use tokio::sync::{mpsc, oneshot};

use crate::operations::{Attempt, Failed, Live, Parts, exit_reason};
use crate::reason::Reason;
use crate::stages::Stages;

/// Commands that may wait for one enclave.
const WAITING: usize = 16;

/// What may be asked of an enclave's task.
enum Command {
    Start(oneshot::Sender<Result<Stages, Unstartable>>),
    Stop { reason: String, done: oneshot::Sender<()> },
}

/// Why a start is not even tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unstartable {
    /// There is no such row.
    NotFound,
    /// Its user does not want it to run.
    NotWanted,
    /// The store does not answer.
    Store,
    /// The controller is stopping.
    Stopping,
}

/// A way to an enclave's task.
#[derive(Clone)]
pub(crate) struct Enclave {
    commands: mpsc::Sender<Command>,
}

impl Enclave {
    pub(crate) fn follow(id: EnclaveId, parts: Arc<Parts>, tasks: &Tasks) -> Self {
        let (commands, queue) = mpsc::channel(WAITING);
        let stopping = tasks.stopping();
        tasks.spawn(async move {
            let mut keeper = Keeper { id, parts, queue, live: None, stages: Stages::new() };
            tokio::select! {
                () = keeper.work() => {}
                () = stopping => {}
            }
            keeper.end_with_the_controller().await;
        });
        Self { commands }
    }

    /// Starts the enclave, or joins a start, or finds it running.
    pub(crate) async fn start(&self) -> Result<Stages, Unstartable> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Start(reply)).await.map_err(|_| Unstartable::Stopping)?;
        answer.await.map_err(|_| Unstartable::Stopping)?
    }

    /// Ends the enclave and waits until it has ended.
    pub(crate) async fn stop(&self, reason: &str) -> Result<(), Unstartable> {
        let (done, answer) = oneshot::channel();
        let stop = Command::Stop { reason: reason.to_owned(), done };
        self.commands.send(stop).await.map_err(|_| Unstartable::Stopping)?;
        answer.await.map_err(|_| Unstartable::Stopping)
    }
}

struct Keeper {
    id: EnclaveId,
    parts: Arc<Parts>,
    queue: mpsc::Receiver<Command>,
    live: Option<Live>,
    stages: Stages,
}

enum Event {
    Command(Option<Command>),
    Ended(Reason),
}

impl Keeper {
    async fn work(&mut self) {
        loop {
            let event = match &mut self.live {
                None => Event::Command(self.queue.recv().await),
                Some(live) => tokio::select! {
                    command = self.queue.recv() => Event::Command(command),
                    exit = live.instance.ended() => Event::Ended(exit_reason(exit)),
                },
            };
            match event {
                Event::Command(None) => return,
                Event::Command(Some(Command::Start(reply))) => self.start(reply).await,
                Event::Command(Some(Command::Stop { reason, done })) => {
                    self.stop(&reason).await;
                    // Who asked may have gone; the enclave has ended all the same.
                    done.send(()).ok();
                }
                Event::Ended(reason) => self.ended_by_itself(reason).await,
            }
        }
    }

    async fn start(&mut self, reply: oneshot::Sender<Result<Stages, Unstartable>>) {
        if self.live.is_some() {
            reply.send(Ok(self.stages.clone())).ok();
            return;
        }
        let row = match self.parts.store.enclave(&self.id).await {
            Ok(Some(row)) => row,
            Ok(None) => return drop(reply.send(Err(Unstartable::NotFound))),
            Err(_) => return drop(reply.send(Err(Unstartable::Store))),
        };
        if row.desired != Desired::Running {
            return drop(reply.send(Err(Unstartable::NotWanted)));
        }
        let now = crate::operations::now();
        if self.parts.store.set_state(&self.id, row.state, State::Starting, None, now).await.is_err() {
            return drop(reply.send(Err(Unstartable::NotWanted)));
        }
        self.stages = Stages::new();
        reply.send(Ok(self.stages.clone())).ok();
        self.try_start(&row).await;
    }

    /// Brings it up, while listening for whoever joins or cancels.
    async fn try_start(&mut self, row: &store::Enclave) {
        let mut attempt = Attempt::default();
        let mut cancelled = None;
        let outcome = {
            let bring_up = self.parts.bring_up(row, &self.stages, &mut attempt);
            tokio::pin!(bring_up);
            loop {
                tokio::select! {
                    outcome = &mut bring_up => break outcome,
                    command = self.queue.recv() => match command {
                        Some(Command::Start(reply)) => drop(reply.send(Ok(self.stages.clone()))),
                        Some(Command::Stop { reason, done }) => {
                            cancelled = Some((reason, done));
                            let message = "it was stopped while it started".to_owned();
                            break Err(Failed { reason: Reason::Cancelled, message });
                        }
                        None => {
                            let message = "the controller is stopping".to_owned();
                            break Err(Failed { reason: Reason::Cancelled, message });
                        }
                    },
                }
            }
        };
        match outcome {
            Ok(live) => {
                tracing::info!(enclave = %self.id, incarnation = live.incarnation, "running");
                self.live = Some(live);
            }
            Err(Failed { reason, message }) => {
                tracing::warn!(enclave = %self.id, reason = reason.code(), message, "not started");
                self.parts.undo(&self.id, attempt, reason.code()).await;
                let code = Some(reason.code());
                self.parts.move_row(&self.id, State::Starting, State::Failed, code).await;
                self.stages.failed(reason, &message);
            }
        }
        if let Some((reason, done)) = cancelled {
            self.stop(&reason).await;
            done.send(()).ok();
        }
    }

    /// No more evidence, no more route, then the end of the processes.
    async fn stop(&mut self, reason: &str) {
        if let Some(mut live) = self.live.take() {
            self.parts.move_row(&self.id, State::Running, State::Stopping, None).await;
            self.parts.retract(&self.id, live.incarnation, reason).await;
            self.parts.routes.remove(&live.host);
            live.instance.stop().await;
            self.parts.forget_process(&self.id, live.incarnation).await;
            self.parts.move_row(&self.id, State::Stopping, State::Stopped, None).await;
            tracing::info!(enclave = %self.id, reason, "stopped");
            return;
        }
        let Ok(Some(row)) = self.parts.store.enclave(&self.id).await else { return };
        match row.state {
            State::Stopped | State::Deleting | State::Deleted => {}
            State::Pending | State::Failed | State::Stopping => {
                self.parts.move_row(&self.id, row.state, State::Stopped, None).await;
            }
            State::Starting | State::Running => {
                self.parts.move_row(&self.id, row.state, State::Stopping, None).await;
                self.parts.move_row(&self.id, State::Stopping, State::Stopped, None).await;
            }
        }
    }

    async fn ended_by_itself(&mut self, reason: Reason) {
        let Some(live) = self.live.take() else { return };
        tracing::warn!(enclave = %self.id, reason = reason.code(), "ended by itself");
        self.parts.routes.remove(&live.host);
        self.parts.retract(&self.id, live.incarnation, reason.code()).await;
        self.parts.forget_process(&self.id, live.incarnation).await;
        self.parts.move_row(&self.id, State::Running, State::Failed, Some(reason.code())).await;
    }

    /// The controller stops: the enclave ends, its row stays, so that the next start brings it back.
    async fn end_with_the_controller(&mut self) {
        if let Some(mut live) = self.live.take() {
            self.parts.routes.remove(&live.host);
            live.instance.stop().await;
            self.parts.forget_process(&self.id, live.incarnation).await;
        }
    }
}
