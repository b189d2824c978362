//! The one thread that starts processes. A parent-death signal is sent when the *thread* that spawned ends (prctl(2)), so
//! this one lives as long as the process.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc;

use tokio::sync::oneshot;

type Job = (Command, oneshot::Sender<io::Result<Child>>);

/// A way to the thread.
#[derive(Clone)]
pub(crate) struct Spawner {
    jobs: mpsc::Sender<Job>,
}

impl Spawner {
    pub(crate) fn start() -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            for (mut command, reply) in queue {
                if let Err(Ok(mut abandoned)) = reply.send(command.spawn()) {
                    // Nobody waits any more: nothing may run that nobody knows.
                    abandoned.kill().and_then(|()| abandoned.wait()).ok();
                }
            }
            // The last handle is gone with the driver; the children's pipes are closed by then. Staying here keeps
            // their parent alive until they have ended.
            loop {
                std::thread::park();
            }
        })?;
        Ok(Self { jobs })
    }

    /// Starts a process as a child of the permanent thread.
    pub(crate) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the spawner has ended");
        let (reply, answer) = oneshot::channel();
        self.jobs.send((command, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
