//! Accounts and sessions.

use alloc::string::String;

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

/// `GET /v1/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
}
