//! The configuration file.

use std::net::SocketAddr;
use std::path::PathBuf;

use names::TrustDomain;
use passwords::{Breached, Hashing};
use serde::{Deserialize, Serialize};

use crate::timeouts::Timeouts;
use crate::{Lives, Origin};

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
    /// The app whose enclave `POST /login` provisions; without one there is no such login.
    #[serde(default)]
    pub default_app: Option<workload::AppName>,
    /// How long peers may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Enclaves per user.
    #[serde(default)]
    pub quota: Quota,
    /// Whether enclaves need a licence.
    #[serde(default)]
    pub licensing: Licensing,
    /// Signs licence files; made at the first start, with mode 0600.
    pub license_key: PathBuf,
    /// How long enclaves live, and how often they start.
    #[serde(default)]
    pub lives: Lives,
    /// The pool that hashes passwords.
    #[serde(default)]
    pub hashing: Hashing,
    /// Second factors and pages.
    pub factors: Factors,
    /// New passwords.
    #[serde(default)]
    pub passwords: Passwords,
    /// Attempts at passwords, and sign-ups.
    #[serde(default)]
    pub limits: Limits,
    /// The keys that sign tokens.
    #[serde(default)]
    pub token_keys: TokenKeys,
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
    /// Other providers where people can sign in (OpenID Connect).
    #[serde(default)]
    pub providers: Vec<::oidc::ProviderConfig>,
}

/// Whether enclaves need a licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Licensing {
    /// The quota is all.
    #[default]
    Off,
    /// Nothing is created or started without a licence that covers it.
    Required,
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
        let store::Quota { active, total, licensing: _ } = store::Quota::default();
        Self { active, total }
    }
}

impl Config {
    /// What a start is held against.
    pub(crate) const fn limits(&self) -> store::Quota {
        let licensing = match self.licensing {
            Licensing::Off => store::Licensing::Off,
            Licensing::Required => store::Licensing::Required,
        };
        store::Quota { active: self.quota.active, total: self.quota.total, licensing }
    }
}

/// New passwords.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passwords {
    /// The operator's file of breached passwords, `SHA1:COUNT` lines as the official downloader of Have I Been Pwned writes them.
    #[serde(default)]
    pub breached: Option<Breached>,
}

/// Attempts at passwords, and sign-ups. They hold over all gateways of a database.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Wrong passwords of one account before the first pause.
    pub account_failures: u32,
    /// The first pause in seconds; each further wrong password doubles it.
    pub account_pause: u64,
    /// The longest pause in seconds.
    pub account_pause_longest: u64,
    /// Logins from one address at once.
    pub login_burst: u32,
    /// Logins from one address per minute, in the long run.
    pub logins_per_minute: u32,
    /// Sign-ups from one address at once.
    pub sign_up_burst: u32,
    /// Sign-ups from one address per hour, in the long run.
    pub sign_ups_per_hour: u32,
    /// What connections from this machine itself are.
    pub loopback: Loopback,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            account_failures: 6,
            account_pause: 30,
            account_pause_longest: 900,
            login_burst: 30,
            logins_per_minute: 20,
            sign_up_burst: 10,
            sign_ups_per_hour: 10,
            loopback: Loopback::Exempt,
        }
    }
}

/// Connections from this machine come from its own users, or from a proxy that hides everybody behind one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loopback {
    /// Not limited by address; accounts are limited all the same.
    Exempt,
    /// Limited like every other address.
    Counted,
}

/// The keys that sign tokens.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenKeys {
    /// Seconds after which a gateway makes a new one.
    pub rotate: u64,
    /// Seconds between looks at the other gateways' keys.
    pub poll: u64,
}

impl Default for TokenKeys {
    fn default() -> Self {
        Self { rotate: 24 * 3600, poll: 5 }
    }
}
