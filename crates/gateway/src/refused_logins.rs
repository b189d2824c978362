//! Refused log-ins go to the audit log beside the request, some at a time: a wrong password takes as long for a name that exists as for one
//! that does not, whose refusals leave nothing there.
//!
//! What is waiting when the process is killed is lost, and what does not fit is counted in the service's log: neither opens anything.

use std::time::Duration;

use ::audit::Event;
use server::Tasks;
use server::telemetry::chain;
use store::Store;
use tokio::sync::{mpsc, oneshot};

/// Refusals that wait.
const WAITING: usize = 1024;
/// From the first refusal to the write: long enough that nobody's next request meets its own write.
const PAUSE: Duration = Duration::from_millis(500);

enum Note {
    Refused(Event),
    /// Somebody reads the log, and wants to see all of it.
    Settle(oneshot::Sender<()>),
}

/// Where refused log-ins are noted.
pub(crate) struct RefusedLogins {
    notes: mpsc::Sender<Note>,
}

impl RefusedLogins {
    /// Writes until the tasks are stopped.
    pub(crate) fn start(store: Store, tasks: &Tasks) -> Self {
        let (notes, waiting) = mpsc::channel(WAITING);
        let stopping = tasks.stopping();
        tasks.spawn(write_until(stopping, store, waiting));
        Self { notes }
    }

    /// Notes a refusal.
    pub(crate) fn note(&self, event: Event) {
        if self.notes.try_send(Note::Refused(event)).is_err() {
            tracing::warn!("a refused log-in is missing from the audit log: too many at once");
        }
    }

    /// Waits until all that was noted before is written.
    pub(crate) async fn settle(&self) {
        let (settled, written) = oneshot::channel();
        if self.notes.send(Note::Settle(settled)).await.is_ok() {
            drop(written.await);
        }
    }
}

async fn write_until(stopping: impl Future<Output = ()>, store: Store, mut notes: mpsc::Receiver<Note>) {
    tokio::pin!(stopping);
    let mut stopped = false;
    while !stopped {
        let first = tokio::select! {
            () = &mut stopping => { stopped = true; None }
            first = notes.recv() => first,
        };
        let mut batch = Batch::default();
        let full = first.is_some_and(|note| batch.take(note));
        if !full && !stopped {
            stopped = batch.fill(&mut notes, stopping.as_mut()).await;
        }
        while let Ok(note) = notes.try_recv() {
            batch.take(note);
        }
        batch.write(&store).await;
    }
}

#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    readers: Vec<oneshot::Sender<()>>,
}

impl Batch {
    /// Whether somebody waits for it.
    fn take(&mut self, note: Note) -> bool {
        match note {
            Note::Refused(event) => self.events.push(event),
            Note::Settle(reader) => self.readers.push(reader),
        }
        !self.readers.is_empty() || self.events.len() >= WAITING
    }

    /// Waits a moment for more; whether the tasks were stopped meanwhile.
    async fn fill(
        &mut self,
        notes: &mut mpsc::Receiver<Note>,
        mut stopping: impl Future<Output = ()> + Unpin,
    ) -> bool {
        let pause = tokio::time::sleep(PAUSE);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut stopping => return true,
                () = &mut pause => return false,
                note = notes.recv() => match note {
                    Some(note) => if self.take(note) { return false },
                    None => return true,
                },
            }
        }
    }

    async fn write(self, store: &Store) {
        let refusals = self.events.len();
        if refusals > 0
            && let Err(error) = store.audit_all(self.events).await
        {
            tracing::warn!(refusals, error = %chain(&error), "refused log-ins are missing from the audit log");
        }
        for reader in self.readers {
            // A reader that is gone waits no more.
            reader.send(()).unwrap_or_default();
        }
    }
}
