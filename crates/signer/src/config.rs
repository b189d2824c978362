//! What the operator decides about the signer.

use std::path::PathBuf;

use names::{Level, TrustDomain};
use serde::{Deserialize, Serialize};

/// Configuration of the signer, one YAML file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub socket: PathBuf,
    /// Folder of the root's key blobs and certificate.
    pub directory: PathBuf,
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// Every enclave's host name is one label below this.
    #[serde(default = "enclaves_domain")]
    pub enclaves_domain: String,
    /// Lowest level of a node whose enclaves get certificates.
    #[serde(default = "tpm")]
    pub min_level: Level,
    /// What a chain below our own root is worth at most.
    #[serde(default = "tpm")]
    pub root_level: Level,
    /// The PCRs that a quote must cover, ascending.
    #[serde(default = "pcrs")]
    pub pcrs: Vec<u8>,
}

impl Config {
    /// A configuration with defaults for everything that has one.
    pub fn new(socket: PathBuf, directory: PathBuf, trust_domain: TrustDomain) -> Self {
        Self {
            socket,
            directory,
            trust_domain,
            enclaves_domain: enclaves_domain(),
            min_level: tpm(),
            root_level: tpm(),
            pcrs: pcrs(),
        }
    }
}

fn enclaves_domain() -> String {
    names::ENCLAVES_DOMAIN.to_owned()
}

fn tpm() -> Level {
    Level::Tpm
}

fn pcrs() -> Vec<u8> {
    appraisal::Policy::DEFAULT_PCRS.to_vec()
}
