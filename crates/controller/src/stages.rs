//! The stages of a start, as whoever asked for it sees them; who joins later sees them from the first.

use proto::v1::Stage;
use tokio::sync::watch;

use crate::reason::Reason;

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
        self.push(Stage {
            name: name.to_owned(),
            message: message.to_owned(),
            reason: String::new(),
            progress,
        });
    }

    pub(crate) fn failed(&self, reason: Reason, message: &str) {
        let reason = reason.code().to_owned();
        self.push(Stage { name: "failed".to_owned(), message: message.to_owned(), reason, progress: 100 });
    }

    fn push(&self, stage: Stage) {
        self.sender.send_modify(|stages| stages.push(stage));
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Vec<Stage>> {
        self.sender.subscribe()
    }
}

/// Whether this is the last stage of a start.
pub(crate) fn is_last(stage: &Stage) -> bool {
    matches!(stage.name.as_str(), "ready" | "failed")
}
