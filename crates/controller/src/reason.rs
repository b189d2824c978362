//! Why an enclave is not running: stable codes, kept in its row and shown to its user.

use workload::launch::FacadeExit;

/// Why an enclave failed or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The row names a version that nobody published.
    VersionMissing,
    /// The published manifest is not the one that the row names.
    VersionMismatch,
    /// The measured copy could not be made.
    CopyFailed,
    /// The agent did not log the start.
    NotAnnounced,
    /// The processes could not be started.
    NotSpawned,
    /// The enclave was not ready in time.
    ReadyTimeout,
    /// It ended by itself, as its facade says.
    Facade(FacadeExit),
    /// Its app used up its memory.
    OutOfMemory,
    /// It ended by itself, and its facade could not say why.
    Crashed,
    /// Somebody wanted it stopped while it was starting.
    Cancelled,
    /// The store did not take a change.
    Store,
}

impl Reason {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::VersionMissing => "version-missing",
            Self::VersionMismatch => "version-mismatch",
            Self::CopyFailed => "copy-failed",
            Self::NotAnnounced => "not-announced",
            Self::NotSpawned => "not-spawned",
            Self::ReadyTimeout => "ready-timeout",
            Self::Facade(exit) => exit.reason(),
            Self::OutOfMemory => "out-of-memory",
            Self::Crashed => "crashed",
            Self::Cancelled => "cancelled",
            Self::Store => "store-failed",
        }
    }
}
