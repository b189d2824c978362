//! The agent's configuration: one YAML file, or what the composing tool fills in.

use std::path::PathBuf;

use names::{Digest, TrustDomain};
use serde::{Deserialize, Serialize};

/// What an agent needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The node's name: one DNS label.
    pub node: String,
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// Folder of the enclave log, mode 0700.
    pub folder: PathBuf,
    /// Socket for facades.
    pub agent_socket: PathBuf,
    /// Socket for the controller.
    pub admin_socket: PathBuf,
    /// The verifier's socket.
    pub verifier_socket: PathBuf,
    /// The signer's socket.
    pub signer_socket: PathBuf,
    /// The firmware's log, `binary_bios_measurements`.
    pub boot_log: PathBuf,
    /// The kernel's list, `ascii_runtime_measurements`.
    pub ima_log: PathBuf,
    /// The agent's own binary as the node policy knows it: SHA-256. Absent: that of the running executable.
    #[serde(default)]
    pub agent_digest: Option<Digest>,
    /// PCRs that every quote covers.
    #[serde(default = "default_pcrs")]
    pub pcrs: Vec<u8>,
}

fn default_pcrs() -> Vec<u8> {
    vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14]
}
