//! The state machine: every change of an enclave's row is an [`Event`] that [`Life::on`] allows.
//!
//! Invariants, kept by property tests: from every state there is a way out that needs nobody but its user or the clock;
//! what is to be deleted is never started again; a stop is allowed everywhere.

use alloc::vec;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::State;

/// What its user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// That it runs.
    Running,
    /// That it does not.
    Stopped,
    /// That it goes away; nothing starts it again.
    Deleted,
}

impl Desired {
    /// The name in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Deleted => "deleted",
        }
    }

    /// Reads [`Desired::as_str`] back.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Running, Self::Stopped, Self::Deleted].into_iter().find(|desired| desired.as_str() == name)
    }
}

/// One enclave's life, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Where it stands.
    pub state: State,
    /// What its user wants.
    pub desired: Desired,
    /// When the state was entered, in the caller's clock.
    pub since: u64,
    /// When anything last went forward.
    pub progress: u64,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Somebody wants it to run.
    Start,
    /// Somebody wants it stopped, or its start cancelled.
    Stop,
    /// Somebody wants it gone.
    Delete,
    /// A controller has found what another left behind, has ended it, and starts anew.
    Requeue,
    /// Its turn has come.
    Begin,
    /// The start has come to its next stage.
    Progress,
    /// It answers.
    Ready,
    /// The start or the enclave came to a bad end.
    Fail,
    /// Nothing of it runs any more.
    Ended,
    /// Nothing of it is left.
    Removed,
    /// Time has passed.
    Tick,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Start,
        Self::Stop,
        Self::Delete,
        Self::Requeue,
        Self::Begin,
        Self::Progress,
        Self::Ready,
        Self::Fail,
        Self::Ended,
        Self::Removed,
        Self::Tick,
    ];
}

/// What the caller has to do after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Give it a place in the queue of starts.
    Enqueue,
    /// End what runs of it, or take it out of the queue.
    End,
    /// End what runs of it without asking.
    Force(Overdue),
    /// Remove what is left of it, then say [`Event::Removed`].
    Remove,
}

/// Which deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// No turn came.
    Queue,
    /// No stage of the start has changed.
    Progress,
    /// The start as a whole took too long.
    Start,
    /// It did not end.
    Stop,
    /// It was not removed.
    Delete,
}

/// Why an event is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is going or gone: nothing starts it again.
    #[error("the enclave is deleted")]
    Deleted,
    /// Its user does not want it to run.
    #[error("the enclave is not wanted to run")]
    NotWanted,
    /// The event does not belong to this state.
    #[error("the enclave's state does not allow it")]
    WrongState,
}

/// Seconds, one deadline for each state that is not a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Deadlines {
    /// In the queue.
    #[serde(deserialize_with = "crate::positive")]
    #[schemars(range(min = 1))]
    pub queue: u64,
    /// Between two stages of a start.
    #[serde(deserialize_with = "crate::positive")]
    #[schemars(range(min = 1))]
    pub progress: u64,
    /// For a start as a whole, after its turn has come.
    #[serde(deserialize_with = "crate::positive")]
    #[schemars(range(min = 1))]
    pub start: u64,
    /// From the wish to the end of the processes.
    #[serde(deserialize_with = "crate::positive")]
    #[schemars(range(min = 1))]
    pub stop: u64,
    /// From the wish to the removal.
    #[serde(deserialize_with = "crate::positive")]
    #[schemars(range(min = 1))]
    pub delete: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { queue: 600, progress: 120, start: 600, stop: 45, delete: 120 }
    }
}

impl Life {
    /// The life of an enclave that was just asked for.
    #[must_use]
    pub const fn new(now: u64) -> Self {
        Self { state: State::Pending, desired: Desired::Running, since: now, progress: now }
    }

    /// When this state becomes overdue, and how; `None` for states in which nothing is awaited.
    #[must_use]
    pub fn deadline(&self, deadlines: &Deadlines) -> Option<(u64, Overdue)> {
        let after = |start: u64, seconds: u64, overdue| Some((start.saturating_add(seconds), overdue));
        match self.state {
            State::Pending => after(self.since, deadlines.queue, Overdue::Queue),
            State::Starting => {
                let stage = self.progress.saturating_add(deadlines.progress);
                let whole = self.since.saturating_add(deadlines.start);
                Some(if stage < whole { (stage, Overdue::Progress) } else { (whole, Overdue::Start) })
            }
            State::Stopping => after(self.since, deadlines.stop, Overdue::Stop),
            State::Deleting => after(self.since, deadlines.delete, Overdue::Delete),
            State::Running | State::Stopped | State::Failed | State::Deleted => None,
        }
    }

