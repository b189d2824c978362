//! Where an enclave stands, by the names that are on the wire and in the store.

use serde::{Deserialize, Serialize};

/// Where an enclave stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Asked for, waits for its turn.
    Pending,
    /// On its way up.
    Starting,
    /// Answers.
    Running,
    /// On its way down.
    Stopping,
    /// Down because someone wanted that.
    Stopped,
    /// Down because of a reason that is told with it.
    Failed,
    /// On its way out; nothing starts it again.
    Deleting,
    /// Gone. Only the end of a history says this: no row does.
    Deleted,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Stopped,
        Self::Failed,
        Self::Deleting,
        Self::Deleted,
    ];

    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }

    /// Reads [`State::as_str`] back.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether it counts against a quota of active enclaves: it uses the node, or is about to.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Pending | Self::Starting | Self::Running | Self::Stopping)
    }

    /// Whether nothing happens to it until somebody asks.
    #[must_use]
    pub const fn is_at_rest(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed | Self::Deleted)
    }
}
