//! Accounts and sessions.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Secret;
use crate::factors::SecondFactor;

/// `POST /v1/users` (201 with [`User`]) and `POST /v1/sessions` (200 with [`Tokens`]).
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Account name; folded to lower case by the gateway. See [`crate::bounds::ACCOUNT_NAME_BYTES`].
    pub name: String,
    /// At least 15 characters, at most 1024 bytes.
    pub password: Secret,
    /// At a login to an account that has second factors: one of them. Without it the answer is `second_factor_required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<SecondFactor>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Opaque id, 32 hex; the `sub` of tokens.
    pub id: String,
    /// Name, lower case.
    pub name: String,
}

/// Answer to a login and to a refresh. Both tokens are bound to the client certificate that was presented, if one was.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// `at+jwt` for the gateway (RFC 9068), sent as `Authorization: Bearer`.
    pub access_token: Secret,
    /// Opaque, works once; using it twice ends the session (RFC 9700, 4.14).
    pub refresh_token: Secret,
    /// Life of the access token in seconds.
    pub expires_in: u64,
    /// Whose tokens they are.
    pub user: User,
}

/// `POST /v1/sessions/refresh`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The newest refresh token of the session.
    pub refresh_token: Secret,
}

/// `PUT /v1/me/password` (204): every other session of the account ends.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password as it is.
    pub old_password: Secret,
    /// At least 15 characters, at most 1024 bytes.
    pub new_password: Secret,
}

/// One of the caller's sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEntry {
    /// Id, 32 hex.
    pub id: String,
    /// What the client said it is; empty when it said nothing. Not proved.
    pub client: String,
    /// Whether it is bound to a client certificate.
    pub bound: bool,
    /// Whether it is the one that asks.
    pub current: bool,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds, to within five minutes.
    pub used_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
}

/// `GET /v1/sessions`: those that hold, the newest first; never more than 51.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// The sessions.
    pub sessions: Vec<SessionEntry>,
}

/// `DELETE /v1/sessions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsEnded {
    /// How many other sessions were ended.
    pub ended: u64,
}

/// An account as an admin sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Opaque id, 32 hex.
    pub id: String,
    /// Name, lower case.
    pub name: String,
    /// `user` or `admin`.
    pub role: String,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds; absent when it is not disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<u64>,
}

/// `GET /v1/admin/users`: in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// The accounts.
    pub users: Vec<Account>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// 1, 2, 3 and so on.
    pub seq: u64,
    /// Unix seconds.
    pub at: u64,
    /// User id of who did it; empty when nobody is known.
    pub actor: String,
    /// What was tried.
    pub action: String,
    /// What it was about: a user id, a session id, a name.
    pub subject: String,
    /// `ok`, or the code of the refusal.
    pub result: String,
    /// Id of the request.
    pub request: String,
    /// The day's tag of the caller's address: the same address has another one tomorrow.
    pub address: String,
    /// Hash of the entry before.
    pub prev: String,
    /// Hash of this one; docs/formats.md says over what.
    pub hash: String,
}

/// The end of the audit log's chain. Kept elsewhere, it shows later that nothing before it was cut off or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Number of the last entry.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// A JWS of both, of type `audit-head+jwt`, by the key that signs tokens at this time.
    pub signed: String,
}

/// `GET /v1/audit` and `GET /v1/admin/audit`: the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Only for admins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<AuditHead>,
}

/// `GET /v1/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
}