    /// The life after an event, and what is to be done.
    ///
    /// # Errors
    /// [`Refused`]; then nothing has changed.
    pub fn on(self, event: Event, now: u64, deadlines: &Deadlines) -> Result<(Self, Vec<Effect>), Refused> {
        match event {
            Event::Start => self.start(now),
            Event::Stop => Ok(self.stop(now)),
            Event::Delete => self.delete(now),
            Event::Tick => Ok(self.tick(now, deadlines)),
            Event::Requeue | Event::Begin | Event::Progress | Event::Ready => self.forward(event, now),
            Event::Fail => self.fail(now),
            Event::Ended => self.ended(now),
            Event::Removed => match self.state {
                State::Deleting | State::Deleted => Ok((self.to(State::Deleted, now), Vec::new())),
                State::Pending
                | State::Starting
                | State::Running
                | State::Stopping
                | State::Stopped
                | State::Failed => Err(Refused::WrongState),
            },
        }
    }

    fn to(self, state: State, now: u64) -> Self {
        let since = if state == self.state { self.since } else { now };
        Self { state, since, progress: now, ..self }
    }

    fn wanting(self, desired: Desired) -> Self {
        Self { desired, ..self }
    }

    fn start(self, now: u64) -> Result<(Self, Vec<Effect>), Refused> {
        match self.state {
            State::Stopped | State::Failed => {
                let next = self.to(State::Pending, now).wanting(Desired::Running);
                Ok((next, vec![Effect::Enqueue]))
            }
            // It is on its way or there: asking again changes nothing.
            State::Pending | State::Starting | State::Running => Ok((self, Vec::new())),
            State::Stopping => Err(Refused::WrongState),
            State::Deleting | State::Deleted => Err(Refused::Deleted),
        }
    }

    fn stop(self, now: u64) -> (Self, Vec<Effect>) {
        match self.state {
            State::Pending | State::Failed => {
                (self.to(State::Stopped, now).wanting(Desired::Stopped), vec![Effect::End])
            }
            State::Starting | State::Running => {
                (self.to(State::Stopping, now).wanting(Desired::Stopped), vec![Effect::End])
            }
            State::Stopping => (self, vec![Effect::End]),
            State::Stopped | State::Deleting | State::Deleted => (self, Vec::new()),
        }
    }

    fn delete(self, now: u64) -> Result<(Self, Vec<Effect>), Refused> {
        match self.state {
            State::Deleted => Err(Refused::Deleted),
            State::Deleting => Ok((self, vec![Effect::End, Effect::Remove])),
            State::Pending
            | State::Starting
            | State::Running
            | State::Stopping
            | State::Stopped
            | State::Failed => {
                let next = self.to(State::Deleting, now).wanting(Desired::Deleted);
                Ok((next, vec![Effect::End, Effect::Remove]))
            }
        }
    }

    fn forward(self, event: Event, now: u64) -> Result<(Self, Vec<Effect>), Refused> {
        if matches!(self.state, State::Deleting | State::Deleted) {
            return Err(Refused::Deleted);
        }
        if self.desired != Desired::Running {
            return Err(Refused::NotWanted);
        }
        match (self.state, event) {
            (State::Pending | State::Starting | State::Running, Event::Requeue) => {
                Ok((self.to(State::Pending, now), vec![Effect::Enqueue]))
            }
            (State::Pending, Event::Begin) | (State::Starting, Event::Progress) => {
                Ok((self.to(State::Starting, now), Vec::new()))
            }
            (State::Starting, Event::Ready) => Ok((self.to(State::Running, now), Vec::new())),
            _ => Err(Refused::WrongState),
        }
    }

    fn fail(self, now: u64) -> Result<(Self, Vec<Effect>), Refused> {
        match self.state {
            State::Pending | State::Starting | State::Running | State::Stopping => {
                // Whoever wants it again says so: a crash is not repeated for ever, and does not count against a quota.
                Ok((self.to(State::Failed, now).wanting(Desired::Stopped), vec![Effect::End]))
            }
            State::Stopped | State::Failed => Err(Refused::WrongState),
            State::Deleting | State::Deleted => Err(Refused::Deleted),
        }
    }

    fn ended(self, now: u64) -> Result<(Self, Vec<Effect>), Refused> {
        match self.state {
            State::Stopping => Ok((self.to(State::Stopped, now), Vec::new())),
            State::Stopped | State::Failed => Ok((self, Vec::new())),
            State::Deleting => Ok((self, vec![Effect::Remove])),
            State::Pending | State::Starting | State::Running => Err(Refused::WrongState),
            State::Deleted => Err(Refused::Deleted),
        }
    }

    fn tick(self, now: u64, deadlines: &Deadlines) -> (Self, Vec<Effect>) {
        let Some((at, overdue)) = self.deadline(deadlines) else { return (self, Vec::new()) };
        if now < at {
            return (self, Vec::new());
        }
        match self.state {
            State::Pending | State::Starting | State::Stopping => {
                let next = self.to(State::Failed, now).wanting(Desired::Stopped);
                (next, vec![Effect::Force(overdue)])
            }
            // It stays what it is, and is tried again; its user may let it go (`orphan`).
            State::Deleting => (self, vec![Effect::Force(overdue), Effect::Remove]),
            State::Running | State::Stopped | State::Failed | State::Deleted => (self, Vec::new()),
        }
    }
}
