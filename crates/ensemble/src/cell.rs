//! The attested core: one node with its TPM and agent, the CA and the verifier. No users, no enclaves yet.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use appraisal::node::NodePolicy;
use hardware::{OwnerThread, TpmHandle};
use names::{Digest, Level, TrustDomain};
use pki::Certificate;
use server::Tasks;
use signer::{Ca, TpmRootKey};
use verifier::{AnchorFile, EkTrust, Setup, Verifier};

use crate::boot::{Binaries, Booted, boot};
use crate::{Layout, TpmChoice, trust};

/// What a cell is made of.
#[derive(Debug, Clone)]
pub struct CellOptions {
    /// The node's name.
    pub node: String,
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// Which TPM.
    pub tpm: TpmChoice,
    /// The agent's executable: our own.
    pub agent: PathBuf,
    /// The facade's executable.
    pub facade: PathBuf,
    /// Whom to trust for a TPM device.
    pub endorsement: EndorsementAnchors,
}

/// Who vouches for TPM devices; a software TPM brings its own CA, of level `simulated`.
#[derive(Debug, Clone, Default)]
pub struct EndorsementAnchors {
    /// Vendors' root certificates with their levels.
    pub anchors: Vec<AnchorFile>,
    /// Certificates between those and the endorsement keys.
    pub intermediates: Vec<PathBuf>,
}

/// A running cell.
pub struct Cell {
    /// The TPM, for the signer's key and, in the laboratory, for misuse.
    pub tpm: TpmHandle,
    /// The CA.
    pub ca: Arc<Ca>,
    /// Level of the node's TPM.
    pub level: Level,
    /// The node policy.
    pub policy: NodePolicy,
    /// SHA-256 of the facade's executable.
    pub facade: Digest,
    /// The trust domain.
    pub trust_domain: TrustDomain,
    owner: OwnerThread,
}

impl Cell {
    /// Starts TPM, CA, verifier and agent; answers when the agent's sockets do.
    ///
    /// # Errors
    /// Which part did not start, and why.
    pub async fn start(layout: &Layout, options: CellOptions, tasks: &Tasks) -> Result<Self> {
        let clock = signer::system_clock();
        let binaries = Binaries::read(&options.agent, &options.facade)?;
        let (folder, domain, choice) = (layout.clone(), options.trust_domain.clone(), options.tpm.clone());
        let now = clock();
        let agent_digest = binaries.agent.digest;
        let facade = binaries.facade.digest;
        let opened = tokio::task::spawn_blocking(move || -> Result<(Booted, Ca)> {
            let booted = boot(&folder, &choice, &binaries)?;
            let root_key =
                TpmRootKey::open(booted.tpm.clone(), &folder.ca()).context("open the CA's root key")?;
            let ca = Ca::open(Box::new(root_key), &folder.ca(), domain, now).context("open the CA")?;
            Ok((booted, ca))
        });
        let (booted, ca) = opened.await.context("start the TPM")??;
        let ca = Arc::new(ca);
        std::fs::write(layout.ca_file(), ca.root().to_pem()).context("write the CA's certificate")?;
        start_signer(layout, &ca, booted.level, &clock, tasks)?;
        start_verifier(layout, &ca, &booted, &options.endorsement, &clock, tasks)?;
        let agent = agent::Config {
            node: options.node,
            trust_domain: options.trust_domain.clone(),
            folder: layout.agent(),
            agent_socket: layout.agent_socket(),
            admin_socket: layout.admin_socket(),
            verifier_socket: layout.verifier_socket(),
            signer_socket: layout.signer_socket(),
            boot_log: booted.boot_log,
            ima_log: booted.ima_list,
            agent_digest: Some(agent_digest),
            pcrs: booted.policy.pcrs.clone(),
        };
        agent::start(agent, booted.tpm.clone(), tasks).await.context("start the agent")?;
        Ok(Self {
            tpm: booted.tpm,
            ca,
            level: booted.level,
            policy: booted.policy,
            facade,
            trust_domain: options.trust_domain,
            owner: booted.owner,
        })
    }

    /// The root of every chain in this cell.
    #[must_use]
    pub fn root(&self) -> &Certificate {
        self.ca.root()
    }

    /// Closes the TPM. Drain the tasks first.
    pub fn close(self) {
        let Self { tpm, ca, owner, .. } = self;
        drop((tpm, ca));
        // Handles of tasks that did not drain in time keep the owner alive; then it ends with the process.
        drop(owner);
    }
}

fn start_signer(
    layout: &Layout,
    ca: &Arc<Ca>,
    level: Level,
    clock: &signer::Clock,
    tasks: &Tasks,
) -> Result<()> {
    let mut config = signer::Config::new(layout.signer_socket(), layout.ca(), ca.trust_domain().clone());
    // On a software TPM everything is simulated, the root's own key included.
    config.min_level = level;
    config.root_level = level;
    signer::serve(Arc::clone(ca), &config, Arc::clone(clock), tasks).context("start the signer")
}

/// The anchors that the operator trusts for a TPM device's endorsement key.
fn vendors(layout: &Layout, ca: &Ca, anchors: &EndorsementAnchors) -> Result<EkTrust> {
    if anchors.anchors.is_empty() {
        bail!("a TPM device needs its vendor's CA: name it as endorsement_anchors in the file of --config");
    }
    let config = verifier::Config {
        socket: layout.verifier_socket(),
        signer_socket: layout.signer_socket(),
        directory: layout.verifier(),
        trust_domain: ca.trust_domain().clone(),
        endorsement_anchors: anchors.anchors.clone(),
        endorsement_intermediates: anchors.intermediates.clone(),
        node_policy: layout.node_policy(),
        root_level: Level::Tpm,
    };
    EkTrust::load(&config).context("the vendor's CA")
}

fn start_verifier(
    layout: &Layout,
    ca: &Arc<Ca>,
    booted: &Booted,
    anchors: &EndorsementAnchors,
    clock: &signer::Clock,
    tasks: &Tasks,
) -> Result<()> {
    let ek_trust = match &booted.anchors {
        Some(software) => {
            let anchor = EkTrust::anchor("software TPM", booted.level, &software.root);
            let issuer = Certificate::from_der(&software.issuer).context("the software TPM's CA")?;
            EkTrust::new(vec![anchor.context("the software TPM's CA")?], vec![issuer])
        }
        None => vendors(layout, ca, anchors)?,
    };
    let policy = serde_json::to_vec_pretty(&booted.policy).context("write the node policy")?;
    std::fs::write(layout.node_policy(), policy).context("write the node policy")?;
    let setup = Setup {
        trust_domain: ca.trust_domain().clone(),
        ek_trust,
        policy: booted.policy.clone(),
        root: ca.root().clone(),
        root_level: booted.level,
        directory: layout.verifier(),
        signer_socket: layout.signer_socket(),
        identity: trust::verifier_identity(ca, clock, tasks)?,
        clock: Arc::clone(clock),
    };
    let verifier = Verifier::new(setup).context("open the verifier")?;
    verifier::serve(verifier, &layout.verifier_socket(), tasks).context("start the verifier")
}
