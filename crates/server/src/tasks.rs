//! Tasks that are started together and drained together; none outlives its service.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a drain waits for tasks that were told to end.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// A handle on the tasks of one service. Clones share the same tasks and the same end.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task that the drain waits for. It should end soon after [`Tasks::stopping`] does.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// Starts a task that is dropped at its next await when the drain begins.
    pub fn spawn_cancellable(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Ends when the drain begins.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.clone().cancelled_owned()
    }

    /// Whether the drain has begun.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells all tasks to end, without waiting.
    pub fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
    }

    /// Tells all tasks to end and waits for them, at most [`DRAIN_DEADLINE`]. False when some did not end in time.
    pub async fn drain(&self) -> bool {
        self.stop();
        tokio::time::timeout(DRAIN_DEADLINE, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_tasks_and_drops_cancellable_ones() {
        let tasks = Tasks::new();
        let (done, seen) = tokio::sync::oneshot::channel();
        let stopping = tasks.stopping();
        tasks.spawn(async move {
            stopping.await;
            done.send(()).ok();
        });
        tasks.spawn_cancellable(std::future::pending());
        assert!(tasks.drain().await);
        assert!(seen.await.is_ok());
    }
}
