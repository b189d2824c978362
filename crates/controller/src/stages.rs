//! The stages of a start, as whoever asked for it sees them; who joins later sees them from the first.

use proto::v1::Stage;
use tokio::sync::watch;

use crate::operations::Failed;

/// Stages that are kept of one start: places in the queue are many.
const KEPT: usize = 64;

/// Where a start tells how far it is.
#[derive(Debug, Clone)]
pub(crate) struct Stages {
    sender: watch::Sender<Vec<Stage>>,
}

impl Stages {
    pub(crate) fn new() -> Self {
        Self { sender: watch::channel(Vec::new()).0 }
    }

    pub(crate) fn say(&self, name: &str, message: &str, progress: u32) {
        let (name, message) = (name.to_owned(), message.to_owned());
        self.push(Stage { name, message, reason: String::new(), cause: String::new(), progress });
    }

    pub(crate) fn failed(&self, failed: &Failed) {
        self.push(Stage {
            name: "failed".to_owned(),
            message: failed.message.clone(),
            reason: failed.reason.code().to_owned(),
            cause: failed.cause.clone().unwrap_or_default(),
            progress: 100,
        });
    }

    fn push(&self, stage: Stage) {
        self.sender.send_modify(|stages| {
            if stages.len() < KEPT || is_last(&stage) {
                stages.push(stage);
            }
        });
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Vec<Stage>> {
        self.sender.subscribe()
    }
}

/// Whether this is the last stage of a start.
pub(crate) fn is_last(stage: &Stage) -> bool {
    matches!(stage.name.as_str(), "ready" | "failed")
}
