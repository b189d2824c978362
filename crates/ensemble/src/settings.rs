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
    /// The gateway: limits, quota, licences, lives of enclaves.
    pub gateway: gateway::Settings,
    /// The controller: how much at once, how long anything may take.
    pub controller: controller::Settings,
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

    fn read(text: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("up.yaml");
        std::fs::write(&path, text).unwrap();
        server::config::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_guide_shows_the_defaults() {
        let guide = include_str!("../../../docs/operations.md");
        let (_, example) = guide.split_once("```yaml\ngateway:\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let shown = read(&format!("gateway:\n{example}")).unwrap();
        let json = |settings: &Settings| serde_json::to_value(settings).unwrap();
        assert_eq!(json(&shown), json(&Settings::default()));
    }

    #[test]
    fn what_can_not_be_meant_is_refused_with_its_line() {
        for (line, text) in [
            (3, "gateway:\n  quota:\n    activ: 3\n"),
            (2, "gateway:\n  license: required\n"),
            (2, "gateway:\n  licensing: maybe\n"),
            (3, "gateway:\n  quota:\n    active: 0\n"),
            (2, "gateway:\n  connections: 0\n"),
            (3, "gateway:\n  lives:\n    stored_bytes: 0\n"),
            (4, "gateway:\n  lives:\n    starts_of_user:\n      burst: 0\n      every: 1\n"),
            (3, "gateway:\n  lives:\n    idle_timeout: {default: 60, most: 30}\n"),
            (3, "gateway:\n  lives:\n    max_age: {most: 0}\n"),
            (3, "gateway:\n  hashing:\n    threads: 0\n"),
            (2, "gateway:\n  limits: {account_pause: 1000}\n"),
            (3, "gateway:\n  token_keys:\n    rotate: 0\n"),
            (3, "gateway:\n  timeouts:\n    head: -1\n"),
            (3, "controller:\n  limits:\n    starts: 0\n"),
            (4, "controller:\n  limits:\n    deadlines:\n      stop: 0\n"),
            (3, "controller:\n  licenses:\n    warning: 0\n"),
            (2, "controller:\n  settings: {}\n"),
        ] {
            let error = read(text).map(|_| ()).unwrap_err();
            assert!(error.contains(&format!("line {line}")), "{text}{error}");
        }
    }

    /// The original's secrets file was UTF-16 with a byte order mark, written by a shell's redirection (portal.md 1.1, defect 11).
    #[test]
    fn a_file_in_utf_16_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("up.yaml");
        let text = "\u{feff}gateway: {licensing: required}\n";
        std::fs::write(&path, text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
        assert!(server::config::read::<Settings>(&path).is_err());
    }

    #[test]
    fn the_effective_configuration_is_a_configuration_again() {
        let effective = serde_json::to_string(&Settings::default()).unwrap();
        let again: Settings = serde_json::from_str(&effective).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), effective);
    }
}
