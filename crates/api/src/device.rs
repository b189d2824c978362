//! A device without a browser signs in by a code that a person types elsewhere (RFC 8628).
//!
//! `POST /v1/device/authorization` and `POST /v1/device/token` take `application/x-www-form-urlencoded` and answer JSON as OAuth does, with
//! [`DeviceError`] as `{"error": …}`; the routes for the person answer problems like all others.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::Secret;
use crate::accounts::User;

/// The client id of `sealwright`; no other is known.
pub const CLIENT_ID: &str = "sealwright";
/// `grant_type` of `POST /v1/device/token`.
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// `POST /v1/device/authorization` (RFC 8628, 3.1); parameters that we do not know are ignored, as OAuth wants it.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeviceAuthorization {
    /// [`CLIENT_ID`].
    pub client_id: String,
}

/// Its answer (RFC 8628, 3.2).
#[derive(Clone, Serialize, Deserialize)]
pub struct DeviceCode {
    /// What the device asks with.
    pub device_code: Secret,
    /// What the person types: `BCDF-GHJK`.
    pub user_code: String,
    /// Where the person types it.
    pub verification_uri: String,
    /// The same with the code filled in. The person still has to compare and to confirm it.
    pub verification_uri_complete: String,
    /// Life of both codes in seconds.
    pub expires_in: u64,
    /// Seconds between two questions of the device.
    pub interval: u64,
}

/// `POST /v1/device/token` (RFC 8628, 3.4).
#[derive(Clone, Serialize, Deserialize)]
pub struct DeviceTokenRequest {
    /// [`GRANT_TYPE`].
    pub grant_type: String,
    /// [`DeviceCode::device_code`].
    pub device_code: Secret,
    /// [`CLIENT_ID`].
    pub client_id: String,
}

/// Its answer once the person has said yes (RFC 6749, 5.1): a session of its own, bound to the device's client certificate if it has one.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeviceTokens {
    /// As [`crate::accounts::Tokens::access_token`].
    pub access_token: Secret,
    /// `Bearer`.
    pub token_type: String,
    /// As [`crate::accounts::Tokens::refresh_token`].
    pub refresh_token: Secret,
    /// Life of the access token in seconds.
    pub expires_in: u64,
    /// Whose tokens they are.
    pub user: User,
}

/// What is answered instead (RFC 6749, 5.2), with status 400.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceProblem {
    /// One of [`DeviceError`].
    pub error: String,
    /// For people.
    pub error_description: String,
}

/// The names of RFC 8628, 3.5 and RFC 6749, 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceError {
    /// Nobody has decided yet: ask again.
    AuthorizationPending,
    /// The same, and from now on five seconds more between two questions.
    SlowDown,
    /// The person said no.
    AccessDenied,
    /// Nobody has decided in time: begin anew.
    ExpiredToken,
    /// No such code, or it was redeemed, or the client certificate is another.
    InvalidGrant,
    /// The form can't be read.
    InvalidRequest,
    /// Another client id.
    InvalidClient,
    /// Another grant type.
    UnsupportedGrantType,
}

impl DeviceError {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::AccessDenied => "access_denied",
            Self::ExpiredToken => "expired_token",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }
}

/// `POST /v1/device/lookup`, `…/approve` and `…/deny`, by a person who is signed in.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserCode {
    /// As the person typed it; case, hyphens and spaces do not matter.
    pub user_code: String,
}

/// Answer of `POST /v1/device/lookup`: which device asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingDevice {
    /// What it calls itself; whoever began may have made it up.
    pub agent: String,
    /// A short mark of its network address, the same for the same address on the same day.
    pub address: String,
    /// Whether that is the address which this question came from.
    pub same_address: bool,
    /// Whether its session will be bound to its client certificate.
    pub bound: bool,
    /// When it began, unix seconds.
    pub created_at: u64,
    /// Until when it waits, unix seconds.
    pub expires_at: u64,
}
