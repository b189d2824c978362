//! The configuration file of a gateway alone: where things are. What an operator decides is in [`Settings`].

use std::net::SocketAddr;
use std::path::PathBuf;

use names::TrustDomain;
use serde::{Deserialize, Serialize};

use crate::{Origin, Settings};

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
    /// The Unix sockets of the controllers: one, or a list.
    #[serde(deserialize_with = "server::config::one_or_more")]
    pub controller: Vec<PathBuf>,
    /// The folder of the apps' files.
    pub blobs: PathBuf,
    /// Where the public keys of tokens are written for the facades.
    pub jwks: PathBuf,
    /// Signs licence files; made at the first start, with mode 0600.
    pub license_key: PathBuf,
    /// Second factors and pages.
    pub factors: Factors,
    /// What an operator decides.
    #[serde(default)]
    pub settings: Settings,
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
