//! The one configuration file of `up`: everything that differs from the defaults.
//!
//! Every key has a default, an unknown one is refused with its line, and secrets are paths, never values. `docs/config.schema.json` is made from
//! these types.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::DatabaseUrl;

/// Settings of `sealwright up`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Users, sessions, apps, enclaves: a SQLite file's path, or `postgres://USER@HOST/NAME?password_file=PATH`. A file in the data folder if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub database: Option<DatabaseUrl>,
    /// Where the gateway listens, `HOST:PORT`. A free port of loopback if absent, taken once and kept in the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// How browsers reach the gateway, `https://HOST[:PORT]`: passkeys are bound to the host. `https://localhost:PORT` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub public_origin: Option<gateway::Origin>,
    /// Other providers where people can sign in (OpenID Connect).
    pub providers: Vec<oidc::ProviderConfig>,
    /// The facade's executable; beside our own if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facade: Option<PathBuf>,
    /// With a TPM device: its vendor's root certificates, each with what it is worth.
    pub endorsement_anchors: Vec<verifier::AnchorFile>,
    /// Certificates between those and the TPM's endorsement key.
    pub endorsement_intermediates: Vec<PathBuf>,
    /// What monitoring sees, and where.
    pub observe: observe::Config,
    /// Runs apps also where this machine does not allow to isolate them.
    pub dangerous_unisolated_apps: bool,
    /// Ends the process at a step of an enclave's life, so that a test can see what the next start mends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub dangerous_failpoint: Option<controller::Failpoint>,
}

impl Settings {
    /// The schema of the file, as JSON text (JSON Schema 2020-12).
    #[must_use]
    pub fn schema() -> String {
        let schema = schemars::schema_for!(Self);
        let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        let committed = include_str!("../../../docs/config.schema.json");
        assert_eq!(
            committed,
            Settings::schema(),
            "write it anew: cargo run --package sealwright -- config-schema >docs/config.schema.json"
        );
    }

    #[test]
    fn the_effective_configuration_is_a_configuration_again() {
        let effective = serde_json::to_string(&Settings::default()).unwrap();
        let again: Settings = serde_json::from_str(&effective).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), effective);
    }
}
