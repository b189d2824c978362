//! Sign-in at another provider (OpenID Connect).

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/oidc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Providers {
    /// Where one can sign in.
    pub providers: Vec<Provider>,
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its name in paths.
    pub id: String,
    /// Its name on buttons.
    pub name: String,
}

/// Answer of `POST /v1/oidc/{provider}/start` and `POST /v1/me/identities/{provider}/start`, with a cookie that the way back needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInStart {
    /// Where to send the browser.
    pub authorization_url: String,
}

/// `POST /v1/oidc/{provider}/callback`: what the provider sent the browser back with. Answered 200 with [`crate::accounts::Tokens`].
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInReturn {
    /// The authorization code.
    #[serde(default)]
    pub code: String,
    /// The `state` of the start.
    #[serde(default)]
    pub state: String,
    /// RFC 9207.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// What the provider says instead of a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Answer of `GET /v1/me/identities`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identities {
    /// Providers that open the account.
    pub identities: Vec<LinkedIdentity>,
}

/// A provider that opens the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedIdentity {
    /// Its issuer.
    pub issuer: String,
    /// Unix seconds.
    pub created_at: u64,
}
