//! The agent: one per node, the only owner of the TPM. It keeps the enclave log, makes evidence in batches, and knows
//! which local process is which enclave's facade.
//!
//! Not here: whether evidence is good (`evidence`, `appraisal`), who may start enclaves (`controller`), and any listener
//! that a network can reach. Started by the composing tool or by its own small `main`.

mod certify;
mod config;
mod endpoints;
mod enrol;
mod journal;
mod node;
mod registry;
mod sealer;
pub mod simulated;

use std::os::unix::fs::DirBuilderExt;
use std::sync::{Arc, Mutex};

use hardware::{AkPurpose, Lane, OwnerError, Tpm, TpmError, TpmHandle};
use server::Tasks;
use tokio::sync::watch;

pub use config::Config;
pub use enrol::EnrolError;
pub use journal::{Boot, Journal, JournalError};
pub use registry::{BoundProcess, CallerRefused, Registry, executable_digest};

use node::{Keys, Node};

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The TPM.
    #[error("the TPM")]
    Tpm(#[from] TpmError),
    /// The TPM's owner.
    #[error("the TPM's owner")]
    Owner(#[from] OwnerError),
    /// The enclave log.
    #[error("the enclave log")]
    Journal(#[from] JournalError),
    /// A folder, socket or the own executable.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// The TPM's own quote can't be read.
    #[error("the TPM's quote can't be read")]
    Quote,
}

/// Starts the agent on a TPM; its tasks run until `tasks` is drained.
///
/// # Errors
/// [`StartError`]: without TPM, log or sockets there is no agent.
pub async fn start(config: Config, tpm: TpmHandle, tasks: &Tasks) -> Result<(), StartError> {
    let io = |what| move |source| StartError::Io { what, source };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.folder)
        .map_err(io("make the agent's folder"))?;
    let folder = config.folder.clone();
    let open = move |tpm: &mut Tpm| -> Result<(Keys, Journal), StartError> {
        let keys = Keys {
            endorsement: tpm.endorsement_key()?,
            enclave: tpm.attestation_key(AkPurpose::Enclave)?,
            keylime: tpm.attestation_key(AkPurpose::Keylime)?,
        };
        let boot = boot_of(tpm, &keys)?;
        let journal = Journal::open(tpm, &folder, boot)?;
        Ok((keys, journal))
    };
    let (keys, journal) = tpm.run(Lane::Activation, open).await??;
    let agent_digest = match config.agent_digest {
        Some(digest) => digest,
        None => executable_digest(std::process::id()).map_err(io("hash the own executable"))?,
    };
    let (enrolled, enrolment) = watch::channel(None);
    let (verdict_out, verdict) = watch::channel(None);
    let node = Arc::new(Node {
        tpm,
        keys: Arc::new(keys),
        journal: Arc::new(Mutex::new(journal)),
        registry: Arc::new(Mutex::new(Registry::default())),
        enrolment,
        verdict,
        trust_domain: config.trust_domain.clone(),
        bound: tokio::sync::Notify::new(),
        agent_digest,
        pcrs: config.pcrs.clone(),
        folder: config.folder.clone(),
        boot_log: config.boot_log.clone(),
        ima_log: config.ima_log.clone(),
    });
    let sealer = sealer::Sealer::start(&node, tasks);
    let kept = enrol::keep(
        Arc::clone(&node),
        sealer.clone(),
        config.node.clone(),
        config.verifier_socket.clone(),
        enrolled,
        verdict_out,
    );
    tasks.spawn_cancellable(kept);
    let certifier = certify::Certifier::new(&config.signer_socket);
    endpoints::serve(&config, &endpoints::Shared { node, sealer, certifier }, tasks)
        .map_err(io("listen on the agent's sockets"))
}

/// Which boot this is, from a quote of our own: the count of resets is signed there, in clear for keys of the
/// endorsement hierarchy.
fn boot_of(tpm: &mut Tpm, keys: &Keys) -> Result<Boot, StartError> {
    let selection = tpm2::PcrSelection::sha256(&[evidence::ENCLAVE_LOG_PCR]).map_err(TpmError::from)?;
    let quoted = tpm.quote(&keys.enclave, b"", &selection)?;
    let attest = tpm2::Attest::parse(&quoted.attest).map_err(|_| StartError::Quote)?;
    Ok(Boot { reset_count: attest.clock().reset_count })
}
