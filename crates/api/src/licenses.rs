//! Plans and licences.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use licensing::{AkName, Entitlement, HeartbeatStatus, LicenseId, PlanCode, Status, Terms};
use serde::{Deserialize, Serialize};

/// `POST /v1/admin/plans`: 201 with [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreatePlan {
    /// Its code.
    pub code: PlanCode,
    /// What it offers; never changed afterwards.
    pub terms: Terms,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its code.
    pub code: PlanCode,
    /// What it offers.
    pub terms: Terms,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds: it issues no more licences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<u64>,
}

/// `GET /v1/admin/plans`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanList {
    /// In the order of their codes.
    pub plans: Vec<Plan>,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `POST /v1/admin/licenses`: 201 with [`License`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueLicense {
    /// On which plan.
    pub plan: PlanCode,
    /// Name of the account that will hold it; it gets the first seat.
    pub holder: String,
    /// TPM name of the attestation key of the one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<AkName>,
}

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct License {
    /// Its id.
    pub id: LicenseId,
    /// Its plan.
    pub plan: PlanCode,
    /// What it is now.
    pub status: Status,
    /// Id of the account that holds it.
    pub holder: String,
    /// Ids of the accounts with a seat; to others than the holder and an admin, their own.
    pub users: BTreeSet<String>,
    /// Seats that are taken.
    pub seats_used: u32,
    /// Seats of the plan.
    pub seats: u32,
    /// Enclaves that are up on it.
    pub enclaves_used: u32,
    /// Enclaves of the plan.
    pub enclaves: u32,
    /// What it covers, by its plan and by itself.
    pub entitlements: BTreeSet<Entitlement>,
    /// TPM name of the attestation key of the one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<AkName>,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds; absent for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Unix seconds at which the expiry takes effect: after the grace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<u64>,
    /// Unix seconds by which the holder must check in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_in_by: Option<u64>,
    /// Seconds between the pings of each enclave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_interval: Option<u64>,
}

/// `GET /v1/licenses`, `GET /v1/admin/licenses`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseList {
    /// In the order of their ids.
    pub licenses: Vec<License>,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `PUT /v1/admin/licenses/{id}/node`: 200 with [`License`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockToNode {
    /// TPM name of the attestation key of the one node.
    pub node: AkName,
}

/// `POST /v1/licenses/{id}/validate`: 200 with [`Validation`]. What is absent is not looked at; the caller's seat always is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validate {
    /// Is it on this plan?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanCode>,
    /// Does it hold on this node?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<AkName>,
    /// Does it cover all of these?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entitlements: Option<Vec<Entitlement>>,
    /// Is this enclave of the caller's alive on it?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enclave: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// Whether it holds.
    pub valid: bool,
    /// Stable code (docs/formats.md, 10); a string so that older clients read newer codes.
    pub code: String,
    /// For people.
    pub detail: String,
}

/// `POST /v1/licenses/{id}/checkout`: 200 with [`LicenseFile`]. A client certificate is needed: its key is written into the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckOut {
    /// Seconds for which the file is in force: an hour to 31 days; a day when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// TPM name of the attestation key of the one node that the file is for; a licence that is locked to one writes that one anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<AkName>,
}

/// A licence file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseFile {
    /// The text (docs/formats.md, 10).
    pub file: String,
    /// Unix seconds.
    pub issued: u64,
    /// Unix seconds.
    pub expiry: u64,
    /// Seconds; shorter than asked for where the licence ends before.
    pub ttl: u64,
}

/// `POST /v1/licenses/{id}/heartbeat`: 200 with [`Heartbeat`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// Name of an enclave of the caller's that is up on this licence.
    pub enclave: String,
}

/// What a ping found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// What it is now.
    pub status: HeartbeatStatus,
    /// Unix seconds by which the next ping should come; absent where the plan wants none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_by: Option<u64>,
}

/// `GET /v1/licenses/{id}/events`, `GET /v1/admin/licenses/{id}/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseEvents {
    /// The oldest first.
    pub events: Vec<LicenseEvent>,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Something that happened, in the past tense.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseEvent {
    /// Counts the events of a licence, from 1.
    pub seq: u64,
    /// Unix seconds.
    pub at: u64,
    /// `license.suspended`, `lease.stop.announced` and so on.
    pub event: String,
    /// User id, enclave id, entitlement or node; may be empty.
    pub subject: String,
}

/// `GET /.well-known/license-keys.json`: the keys of which files may be in force (RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseKeys {
    /// The newest first.
    pub keys: Vec<LicenseKey>,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseKey {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// `EdDSA`.
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// The key's id (docs/formats.md, 10).
    pub kid: String,
    /// The public key, base64url without padding.
    pub x: String,
}
