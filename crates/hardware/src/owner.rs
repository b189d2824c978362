//! One thread owns the TPM; everybody else sends it jobs.
//!
//! Jobs wait in lanes. The owner always takes the oldest job of the highest lane, so that the enclave log never waits
//! for a Keylime verifier. Lanes are bounded: a full lane refuses instead of growing. The thread ends when the last
//! handle is gone, after the jobs that are waiting; and when the TPM itself has ended, whose registers nobody can bring
//! back.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::device::DeviceError;
use crate::tpm::Tpm;

/// Who waits for whom, the first before all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Extending the enclave log.
    Log,
    /// Credential activation and keys.
    Activation,
    /// Quotes for batches of statements.
    Batch,
    /// Quotes for Keylime verifiers.
    Keylime,
}

impl Lane {
    const COUNT: usize = 4;

    fn index(self) -> usize {
        match self {
            Self::Log => 0,
            Self::Activation => 1,
            Self::Batch => 2,
            Self::Keylime => 3,
        }
    }
}

/// Jobs that may wait in one lane.
pub const LANE_CAPACITY: usize = 256;
/// How often the owner looks after a TPM of which nobody wants anything.
const LOOK: Duration = Duration::from_millis(500);

/// Why a job was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// Too many jobs wait in the lane.
    #[error("too many requests wait for the TPM ({0:?})")]
    Full(Lane),
    /// The owner thread has ended.
    #[error("the TPM's owner has ended")]
    Gone,
}

type Job = Box<dyn FnOnce(&mut Tpm) + Send>;

#[derive(Default)]
struct State {
    lanes: [VecDeque<Job>; Lane::COUNT],
    handles: usize,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Turns true when the thread ends.
    ended: watch::Sender<bool>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A way to send jobs to the owner. Clone it for each task that needs one.
pub struct TpmHandle {
    shared: Arc<Shared>,
}

impl TpmHandle {
    /// Has the owner run `job`, and waits for what it returns.
    pub async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        job: impl FnOnce(&mut Tpm) -> T + Send + 'static,
    ) -> Result<T, OwnerError> {
        let (reply, answer) = oneshot::channel();
        self.submit(
            lane,
            Box::new(move |tpm| {
                // Nobody may be waiting any more; a log entry is extended all the same.
                let _ = reply.send(job(tpm));
            }),
        )?;
        answer.await.map_err(|_| OwnerError::Gone)
    }

    /// The same for a thread that may block.
    pub fn run_blocking<T: Send + 'static>(
        &self,
        lane: Lane,
        job: impl FnOnce(&mut Tpm) -> T + Send + 'static,
    ) -> Result<T, OwnerError> {
        // Not the channel of Tokio: it panics when the thread happens to be one of a runtime.
        let (reply, answer) = mpsc::sync_channel(1);
        self.submit(
            lane,
            Box::new(move |tpm| {
                let _ = reply.send(job(tpm));
            }),
        )?;
        answer.recv().map_err(|_| OwnerError::Gone)
    }

    /// Comes when the owner has ended: no job will ever be done again.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.shared.ended.subscribe();
        async move {
            // An error says that owner and handles are gone.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }

    fn submit(&self, lane: Lane, job: Job) -> Result<(), OwnerError> {
        let mut state = self.shared.state();
        if state.ended {
            return Err(OwnerError::Gone);
        }
        let queue = state.lanes.get_mut(lane.index()).ok_or(OwnerError::Full(lane))?;
        if queue.len() >= LANE_CAPACITY {
            return Err(OwnerError::Full(lane));
        }
        queue.push_back(job);
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Clone for TpmHandle {
    fn clone(&self) -> Self {
        self.shared.state().handles += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for TpmHandle {
    fn drop(&mut self) {
        self.shared.state().handles -= 1;
        self.shared.changed.notify_one();
    }
}

/// The owner's thread.
pub struct OwnerThread {
    thread: JoinHandle<()>,
}

impl OwnerThread {
    /// Waits until the thread has ended and the device is closed. Drop all handles first.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the TPM's owner panicked");
        }
    }
}

/// Gives the TPM to a thread of its own.
pub fn start(tpm: Tpm) -> Result<(TpmHandle, OwnerThread), DeviceError> {
    let shared = Arc::new(Shared::default());
    shared.state().handles = 1;
    let owner = Arc::clone(&shared);
    let thread = thread::Builder::new()
        .name("tpm-owner".into())
        .spawn(move || work(&owner, tpm))
        .map_err(DeviceError::io("start the owner thread"))?;
    Ok((TpmHandle { shared }, OwnerThread { thread }))
}

fn work(shared: &Shared, mut tpm: Tpm) {
    // Also when a job panics: whoever waits is told, and nobody can add to the queue.
    let _end = End { shared };
    loop {
        match next(shared) {
            Next::Job(job) => job(&mut tpm),
            Next::Nothing => {}
            Next::End => return,
        }
        if tpm.has_ended() {
            tracing::error!("the TPM has ended");
            return;
        }
    }
}

enum Next {
    Job(Job),
    Nothing,
    End,
}

fn next(shared: &Shared) -> Next {
    let mut state = shared.state();
    if let Some(job) = state.lanes.iter_mut().find_map(VecDeque::pop_front) {
        return Next::Job(job);
    }
    if state.handles == 0 {
        return Next::End;
    }
    let waited = shared.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner);
    state = waited.0;
    match state.lanes.iter_mut().find_map(VecDeque::pop_front) {
        Some(job) => Next::Job(job),
        None => Next::Nothing,
    }
}

struct End<'a> {
    shared: &'a Shared,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ended = true;
        let jobs = std::mem::take(&mut state.lanes);
        // A job may own a handle, whose drop takes the lock.
        drop(state);
        drop(jobs);
        self.shared.ended.send_replace(true);
    }
}
