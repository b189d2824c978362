//! What the operator decides about the verifier.

use std::path::PathBuf;

use names::{Level, TrustDomain};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An authority for endorsement keys, as the operator trusts it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnchorFile {
    /// Its certificate, PEM or DER.
    pub certificate: PathBuf,
    /// What a TPM below it proves.
    #[schemars(with = "String")]
    pub level: Level,
    /// What it is called in logs and on the screen.
    pub name: String,
}

/// Configuration of the verifier, one YAML file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub socket: PathBuf,
    /// Where the signer listens.
    pub signer_socket: PathBuf,
    /// Folder of what it remembers: which endorsement key belongs to which node.
    pub directory: PathBuf,
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// The trust store for endorsement keys.
    pub endorsement_anchors: Vec<AnchorFile>,
    /// Certificates that complete chains which nodes send without their intermediates.
    #[serde(default)]
    pub endorsement_intermediates: Vec<PathBuf>,
    /// The node policy, JSON.
    pub node_policy: PathBuf,
    /// What a chain below the signer's root is worth at most.
    #[serde(default = "tpm")]
    pub root_level: Level,
}

fn tpm() -> Level {
    Level::Tpm
}
