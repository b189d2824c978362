//! The configuration of a controller alone: where things are. What an operator decides is in [`Settings`].

use std::path::PathBuf;

use names::{SpiffeId, TrustDomain};
use serde::{Deserialize, Serialize};

use crate::Settings;

/// What a controller with the process driver needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub socket: PathBuf,
    /// The agent's socket for announcements.
    pub admin_socket: PathBuf,
    /// The agent's socket for facades, as facades see it.
    pub agent_socket: PathBuf,
    /// Public keys of tokens, as facades see them.
    pub jwks_file: PathBuf,
    /// Files of apps, by digest.
    pub blobs: PathBuf,
    /// Measured copies, by version digest.
    pub apps: PathBuf,
    /// One folder an enclave.
    pub enclaves: PathBuf,
    /// The facade's executable.
    pub facade: PathBuf,
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// Who issues tokens: the gateway.
    pub issuer: SpiffeId,
    /// First user id of enclaves, where the controller is root: 131,072 from there on must be nobody's.
    #[serde(default = "default_uid_base")]
    pub uid_base: u32,
    /// Runs apps also where the machine does not allow what keeps them apart from each other and from it.
    #[serde(default)]
    pub dangerous_unisolated_apps: bool,
    /// The node on which it starts processes. Controllers of one node on one database take over from each other; each needs
    /// folders, sockets and user ids of its own.
    #[serde(default = "default_node")]
    pub node: String,
    /// What an operator decides.
    #[serde(default)]
    pub settings: Settings,
    /// Ends the process at a named step, to show that the next start mends it. For tests.
    #[serde(default)]
    pub dangerous_failpoint: Option<Failpoint>,
}

/// A step of an enclave's creation after which the process may be ended by a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failpoint {
    /// The row says `starting`.
    AfterRow,
    /// The measured copy is there.
    AfterCopy,
    /// The agent has logged the start.
    AfterAnnouncement,
    /// The processes run; no row names them yet.
    AfterSpawn,
    /// The row names the processes.
    AfterRecord,
    /// The facade is ready; the row does not say so yet.
    AfterReady,
    /// An enclave is to be stopped; nothing was done.
    StopBegun,
    /// The agent has logged the end.
    StopRetracted,
    /// The processes have ended; the row does not say so yet.
    StopEnded,
    /// An enclave that is to be deleted has ended; its folder is there.
    DeleteEnded,
    /// Its folder is gone; its row is there.
    DeleteRemoved,
}

/// The user ids that enclaves get where the configuration says nothing.
pub const DEFAULT_UID_BASE: u32 = sandbox::DEFAULT_BASE;

fn default_node() -> String {
    "local".to_owned()
}

const fn default_uid_base() -> u32 {
    DEFAULT_UID_BASE
}

impl Config {
    /// Ends the process here, if a test wants that.
    pub(crate) fn failpoint(&self, here: Failpoint) {
        if self.dangerous_failpoint == Some(here) {
            tracing::error!(?here, "failpoint: ending the process");
            std::process::abort();
        }
    }
}
