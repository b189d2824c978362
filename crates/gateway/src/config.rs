//! The configuration file.

use std::net::SocketAddr;
use std::path::PathBuf;

use names::TrustDomain;
use serde::{Deserialize, Serialize};

use crate::Origin;
use crate::timeouts::Timeouts;

/// The configuration file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The public address.
    pub listen: SocketAddr,
    /// `HOST:PORT` of the edge, as clients dial it.
    pub edge: String,
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// The controller's Unix socket.
    pub controller: PathBuf,
    /// The folder of the apps' files.
    pub blobs: PathBuf,
    /// Where the public keys of tokens are written for the facades.
    pub jwks: PathBuf,
    /// Connections at one time.
    #[serde(default = "default_connections")]
    pub connections: usize,
    /// How long peers may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Enclaves per user.
    #[serde(default)]
    pub quota: Quota,
    /// The pool that hashes passwords.
    #[serde(default)]
    pub hashing: Hashing,
    /// Second factors and pages.
    pub factors: Factors,
}

const fn default_connections() -> usize {
    1024
}

/// Second factors and pages.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factors {
    /// Seals second factors in the database; made at the first start. All gateways of a deployment need the same one, and a backup of the
    /// database is worth little without it.
    pub key_file: PathBuf,
    /// How browsers reach the gateway: `https://HOST[:PORT]`. Passkeys are bound to the host. `https://localhost:PORT` where nothing is said.
    #[serde(default)]
    pub public_origin: Option<Origin>,
}

/// Enclaves per user.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// That run or are wanted to.
    pub active: u32,
    /// In all.
    pub total: u32,
}

impl Default for Quota {
    fn default() -> Self {
        let store::Quota { active, total } = store::Quota::default();
        Self { active, total }
    }
}

impl From<Quota> for store::Quota {
    fn from(quota: Quota) -> Self {
        Self { active: quota.active, total: quota.total }
    }
}

/// The pool that hashes passwords: each hash takes 19 MiB and one core for some tens of milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hashing {
    /// Hashes at one time.
    pub threads: usize,
    /// Requests that may wait; more are answered `busy`.
    pub queue: usize,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { threads: 2, queue: 64 }
    }
}
