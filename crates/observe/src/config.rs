//! The `observe` part of a configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is shown to operators, and where. Nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where `/metrics`, `/healthz` and `/readyz` answer, in plain HTTP without a login: a loopback address, or one that only the
    /// monitoring reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// The same on a Unix socket (mode 0600).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Where traces go; nowhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<Traces>,
}

/// An OpenTelemetry collector on this machine or in this pod (OTLP over HTTP, JSON).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// Its address, usually port 4318. Plain HTTP: what leaves the machine is the collector's task, with its own TLS.
    #[schemars(with = "String")]
    pub collector: SocketAddr,
}
