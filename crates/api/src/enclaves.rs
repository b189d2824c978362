//! Enclaves of the user who asks.

use alloc::{string::String, vec::Vec};

use names::{Digest, EnclaveId};
use serde::{Deserialize, Serialize};
use workload::{AppName, AppVersion};

use crate::Secret;

/// `POST /v1/enclaves`: 202 with [`Enclave`]. A client certificate is needed: its key becomes the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateEnclave {
    /// Name, unique among the enclaves of the user.
    pub name: String,
    /// Name of the app.
    pub app: AppName,
    /// Version of the app; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<AppVersion>,
}

/// An enclave as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enclave {
    /// Id, chosen by the gateway.
    pub id: EnclaveId,
    /// Name, unique among the enclaves of the user.
    pub name: String,
    /// Name of the app.
    pub app: String,
    /// Version of the app.
    pub version: String,
    /// Version digest. For display: a client compares evidence with a reference value of its own.
    pub version_digest: Digest,
    /// Where it stands.
    pub state: State,
    /// Stable code, with `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Counts starts, from 1; 0 before the first.
    pub incarnation: u64,
    /// Name for SNI and the certificate; clients dial `edge` and never resolve it.
    pub host: String,
    /// `HOST:PORT` to dial.
    pub edge: String,
    /// SHA-256 of the owner's SPKI.
    pub owner: Digest,
    /// Unix seconds.
    pub created_at: u64,
}

/// Where an enclave stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Asked for, nothing done yet.
    Pending,
    /// On its way up.
    Starting,
    /// Answers.
    Running,
    /// On its way down.
    Stopping,
    /// Down because someone wanted that.
    Stopped,
    /// Down because of `reason`.
    Failed,
}

impl State {
    /// The name on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Reads [`State::as_str`] back.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Pending, Self::Starting, Self::Running, Self::Stopping, Self::Stopped, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// `GET /v1/enclaves`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnclaveList {
    /// Oldest first, at most [`crate::bounds::PAGE_ROWS`].
    pub enclaves: Vec<Enclave>,
    /// For `?cursor=`, when there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One `data:` line of `GET /v1/enclaves/{name}/stages`. The stream ends after `ready` or `failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// `prepare`, `log`, `spawn`, `certify`, `ready`, `failed`.
    pub name: String,
    /// For people.
    pub message: String,
    /// Stable code, only with `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// 0..=100.
    pub progress: u32,
}

/// `POST /v1/enclaves/{name}/token`.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnclaveToken {
    /// `at+jwt` for this enclave only, bound to the client certificate of this connection.
    pub token: Secret,
    /// Seconds, at most 300.
    pub expires_in: u64,
}
