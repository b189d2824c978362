//! One task for each enclave: it alone starts, watches and ends it, so that nothing is done twice.
//!
//! What it does is what the row says: commands only tell it to look. It writes only under its claim of the row.

mod answers;
mod leftovers;
mod life;

use std::sync::Arc;

use lifecycle::{Event, Life, State};
use names::EnclaveId;
use server::Tasks;
use store::{Claim, Desired, Enclave as Row, LicenseStop, Note, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::Instrument;

use crate::operations::{Attempt, Failed, Parts, Started, exit_failed, failed, now};
use crate::reason::Reason;
use crate::stages::Stages;
use crate::starts::{Room, Waiting};
use life::Live;

pub(crate) use answers::{Unstartable, Where};

/// Commands that may wait for one enclave.
const WAITING: usize = 16;

/// What may be asked of an enclave's task.
enum Command {
    /// Start it, or join its start, or find it running.
    Start(oneshot::Sender<Result<Stages, Unstartable>>),
    /// Do what its row says.
    Settle { reason: String, done: oneshot::Sender<Where> },
    /// Others have given this controller up: end what runs and write nothing.
    Surrender(oneshot::Sender<Where>),
}

/// A way to an enclave's task.
#[derive(Clone)]
pub(crate) struct Enclave {
    commands: mpsc::Sender<Command>,
    license: watch::Sender<Option<LicenseStop>>,
}

impl Enclave {
    /// Starts the task. `working` is held until it has ended.
    pub(crate) fn follow(id: EnclaveId, parts: Arc<Parts>, tasks: &Tasks, working: mpsc::Sender<()>) -> Self {
        let (commands, queue) = mpsc::channel(WAITING);
        let (license, licensed) = watch::channel(None);
        let stopping = tasks.stopping();
        tasks.spawn(async move {
            let (stages, born) = (Stages::new(), Instant::now());
            let mut keeper = Keeper { id, parts, queue, license: licensed, live: None, stages, born };
            tokio::select! {
                () = keeper.work() => {}
                () = stopping => {}
            }
            keeper.end_with_the_controller().await;
            drop(working);
        });
        Self { commands, license }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Unstartable> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Unstartable::Stopping)?;
        answer.await.map_err(|_| Unstartable::Stopping)
    }

    /// Starts the enclave, or joins a start, or finds it running.
    pub(crate) async fn start(&self) -> Result<Stages, Unstartable> {
        self.ask(Command::Start).await?
    }

    /// Does what the row says, and waits until it is done.
    pub(crate) async fn settle(&self, reason: &str) -> Result<Where, Unstartable> {
        let reason = reason.to_owned();
        self.ask(|done| Command::Settle { reason, done }).await
    }

    /// Its licence will stop it, or will not any more.
    pub(crate) fn license(&self, stop: Option<LicenseStop>) {
        self.license.send_if_modified(|known| std::mem::replace(known, stop) != stop);
    }

    /// Ends what runs and writes nothing.
    pub(crate) async fn surrender(&self) -> Result<Where, Unstartable> {
        self.ask(Command::Surrender).await
    }
}

struct Keeper {
    id: EnclaveId,
    parts: Arc<Parts>,
    queue: mpsc::Receiver<Command>,
    license: watch::Receiver<Option<LicenseStop>>,
    live: Option<Live>,
    stages: Stages,
    born: Instant,
}

enum Happened {
    Command(Option<Command>),
    Ended(Failed),
    Licensed,
    Used,
    Time,
}

impl Keeper {
    /// Seconds of a clock that nobody sets.
    fn clock(&self) -> u64 {
        self.born.elapsed().as_secs()
    }

