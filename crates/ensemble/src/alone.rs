//! Parts that run alone, each from its own configuration file: gateway, agent, verifier, signer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use attested_tls::{CertificateSlot, LocalKey, NoServerName};
use hardware::{Anchors, CharDevice, SoftwareTpm, Tpm, TpmHandle};
use names::Part;
use pki::Certificate;
use serde::{Deserialize, Serialize};
use server::Tasks;
use signer::{Ca, TpmRootKey};
use store::{DatabaseUrl, Store};
use tokio::sync::watch;
use verifier::{Identity, Setup, Verifier};

use crate::TpmEnded;
use crate::boot::{Binaries, boot_software_at};
use crate::introductions::Introductions;

/// Which TPM a part has: `swtpm:FOLDER` or `device:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TpmSource {
    /// A software TPM whose files are in this folder.
    Software(PathBuf),
    /// A character device.
    Device(PathBuf),
}

impl TryFrom<String> for TpmSource {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("swtpm", folder)) if !folder.is_empty() => Ok(Self::Software(folder.into())),
            Some(("device", path)) if !path.is_empty() => Ok(Self::Device(path.into())),
            _ => Err("not swtpm:FOLDER or device:PATH".to_owned()),
        }
    }
}

impl From<TpmSource> for String {
    fn from(source: TpmSource) -> Self {
        match source {
            TpmSource::Software(folder) => format!("swtpm:{}", folder.display()),
            TpmSource::Device(path) => format!("device:{}", path.display()),
        }
    }
}

fn open_tpm(source: &TpmSource) -> Result<(Tpm, Option<Anchors>)> {
    match source {
        TpmSource::Software(folder) => {
            let device = SoftwareTpm::start(folder).context("start the software TPM")?;
            let anchors = device.anchors().clone();
            Ok((Tpm::start(device).context("start the software TPM")?, Some(anchors)))
        }
        TpmSource::Device(path) => {
            let device = CharDevice::open(path).with_context(|| format!("open TPM {}", path.display()))?;
            Ok((Tpm::start(device).with_context(|| format!("start TPM {}", path.display()))?, None))
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("the work broke off")?
}

fn own(tpm: Tpm) -> Result<TpmHandle> {
    // The owner's thread ends with the last handle.
    Ok(hardware::owner::start(tpm).context("start the TPM's owner")?.0)
}

/// The signer alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerFile {
    /// Where the root's key lives.
    pub tpm: TpmSource,
    /// Where parts introduce themselves; only its owner can open it.
    pub introductions: PathBuf,
    /// The signer.
    pub signer: signer::Config,
}

/// Runs the signer until the tasks are stopped. It certifies the gateway and the verifier as they introduce themselves.
///
/// # Errors
/// What could not be opened.
pub async fn run_signer(file: SignerFile, tasks: Tasks) -> Result<()> {
    let clock = signer::system_clock();
    let introductions = Introductions::open(&file.introductions)?;
    let (source, config, now) = (file.tpm, file.signer.clone(), clock());
    let opened = blocking(move || {
        let (tpm, _) = open_tpm(&source)?;
        let tpm = own(tpm)?;
        let ended = tpm.ended();
        let root_key = TpmRootKey::open(tpm, &config.directory).context("open the root key")?;
        let ca = Ca::open(Box::new(root_key), &config.directory, config.trust_domain.clone(), now)
            .context("open the CA")?;
        Ok((ca, ended))
    });
    let (ca, ended) = opened.await?;
    let ca = Arc::new(ca);
    introductions.answer(Arc::clone(&ca), Arc::clone(&clock), vec![Part::Gateway, Part::Verifier], &tasks);
    signer::serve(ca, &file.signer, clock, &tasks)?;
    until_stopped(&tasks, ended).await
}

/// Until the tasks are stopped; an error where the TPM ends before.
async fn until_stopped(tasks: &Tasks, ended: impl Future<Output = ()>) -> Result<()> {
    tokio::select! {
        biased;
        () = tasks.stopping() => Ok(()),
        () = ended => Err(TpmEnded.into()),
    }
}

/// The verifier alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierFile {
    /// Where it introduces itself to the signer.
    pub introductions: PathBuf,
    /// The signer's root certificate, DER.
    pub root: PathBuf,
    /// The verifier.
    pub verifier: verifier::Config,
}

