//! Bodies of the original licensing server's routes, with its field names.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::Secret;

/// `POST /signup` and `POST /login`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// Account name.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// Answer to a sign-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedUp {
    /// `true`.
    pub success: bool,
    /// For people.
    pub message: String,
}

/// Answer to a login.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoggedIn {
    /// `true`.
    pub success: bool,
    /// For people.
    pub message: String,
    /// The user's enclave of the default app.
    #[serde(rename = "enclaveName")]
    pub enclave_name: String,
    /// Where it answers: its name, never resolved, and the edge's port.
    #[serde(rename = "accessPoint")]
    pub access_point: String,
    /// For this enclave, bound to the client certificate.
    pub token: Secret,
}

/// A sign-up that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why.
    pub error: String,
}

/// A login with a wrong name or password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongPassword {
    /// `Invalid credentials`.
    pub message: String,
}
