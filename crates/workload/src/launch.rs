//! What the controller tells a facade: one file per start, written by the controller, read once by the facade.
//!
//! The contract between the two, beside this file:
//! * The facade's standard input is a pipe that the controller holds. When it reaches its end, the controller is gone
//!   and the facade ends at once, and the app with it (this closes the moment before the parent-death signal is set).
//! * The facade's standard output is a pipe too. When its Unix socket answers, the certificate is there and the app
//!   listens, the facade writes [`READY_LINE`], once. While it is used it writes [`ACTIVE_LINE`] every
//!   [`ACTIVE_SECONDS`], at most. Before it ends by itself it may write [`CAUSE_LINE`] and a stable code. Where
//!   [`Launch::trace`] is set it may write [`SPAN_LINE`] and a finished span of that trace. Any other line ends it. Logs
//!   go to standard error.
//! * Its exit code is a [`FacadeExit`], which becomes the reason of the enclave's failure.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use names::{Digest, EnclaveId, SpiffeId};
use serde::{Deserialize, Serialize};

use crate::{Endpoint, FilePath, Resources};

/// The facade serves.
pub const READY_LINE: &str = "ready";
/// The enclave was used since the last such line.
pub const ACTIVE_LINE: &str = "active";
/// How often that may be said, in seconds.
pub const ACTIVE_SECONDS: u64 = 5;
/// What stands before the code of why it ends: at most 64 of `a-z 0-9 _ -`.
pub const CAUSE_LINE: &str = "because ";

/// What stands before a finished span: JSON as `server::trace` writes it.
pub const SPAN_LINE: &str = "span ";
/// Spans of one facade; one more ends it.
pub const SPANS: usize = 64;

/// A facade's configuration. Paths are the host's unless they are [`FilePath`]s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// The enclave that this facade is.
    pub enclave_id: EnclaveId,
    /// The count of its starts, from 1.
    pub incarnation: u64,
    /// The one exact name of its certificate.
    pub dns_name: String,
    /// SHA-256 of the owner's key (SPKI).
    pub owner: Digest,
    /// Path of the Unix socket on which it serves TLS.
    pub listen: String,
    /// Path of the agent's socket for facades.
    pub agent_socket: String,
    /// Path of the gateway's public keys.
    pub jwks_file: String,
    /// Who issues tokens: the gateway's SPIFFE id.
    pub issuer: SpiffeId,
    /// For whom tokens must be: this enclave's SPIFFE id.
    pub audience: SpiffeId,
    /// What to run.
    pub app: AppLaunch,
    /// What this machine allows: every `false` is left out, and was reported.
    pub isolation: Isolation,
    /// Path of the file for the app's output; it exists.
    pub app_log: String,
    /// The span that asked for this start (`traceparent`), where it is traced.
    #[serde(default)]
    pub trace: Option<String>,
}

/// The app of an enclave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppLaunch {
    /// Path of the measured copy of its file system.
    pub root: String,
    /// Where its root is assembled when it has a mount namespace: an empty directory of this enclave.
    pub mount_point: String,
    /// Path of the executable inside the root.
    pub command: FilePath,
    /// Its arguments.
    pub args: Vec<String>,
    /// All of its environment.
    pub env: BTreeMap<String, String>,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Directories that are fresh and writable at each start.
    pub writable: Vec<FilePath>,
    /// Its limits.
    pub resources: Resources,
    /// The control groups that bound it: paths of `cgroup.procs`; none where its limits are those of each process.
    pub groups: Vec<String>,
}

/// Which isolation steps are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isolation {
    /// Around the facade and the app.
    pub enclave: Namespaces,
    /// Around the app alone.
    pub app: Namespaces,
    /// Whether the app's root is assembled from mounts and entered.
    pub own_root: bool,
    /// Whether the app is another user of the machine than its facade: [`APP_USER`] of the enclave.
    pub app_uid: bool,
    /// Whether the app's system calls are filtered.
    pub seccomp: bool,
    /// Whether Landlock bounds what the app opens.
    pub landlock: bool,
}

/// The app's user and group, as the app sees itself.
pub const APP_USER: u32 = 1000;

/// Namespaces of one level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespaces {
    /// Users.
    pub user: bool,
    /// Process ids.
    pub pid: bool,
    /// Network.
    pub network: bool,
    /// Mounts.
    pub mount: bool,
    /// System V IPC and POSIX queues.
    pub ipc: bool,
    /// Host name.
    pub uts: bool,
    /// A `/proc` that shows only this pid namespace.
    pub proc: bool,
}

impl Namespaces {
    /// Whether there is any.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.user || self.pid || self.network || self.mount || self.ipc || self.uts
    }
}

/// How a facade ends, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FacadeExit {
    /// It was told to stop.
    Stopped,
    /// The app ended by itself.
    AppEnded,
    /// The app could not be started.
    AppNotStarted,
    /// The app did not listen in time.
    AppNotListening,
    /// No certificate could be had.
    NotCertified,
    /// Its configuration is bad.
    BadConfiguration,
    /// A promised isolation step did not work.
    NotIsolated,
    /// The controller is gone.
    ControllerGone,
    /// Its socket could not be served.
    NotServing,
}

impl FacadeExit {
    const ALL: [Self; 9] = [
        Self::Stopped,
        Self::AppEnded,
        Self::AppNotStarted,
        Self::AppNotListening,
        Self::NotCertified,
        Self::BadConfiguration,
        Self::NotIsolated,
        Self::ControllerGone,
        Self::NotServing,
    ];

    /// The exit code. 1 and 101 stay free for what nobody foresaw.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::AppEnded => 10,
            Self::AppNotStarted => 11,
            Self::AppNotListening => 12,
            Self::NotCertified => 13,
            Self::BadConfiguration => 14,
            Self::NotIsolated => 15,
            Self::ControllerGone => 16,
            Self::NotServing => 17,
        }
    }

    /// The exit with this code, if it is one of ours.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| i32::from(exit.code()) == code)
    }

    /// The stable reason code.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::AppEnded => "app-ended",
            Self::AppNotStarted => "app-not-started",
            Self::AppNotListening => "app-not-listening",
            Self::NotCertified => "not-certified",
            Self::BadConfiguration => "bad-configuration",
            Self::NotIsolated => "not-isolated",
            Self::ControllerGone => "controller-gone",
            Self::NotServing => "not-serving",
        }
    }
}
