//! Who may start now: so many at one time, the others in a bounded queue that is fair between users.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lifecycle::{Full, Place, Queue};
use names::EnclaveId;
use store::UserId;
use tokio::sync::watch;

use crate::Limits;

/// The queue of starts and the places of the node.
#[derive(Clone)]
pub(crate) struct Starts {
    state: Arc<Mutex<Counts>>,
    changed: watch::Sender<()>,
    limits: Limits,
}

struct Counts {
    queue: Queue<[u8; 16], EnclaveId>,
    starting: usize,
    places: usize,
}

/// A place on the node, from the queue to the end. Dropping it gives it back.
pub(crate) struct Room(Starts);

/// Somebody in the queue. Dropping it gives the place up.
pub(crate) struct Waiting {
    starts: Starts,
    id: EnclaveId,
}

/// The right to start now. Dropping it lets the next one.
pub(crate) struct Turn(Starts);

impl Starts {
    pub(crate) fn new(limits: Limits) -> Self {
        let counts = Counts { queue: Queue::new(limits.queue), starting: 0, places: 0 };
        Self { state: Arc::new(Mutex::new(counts)), changed: watch::channel(()).0, limits }
    }

    /// Takes a place on the node and one in the queue.
    pub(crate) fn enqueue(&self, user: &UserId, id: EnclaveId) -> Result<(Room, Waiting), Full> {
        let mut counts = self.lock();
        if counts.places >= self.limits.enclaves {
            return Err(Full);
        }
        counts.queue.push(user.bytes(), id)?;
        counts.places += 1;
        drop(counts);
        Ok((Room(self.clone()), Waiting { starts: self.clone(), id }))
    }

    /// Who waits, the next first.
    pub(crate) fn waiting(&self) -> Vec<EnclaveId> {
        self.lock().queue.in_order().into_iter().copied().collect()
    }

    /// Whether nobody else is taken.
    pub(crate) fn is_full(&self) -> bool {
        let counts = self.lock();
        counts.queue.is_full() || counts.places >= self.limits.enclaves
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Waits for the next news: the turn, or another place.
    pub(crate) async fn news(&self, last: Option<Place>) -> Result<Turn, Place> {
        let mut changed = self.starts.changed.subscribe();
        loop {
            match self.look() {
                Ok(turn) => return Ok(turn),
                Err(Some(place)) if Some(place) != last => return Err(place),
                Err(_) => drop(changed.changed().await),
            }
        }
    }

    fn look(&self) -> Result<Turn, Option<Place>> {
        let mut counts = self.starts.lock();
        if counts.starting >= self.starts.limits.starts || counts.queue.next() != Some(&self.id) {
            return Err(counts.queue.place(&self.id));
        }
        counts.queue.pop();
        counts.starting += 1;
        drop(counts);
        self.starts.changed.send_replace(());
        Ok(Turn(self.starts.clone()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.starts.lock().queue.remove(&self.id);
        self.starts.changed.send_replace(());
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().starting -= 1;
        self.0.changed.send_replace(());
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.lock().places -= 1;
    }
}
