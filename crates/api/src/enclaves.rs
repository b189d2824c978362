//! Enclaves of the user who asks.

use alloc::{string::String, vec::Vec};

use names::{Digest, EnclaveId};
use serde::{Deserialize, Serialize};
use workload::{AppName, AppVersion};

use crate::Secret;

pub use lifecycle::State;

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
    /// Seconds without activity after which it is stopped, within the operator's bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<u64>,
    /// Seconds after its start at which it is stopped, within the operator's bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
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
    /// Stable code below `reason`, where there is one: the verifier's, the agent's, `exit-3`, `signal-9`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// `reason` as a sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Place in the queue of starts, from 1, while it waits there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u64>,
    /// How many wait in that queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_size: Option<u64>,
    /// Unix seconds: when it will be stopped by itself, if nothing happens before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops_at: Option<u64>,
    /// Why it will be: `idle`, `max_age`, `license`; with `stopped`, why it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// Seconds without activity after which it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<u64>,
    /// Seconds after its start at which it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
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
    /// Counts the events of this enclave, from 1; also the event's `id:`, for `Last-Event-ID`.
    #[serde(default)]
    pub seq: u64,
    /// `queue`, `prepare`, `log`, `spawn`, `certify`, `ready`, `failed`.
    pub name: String,
    /// For people.
    pub message: String,
    /// Stable code, only with `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Stable code below `reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// 0..=100.
    pub progress: u32,
    /// Place in the queue of starts, only with `queue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u64>,
    /// How many wait in that queue, only with `queue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_size: Option<u64>,
}

/// `GET /v1/enclaves/{name}/events`: what has happened, the oldest first. Older ones than the newest
/// [`crate::bounds::EVENTS`] are dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnclaveEvents {
    /// After the sequence number that was asked for (`?after=`).
    pub events: Vec<EnclaveEvent>,
}

/// Something that has happened to an enclave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnclaveEvent {
    /// Counts the events of this enclave, from 1, without gaps.
    pub seq: u64,
    /// Unix seconds.
    pub at: u64,
    /// The state that it left the enclave in.
    pub state: State,
    /// A stage of a start ([`Stage::name`]), `warning`, or the state's name.
    pub stage: String,
    /// For people.
    pub message: String,
    /// Stable code, with `failed` and `warning`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Stable code below `reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// 0..=100.
    pub progress: u32,
}

/// `POST /v1/enclaves/{name}/extend`: 200 with [`Enclave`]. It is not stopped for idleness or age before that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendEnclave {
    /// From now.
    pub seconds: u64,
}

/// `POST /v1/enclaves/{name}/token`.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnclaveToken {
    /// `at+jwt` for this enclave only, bound to the client certificate of this connection.
    pub token: Secret,
    /// Seconds, at most 300.
    pub expires_in: u64,
}
