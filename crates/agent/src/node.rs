//! What the agent's tasks share: the TPM, the journal, the registry, and what enrolment gave.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hardware::{EndorsementKey, LoadedKey, TpmHandle};
use names::{Digest, Level, SpiffeId, TrustDomain};
pub(crate) use server::clock::now;
use tokio::sync::watch;

use crate::journal::Journal;
use crate::registry::Registry;

/// Keys of this node, made in the TPM and kept loaded by its owner.
pub(crate) struct Keys {
    pub(crate) endorsement: EndorsementKey,
    pub(crate) enclave: LoadedKey,
    pub(crate) keylime: LoadedKey,
}

/// What the verifier gave at enrolment.
#[derive(Debug, Clone)]
pub(crate) struct Enrolment {
    pub(crate) node: SpiffeId,
    pub(crate) level: Level,
    /// Certificate chain of `ak-enclave`, DER, leaf first.
    pub(crate) enclave_chain: Vec<Vec<u8>>,
    /// Certificate chain of `ak-keylime`.
    pub(crate) keylime_chain: Vec<Vec<u8>>,
}

/// The verifier's latest word.
#[derive(Debug, Clone)]
pub(crate) struct CurrentVerdict {
    pub(crate) token: String,
    pub(crate) expires: u64,
}

pub(crate) struct Node {
    pub(crate) tpm: TpmHandle,
    pub(crate) keys: Arc<Keys>,
    pub(crate) journal: Arc<Mutex<Journal>>,
    pub(crate) registry: Arc<Mutex<Registry>>,
    pub(crate) enrolment: watch::Receiver<Option<Enrolment>>,
    pub(crate) verdict: watch::Receiver<Option<CurrentVerdict>>,
    pub(crate) trust_domain: TrustDomain,
    /// Told at each word about a facade's process.
    pub(crate) bound: tokio::sync::Notify,
    pub(crate) agent_digest: Digest,
    pub(crate) pcrs: Vec<u8>,
    pub(crate) folder: std::path::PathBuf,
    pub(crate) boot_log: std::path::PathBuf,
    pub(crate) ima_log: std::path::PathBuf,
}

impl Node {
    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enrolled(&self) -> Option<Enrolment> {
        self.enrolment.borrow().clone()
    }

    /// The verdict, unless it has ended.
    pub(crate) fn current_verdict(&self) -> Option<CurrentVerdict> {
        self.verdict.borrow().clone().filter(|verdict| verdict.expires > now())
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