    async fn work(&mut self) {
        loop {
            let happened = match &mut self.live {
                None => Happened::Command(self.queue.recv().await),
                Some(live) => {
                    let next = live.next(self.born);
                    tokio::select! {
                        command = self.queue.recv() => Happened::Command(command),
                        exit = live.instance.ended() => Happened::Ended(exit_failed(exit, live.instance.cause())),
                        Ok(()) = live.activity.changed() => Happened::Used,
                        Ok(()) = self.license.changed() => Happened::Licensed,
                        () = at(next) => Happened::Time,
                    }
                }
            };
            match happened {
                Happened::Command(None) => return,
                Happened::Command(Some(command)) => self.obey(command).await,
                Happened::Ended(failed) => self.ended_by_itself(failed).await,
                Happened::Licensed => self.look_at_the_license().await,
                Happened::Used | Happened::Time => self.look_at_the_clock().await,
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Start(reply) => self.start(reply).await,
            Command::Settle { reason, done } => {
                let place = self.settle(&reason).await;
                // Who asked may have gone; it is done all the same.
                done.send(place).ok();
            }
            Command::Surrender(done) => {
                self.surrender().await;
                done.send(Where::Here).ok();
            }
        }
    }

    async fn start(&mut self, reply: oneshot::Sender<Result<Stages, Unstartable>>) {
        if self.live.is_some() {
            reply.send(Ok(self.stages.clone())).ok();
            return;
        }
        match self.take_a_place().await {
            Err(why) => drop(reply.send(Err(why))),
            Ok((row, claim, room, waiting)) => {
                self.stages = Stages::new();
                reply.send(Ok(self.stages.clone())).ok();
                let span = server::trace::span_after("start enclave", row.trace.as_deref());
                self.try_start(&row, &claim, room, waiting).instrument(span).await;
            }
        }
    }

    /// Claims the row, ends what a former controller left, and gets in line.
    async fn take_a_place(&self) -> Result<(Row, Claim, Room, Waiting), Unstartable> {
        let (claim, row) = self.claim().await?.ok_or(Unstartable::Elsewhere)?;
        if row.desired != Desired::Running {
            return Err(Unstartable::NotWanted);
        }
        if !self.end_leftovers(&row, &claim).await {
            return Err(Unstartable::LeftOver);
        }
        match row.state {
            State::Pending => {}
            State::Starting | State::Running => {
                let note = Note::stage("pending", "its controller ended; it is started anew", 0);
                self.parts.change(&self.id, &claim, Event::Requeue, &note).await?;
            }
            State::Stopping | State::Stopped | State::Failed | State::Deleting | State::Deleted => {
                return Err(Unstartable::NotWanted);
            }
        }
        match self.parts.starts.enqueue(&row.user, self.id) {
            Ok((room, waiting)) => Ok((row, claim, room, waiting)),
            Err(_) => {
                let full = failed(Reason::NoCapacity, Reason::NoCapacity.sentence());
                self.parts.note_change(&self.id, &claim, Event::Fail, &full.note()).await;
                Err(Unstartable::NoCapacity)
            }
        }
    }

    async fn claim(&self) -> Result<Option<(Claim, Row)>, StoreError> {
        self.parts.store.claim(&self.id, &self.parts.myself(), &self.parts.config.node).await
    }

    /// Brings it up, while listening for whoever joins or cancels, and to the deadlines.
    async fn try_start(&mut self, row: &Row, claim: &Claim, room: Room, waiting: Waiting) {
        let mut attempt = Attempt::default();
        let mut asked = Vec::new();
        let outcome = self.work_on_start(row, claim, waiting, &mut attempt, &mut asked).await;
        match outcome {
            Ok(started) => self.is_up(row, claim, started, room).await,
            Err(failed) => {
                tracing::warn!(enclave = %self.id, reason = failed.reason.code(), message = failed.message, "not started");
                self.parts.undo(&self.id, claim, attempt, failed.reason.code()).await;
                drop(room);
                if failed.reason != Reason::TakenOver {
                    self.came_to_an_end(claim, &failed).await;
                }
                self.stages.failed(&failed);
            }
        }
        for done in asked {
            done.send(Where::Here).ok();
        }
    }

    async fn work_on_start(
        &mut self,
        row: &Row,
        claim: &Claim,
        waiting: Waiting,
        attempt: &mut Attempt,
        asked: &mut Vec<oneshot::Sender<Where>>,
    ) -> Result<Started, Failed> {
        let (parts, stages, born) = (Arc::clone(&self.parts), self.stages.clone(), self.born);
        let deadlines = parts.config.settings.limits.deadlines;
        let mut life = Life::new(self.clock());
        let mut seen = stages.watch();
        let bring_up = async {
            let turn = parts.wait_for_turn(&row.id, claim, &waiting, &stages).await?;
            drop(waiting);
            let started = parts.bring_up(row, claim, &stages, attempt).await;
            drop(turn);
            started
        };
        tokio::pin!(bring_up);
        loop {
            let overdue = life.deadline(&deadlines).map(|(at, _)| at);
            tokio::select! {
                outcome = &mut bring_up => return outcome,
                command = self.queue.recv() => match command {
                    Some(Command::Start(reply)) => drop(reply.send(Ok(stages.clone()))),
                    Some(Command::Settle { done, .. }) => {
                        asked.push(done);
                        if !parts.is_wanted(&row.id).await {
                            return Err(failed(Reason::Cancelled, Reason::Cancelled.sentence()));
                        }
                    }
                    Some(Command::Surrender(done)) => {
                        asked.push(done);
                        return Err(failed(Reason::TakenOver, Reason::TakenOver.sentence()));
                    }
                    None => return Err(failed(Reason::TakenOver, "the controller is stopping")),
                },
                Ok(()) = seen.changed() => {
                    let now = born.elapsed().as_secs();
                    if seen.borrow_and_update().last().is_some_and(|stage| stage.name != "queue") {
                        let event = if life.state == State::Pending { Event::Begin } else { Event::Progress };
                        life = life.on(event, now, &deadlines).map_or(life, |(life, _)| life);
                    }
                }
                () = at(overdue.map(|at| born + std::time::Duration::from_secs(at))) => {
                    let Some((_, overdue)) = life.deadline(&deadlines) else { continue };
                    let reason = Reason::from(overdue);
                    return Err(failed(reason, reason.sentence()));
                }
            }
            // Who asked for what is going on anyway need not wait for its end.
            for done in asked.drain(..) {
                done.send(Where::Here).ok();
            }
        }
    }

    /// A start or an enclave has ended badly, unless somebody wanted its end meanwhile.
    async fn came_to_an_end(&mut self, claim: &Claim, failed: &Failed) {
        if failed.reason == Reason::Cancelled || !self.parts.is_wanted(&self.id).await {
            self.settle(failed.reason.code()).await;
        } else {
            self.parts.note_end(&self.id, claim, Event::Fail, &failed.note()).await;
        }
    }

    /// Does what the row says.
    async fn settle(&mut self, reason: &str) -> Where {
        let Ok(Some(row)) = self.parts.store.enclave(&self.id).await else { return Where::Here };
        if row.desired == Desired::Running {
            if let Some(until) = row.extend_until {
                self.extend(until.saturating_sub(now())).await;
            }
            return Where::Here;
        }
        let claim = match self.live.take() {
            Some(live) => {
                let claim = live.claim;
                if !self.end(live, reason).await {
                    return Where::Here;
                }
                claim
            }
            None => match self.claim().await {
                Ok(Some((claim, row))) => {
                    if !self.end_leftovers(&row, &claim).await {
                        return Where::Here;
                    }
                    claim
                }
                Ok(None) => return Where::Elsewhere,
                Err(_) => return Where::Here,
            },
        };
        self.ended(&claim, reason).await;
        Where::Here
    }

    /// Nothing of it runs any more: what that means is in the row as it is now.
    async fn ended(&self, claim: &Claim, reason: &str) {
        let Ok(Some(row)) = self.parts.store.enclave(&self.id).await else { return };
        match row.state {
            State::Stopping | State::Stopped | State::Failed => {
                let note = Note::says(&format!("it has ended: {reason}"));
                self.parts.note_change(&self.id, claim, Event::Ended, &note).await;
                tracing::info!(enclave = %self.id, reason, "stopped");
            }
            State::Deleting => self.parts.remove(&self.id, claim).await,
            // It is wanted again already.
            State::Pending | State::Starting | State::Running | State::Deleted => {}
        }
    }

    /// No more evidence, no more route, then the end of the processes. Whether they have ended.
    async fn end(&self, live: Live, reason: &str) -> bool {
        let (claim, incarnation) = (live.claim, live.incarnation);
        if self.parts.end_instance(&self.id, live.host, incarnation, live.instance, reason).await {
            self.parts.forget_process(&self.id, &claim, incarnation).await;
            return true;
        }
        let failed = failed(Reason::NotStopped, Reason::NotStopped.sentence());
        self.parts.note_end(&self.id, &claim, Event::Fail, &failed.note()).await;
        false
    }

    async fn ended_by_itself(&mut self, failed: Failed) {
        let Some(live) = self.live.take() else { return };
        tracing::warn!(enclave = %self.id, reason = failed.reason.code(), "ended by itself");
        self.parts.routes.remove(&live.host, &self.parts.driver.address(&self.id));
        self.parts.retract(&self.id, live.incarnation, failed.reason.code()).await;
        self.parts.forget_process(&self.id, &live.claim, live.incarnation).await;
        self.came_to_an_end(&live.claim, &failed).await;
    }

    /// Somebody else may have the enclave by now: what runs here ends, and no row is written.
    async fn surrender(&mut self) {
        let Some(live) = self.live.take() else { return };
        tracing::error!(enclave = %self.id, "ended: this controller was given up");
        self.parts.end_instance(&self.id, live.host, live.incarnation, live.instance, "taken-over").await;
    }

    /// The controller stops: the enclave ends, its row stays, so that the next start brings it back.
    async fn end_with_the_controller(&mut self) {
        if let Some(mut live) = self.live.take() {
            self.parts.routes.remove(&live.host, &self.parts.driver.address(&self.id));
            live.instance.stop().await;
            self.parts.forget_process(&self.id, &live.claim, live.incarnation).await;
        }
    }
}

/// Waits for a moment; for ever where there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