/// Runs the verifier until the tasks are stopped.
///
/// # Errors
/// What could not be opened.
pub async fn run_verifier(file: VerifierFile, tasks: Tasks) -> Result<()> {
    let introductions = Introductions::open(&file.introductions)?;
    let identity = || async {
        let key = LocalKey::generate().context("make the verifier's key")?;
        let chain = introductions.introduce(Part::Verifier, &key).await?;
        Ok::<_, anyhow::Error>(Identity { key, chain })
    };
    let (renewed, current) = watch::channel(identity().await?);
    let root = std::fs::read(&file.root).with_context(|| format!("read {}", file.root.display()))?;
    let root = Certificate::from_der(&root).with_context(|| format!("read {}", file.root.display()))?;
    let setup = Setup::load(&file.verifier, root, current)?;
    verifier::serve(Verifier::new(setup)?, &file.verifier.socket, &tasks)?;
    loop {
        tokio::select! {
            () = tasks.stopping() => return Ok(()),
            () = tokio::time::sleep(crate::trust::RENEW) => drop(renewed.send(identity().await?)),
        }
    }
}

/// The gateway alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayFile {
    /// Where it introduces itself to the signer.
    pub introductions: PathBuf,
    /// The database, shared with the controller: a SQLite file's path, or a PostgreSQL URL.
    pub database: DatabaseUrl,
    /// The gateway.
    pub gateway: gateway::Config,
}

/// Runs the gateway until the tasks are stopped.
///
/// # Errors
/// What could not be opened.
pub async fn run_gateway(file: GatewayFile, tasks: Tasks) -> Result<()> {
    attested_tls::install_provider();
    let introductions = Introductions::open(&file.introductions)?;
    let certificate = CertificateSlot::new(NoServerName::Serve);
    let certify = || async {
        let key = LocalKey::generate().context("make the gateway's key")?;
        let chain = introductions.introduce(Part::Gateway, &key).await?;
        certificate.install(&key, &chain).context("install the gateway's certificate")
    };
    certify().await?;
    let deps = gateway::Deps {
        store: Store::open(&file.database).await.with_context(|| format!("open {}", file.database))?,
        certificate: Arc::clone(&certificate),
        token_keys: crate::trust::token_keys(),
        tasks: tasks.clone(),
    };
    let gateway = gateway::Gateway::bind(file.gateway, deps).await?;
    tasks.spawn(gateway.serve());
    loop {
        tokio::select! {
            () = tasks.stopping() => return Ok(()),
            () = tokio::time::sleep(crate::trust::RENEW) => certify().await?,
        }
    }
}

/// The agent alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentFile {
    /// The node's TPM.
    pub tpm: TpmSource,
    /// Only with a software TPM: the boot that it has not seen.
    #[serde(default)]
    pub simulated: Option<SimulatedBoot>,
    /// The agent.
    pub agent: agent::Config,
}

/// A simulated boot: a sample boot log and IMA list are extended into the software TPM and written where the agent reads
/// them, with what a verifier needs to appraise them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedBoot {
    /// The facade's executable, for the IMA list and the policy.
    pub facade: PathBuf,
    /// Written: the node policy, JSON.
    pub node_policy: PathBuf,
    /// Written: the root of the software TPM's CA, DER; an anchor of level `simulated`.
    pub endorsement_anchor: PathBuf,
    /// Written: its issuing CA, DER.
    pub endorsement_issuer: PathBuf,
}

/// Runs the agent until the tasks are stopped.
///
/// # Errors
/// What could not be opened.
pub async fn run_agent(file: AgentFile, tasks: Tasks) -> Result<()> {
    let AgentFile { tpm, simulated, agent: mut config } = file;
    let own_executable = std::env::current_exe().context("find the own executable")?;
    let logs = (config.boot_log.clone(), config.ima_log.clone());
    let opened = blocking(move || {
        let (mut tpm, anchors) = open_tpm(&tpm)?;
        let digest = match (simulated, anchors) {
            (Some(simulated), Some(anchors)) => {
                let binaries = Binaries::read(&own_executable, &simulated.facade)?;
                let policy = boot_software_at(&mut tpm, &logs.0, &logs.1, &binaries)?;
                write(&simulated.node_policy, &serde_json::to_vec_pretty(&policy)?)?;
                write(&simulated.endorsement_anchor, &anchors.root)?;
                write(&simulated.endorsement_issuer, &anchors.issuer)?;
                Some(binaries.agent.digest)
            }
            (Some(_), None) => bail!("`simulated` is for a software TPM only"),
            (None, _) => None,
        };
        Ok((own(tpm)?, digest))
    });
    let (tpm, digest) = opened.await?;
    config.agent_digest = config.agent_digest.or(digest);
    let ended = tpm.ended();
    agent::start(config, tpm, &tasks).await.context("start the agent")?;
    until_stopped(&tasks, ended).await
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}
