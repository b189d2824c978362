//! Trust policies: what a client or the signer accepts, each reference value with its source.

use alloc::string::String;
use alloc::vec::Vec;

use names::{Digest, EnclaveId, Level};
use serde::{Deserialize, Serialize};

/// Who vouches for a reference value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The user computed or wrote it.
    UserFile,
    /// A publisher whose key the user chose signed it.
    PublisherSignature,
    /// The operator of the service said so: worth as much as the operator.
    Operator,
    /// It was seen at first use and is kept since.
    FirstUse,
}

impl Source {
    /// The words on the screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserFile => "user file",
            Self::PublisherSignature => "publisher signature",
            Self::Operator => "operator",
            Self::FirstUse => "first use",
        }
    }
}

/// A digest that is accepted, and on whose word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The accepted value.
    pub digest: Digest,
    /// Who vouches for it.
    pub source: Source,
}

/// Which versions are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Versions {
    /// Any version: for a CA that certifies keys and does not judge software. Named under "not proved".
    Any,
    /// One of these.
    OneOf(Vec<Reference>),
}

/// What a relying party accepts. Absent options are not checked and are named under "not proved" where that matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Lowest level that is accepted. [`Level::Simulated`] only where the user said so for this call or context.
    pub min_level: Level,
    /// The signed PCR selection must be exactly this, ascending.
    pub pcrs: Vec<u8>,
    /// Accepted version digests.
    pub versions: Versions,
    /// The enclave that is meant.
    #[serde(default)]
    pub enclave: Option<EnclaveId>,
    /// The owner that is meant: SHA-256 of the key (SPKI).
    #[serde(default)]
    pub owner: Option<Digest>,
    /// The exact DNS name that the enclave's certificate must have.
    #[serde(default)]
    pub dns_name: Option<String>,
    /// The lowest incarnation that is accepted: a lower one is a rollback.
    #[serde(default)]
    pub min_incarnation: u64,
    /// Agent binaries that the user pins beside the verifier's word.
    #[serde(default)]
    pub agents: Vec<Reference>,
    /// Facade binaries that the user pins beside the verifier's word.
    #[serde(default)]
    pub facades: Vec<Reference>,
}

impl Policy {
    /// PCRs that are signed unless a policy says otherwise: boot, boot loader, kernel, IMA, enclave log, MOK.
    pub const DEFAULT_PCRS: [u8; 13] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14];

    /// A policy that accepts these versions at `tpm` or better, and says nothing else.
    #[must_use]
    pub fn new(versions: Versions) -> Self {
        Self {
            min_level: Level::Tpm,
            pcrs: Self::DEFAULT_PCRS.to_vec(),
            versions,
            enclave: None,
            owner: None,
            dns_name: None,
            min_incarnation: 0,
            agents: Vec::new(),
            facades: Vec::new(),
        }
    }
}
