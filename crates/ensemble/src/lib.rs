//! All parts of a control plane and one node, composed in one process: what `sealwright up` runs.
//!
//! Start order is design: TPM, CA, verifier, agent; then store, controller, edge, gateway; and a client's context when
//! everything answers. Parts speak over their real sockets, as if each ran by itself.
//!
//! [`alone`] runs one part by itself, from its own configuration file.
//!
//! Not here: what any part does. Callers: `sealwright up`, the demo's laboratory, system tests.

pub mod alone;
mod boot;
mod cell;
mod introductions;
mod layout;
mod parts;
mod ready;
mod settings;
mod trust;
mod watched;

pub use boot::TpmChoice;
pub use cell::{Cell, CellOptions, EndorsementAnchors};
pub use layout::Layout;
pub use ready::Ready;
pub use settings::Settings;

use std::net::SocketAddr;
use std::path::PathBuf;

/// What `up` was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept.
    pub data: PathBuf,
    /// The database; a SQLite file in the data folder if absent.
    pub database: Option<store::DatabaseUrl>,
    /// Where the gateway listens; a free port of loopback if absent, kept in the data folder.
    pub listen: Option<SocketAddr>,
    /// Which TPM.
    pub tpm: TpmChoice,
    /// The facade's executable; beside our own if absent.
    pub facade: Option<PathBuf>,
    /// How browsers reach the gateway; `https://localhost:PORT` if absent.
    pub public_origin: Option<gateway::Origin>,
    /// Other providers where people can sign in.
    pub providers: Vec<oidc::ProviderConfig>,
    /// What the operator decides about the gateway.
    pub gateway: gateway::Settings,
    /// What the operator decides about the controller.
    pub controller: controller::Settings,
    /// Whom to trust for a TPM device.
    pub endorsement: EndorsementAnchors,
    /// Runs apps also where this machine does not allow to isolate them.
    pub dangerous_unisolated_apps: bool,
    /// Ends the process at a step of an enclave's creation. For tests.
    pub dangerous_failpoint: Option<controller::Failpoint>,
}

pub use parts::{Ensemble, start};

/// The node's TPM is gone, and with it the registers that all evidence speaks of. Only a new start, with enclaves as new
/// incarnations, makes evidence again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node's TPM has ended")]
pub struct TpmEnded;

impl TpmEnded {
    /// The stable code of it.
    pub const CODES: &[&str] = &["tpm_ended"];
}
