//! What an operator decides about a gateway: the same in the file of a gateway alone (`gateway: settings:`) and in that of `up` (`gateway:`).
//!
//! Invariant: a value that was read can be meant; a bound of nothing, or a default beyond its most, is refused where it is written.

use std::num::NonZeroU32;

use lifecycle::positive;
use passwords::{Breached, Hashing};
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::proxied::Network;
use crate::{Lives, Timeouts};

/// What an operator decides about a gateway. Everything has a default.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "GatewaySettings")]
pub struct Settings {
    /// Connections at one time.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub connections: usize,
    /// Connections of one source: an IPv4 address or an IPv6 /64. A proxy in front of the gateway is one.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub connections_per_source: usize,
    /// The app whose enclave `POST /login` provisions; without one there is no such login.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub default_app: Option<workload::AppName>,
    /// Load balancers that say with the PROXY protocol, version 2, whose connections they pass on: `192.0.2.10`, `10.8.0.0/16`. They have to say it, and
    /// nobody else may.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<Network>,
    /// Days after which entries of the audit log are removed; never where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_days: Option<NonZeroU32>,
    /// How long peers may take.
    pub timeouts: Timeouts,
    /// Enclaves per user.
    pub quota: Quota,
    /// Whether enclaves need a licence.
    pub licensing: Licensing,
    /// How long enclaves live, how often they start, how much is stored.
    pub lives: Lives,
    /// The pool that hashes passwords.
    pub hashing: Hashing,
    /// New passwords.
    pub passwords: Passwords,
    /// Attempts at passwords, and sign-ups.
    #[serde(deserialize_with = "sound_limits")]
    pub limits: Limits,
    /// The keys that sign tokens.
    pub token_keys: TokenKeys,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_source: 512,
            default_app: None,
            trusted_proxies: Vec::new(),
            audit_days: None,
            timeouts: Timeouts::default(),
            quota: Quota::default(),
            licensing: Licensing::default(),
            lives: Lives::default(),
            hashing: Hashing::default(),
            passwords: Passwords::default(),
            limits: Limits::default(),
            token_keys: TokenKeys::default(),
        }
    }
}

/// Whether enclaves need a licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Licensing {
    /// The quota is all.
    #[default]
    Off,
    /// Nothing is created or started without a licence that covers it.
    Required,
}

/// Enclaves per user.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// That run or are wanted to.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub active: u32,
    /// In all.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub total: u32,
}

impl Default for Quota {
    fn default() -> Self {
        let store::Quota { active, total, licensing: _ } = store::Quota::default();
        Self { active, total }
    }
}

impl Settings {
    /// What a start is held against.
    pub(crate) const fn limits_of_starts(&self) -> store::Quota {
        let licensing = match self.licensing {
            Licensing::Off => store::Licensing::Off,
            Licensing::Required => store::Licensing::Required,
        };
        store::Quota { active: self.quota.active, total: self.quota.total, licensing }
    }
}

/// New passwords.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Passwords {
    /// The operator's file of breached passwords, `SHA1:COUNT` lines as the official downloader of Have I Been Pwned writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breached: Option<Breached>,
}

/// Attempts at passwords, and sign-ups. They hold over all gateways of a database.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "AccountLimits")]
pub struct Limits {
    /// Wrong passwords of one account before the first pause.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub account_failures: u32,
    /// The first pause in seconds; each further wrong password doubles it.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub account_pause: u64,
    /// The longest pause in seconds.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub account_pause_longest: u64,
    /// Logins from one address at once.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub login_burst: u32,
    /// Logins from one address per minute, in the long run.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub logins_per_minute: u32,
    /// Sign-ups from one address at once.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub sign_up_burst: u32,
    /// Sign-ups from one address per hour, in the long run.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Loopback {
    /// Not limited by address; accounts are limited all the same.
    Exempt,
    /// Limited like every other address.
    Counted,
}

/// The keys that sign tokens.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenKeys {
    /// Seconds after which a gateway makes a new one.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub rotate: u64,
    /// Seconds between looks at the other gateways' keys.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub poll: u64,
}

impl Default for TokenKeys {
    fn default() -> Self {
        Self { rotate: 24 * 3600, poll: 5 }
    }
}

fn sound_limits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Limits, D::Error> {
    let limits = Limits::deserialize(deserializer)?;
    if limits.account_pause > limits.account_pause_longest {
        return Err(D::Error::custom("account_pause is longer than account_pause_longest"));
    }
    Ok(limits)
}
