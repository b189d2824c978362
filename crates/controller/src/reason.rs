//! Why an enclave is not running: stable codes, kept in its row and shown to its user.

use workload::launch::FacadeExit;

use crate::driver::DriverError;

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
    /// The node has no room for another enclave.
    NoCapacity,
    /// Its turn did not come.
    QueueTimeout,
    /// No stage of its start has changed for too long.
    NoProgress,
    /// Its start as a whole took too long.
    StartTimeout,
    /// It did not end, not even by force.
    NotStopped,
    /// Its folder could not be removed.
    NotRemoved,
    /// Another controller has taken it over.
    TakenOver,
    /// The licence is locked to another node.
    LicenseNode,
    /// The enclave log is nearly full: the node has to be restarted before anything new starts.
    LogFull,
}

impl From<lifecycle::Overdue> for Reason {
    fn from(overdue: lifecycle::Overdue) -> Self {
        match overdue {
            lifecycle::Overdue::Queue => Self::QueueTimeout,
            lifecycle::Overdue::Progress => Self::NoProgress,
            lifecycle::Overdue::Start => Self::StartTimeout,
            lifecycle::Overdue::Stop => Self::NotStopped,
            lifecycle::Overdue::Delete => Self::NotRemoved,
        }
    }
}

impl Reason {
    /// A machine that keeps nothing apart is another reason than a copy that could not be made.
    pub(crate) const fn not_prepared(error: &DriverError) -> Self {
        match error {
            DriverError::NotIsolated(_) => Self::Facade(FacadeExit::NotIsolated),
            DriverError::Copy(_)
            | DriverError::Blobs(_)
            | DriverError::File { .. }
            | DriverError::Spawn(_)
            | DriverError::Groups(_)
            | DriverError::NoUid
            | DriverError::Closed { .. }
            | DriverError::Reap { .. }
            | DriverError::Launch(_)
            | DriverError::Stopped => Self::CopyFailed,
        }
    }

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
            Self::NoCapacity => "no-capacity",
            Self::QueueTimeout => "queue-timeout",
            Self::NoProgress => "no-progress",
            Self::StartTimeout => "start-timeout",
            Self::NotStopped => "not-stopped",
            Self::NotRemoved => "not-removed",
            Self::TakenOver => "taken-over",
            Self::LicenseNode => "license-node",
            Self::LogFull => "log-full",
        }
    }

    /// The code as a sentence, for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::VersionMissing => "nobody has published this version",
            Self::VersionMismatch => "the stored manifest is another one",
            Self::CopyFailed => "the app's files could not be copied and measured",
            Self::NotAnnounced => "the node's agent did not log the start",
            Self::NotSpawned => "the processes could not be started",
            Self::ReadyTimeout => "it was not ready in time",
            Self::Facade(FacadeExit::Stopped) => "it was stopped from outside",
            Self::Facade(FacadeExit::AppEnded) => "the app ended",
            Self::Facade(FacadeExit::AppNotStarted) => "the app could not be started",
            Self::Facade(FacadeExit::AppNotListening) => "the app did not listen in time",
            Self::Facade(FacadeExit::NotCertified) => "the enclave got no certificate",
            Self::Facade(FacadeExit::BadConfiguration) => "the enclave's configuration was refused",
            Self::Facade(FacadeExit::NotIsolated) => "an isolation step did not work",
            Self::Facade(FacadeExit::ControllerGone) => "its controller was gone",
            Self::Facade(FacadeExit::NotServing) => "its socket could not be served",
            Self::Crashed => "it ended without saying why",
            Self::OutOfMemory => "the app used up its memory and was killed",
            Self::Cancelled => "it was stopped while it started",
            Self::Store => "the store did not take a change",
            Self::NoCapacity => "the node has no room for another enclave now",
            Self::QueueTimeout => "its turn to start did not come in time",
            Self::NoProgress => "its start did not go forward for too long",
            Self::StartTimeout => "its start took too long",
            Self::NotStopped => "it did not end, not even by force",
            Self::NotRemoved => "it could not be removed",
            Self::TakenOver => "another controller has taken it over",
            Self::LicenseNode => "its licence is locked to another node",
            Self::LogFull => {
                "the node's enclave log is nearly full, and nothing new starts before the node does"
            }
        }
    }
}
