//! One node whose TPM is as slow as wanted, with its agent, CA and verifier; and this process as the facade of an enclave.
//!
//! As `ensemble::Cell` composes it, but for the device.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agent::simulated;
use anyhow::{Context, Result, bail};
use api::node::{BindProcess, CertifyRequest, EvidenceRequest, RegisterKey, StartEnclave};
use appraisal::Policy;
use appraisal::node::{Binary, NodePolicy};
use attested_tls::LocalKey;
use base64ct::{Base64, Encoding};
use ensemble::Layout;
use evidence::{
    Anchor, Audience, Challenge, ChannelRule, ENCLAVE_LOG_PCR, Evidence, Expectation, IMA_PCR, Roots,
};
use hardware::{AkPurpose, Anchors, Delayed, Lane, OwnerThread, SoftwareTpm, Tpm, TpmHandle};
use logs::bank::Bank;
use logs::boot::BootLog;
use logs::ima::ImaLog;
use names::{Digest, EnclaveId, Level, Part, TrustDomain};
use pki::{Certificate, SigningKey};
use server::Tasks;
use signer::{Ca, Clock, TpmRootKey};
use tokio::sync::watch;
use tpm2::PcrSelection;
use verifier::{EkTrust, Identity, Setup, Verifier};

const BOOT_LOG: &[u8] = include_bytes!("../../../testdata/tpm/ubuntu-2404-amd-sevsnp.bin");
const IMA_LIST: &[u8] = include_bytes!("../../../testdata/ima/ascii_runtime_measurements");
const ENCLAVE: EnclaveId = EnclaveId::from_bytes([0xbe; 16]);
const OWNER: Digest = Digest::from_bytes([0x0a; 32]);
const CHANNEL: [u8; 32] = [0xcc; 32];
const HOST: &str = "bench.enclaves.localhost";
/// How long a client may wait for evidence before the bench takes it for an error.
const CHALLENGE_LIFE: u64 = 60;

/// A running node.
pub(crate) struct Node {
    tpm: TpmHandle,
    owner: OwnerThread,
    tasks: Tasks,
    layout: Layout,
    root: Certificate,
    certificate: Digest,
}

struct Booted {
    tpm: TpmHandle,
    owner: OwnerThread,
    anchors: Anchors,
    policy: NodePolicy,
    ca: Ca,
}

impl Node {
    /// Starts everything, waits for the first verdict, and becomes a facade.
    pub(crate) async fn start(folder: &Path, quote: Duration) -> Result<Self> {
        let layout = Layout::make(folder)?;
        let (tasks, clock) = (Tasks::new(), signer::system_clock());
        let (at, now) = (layout.clone(), clock());
        let booted =
            tokio::task::spawn_blocking(move || boot(&at, quote, now)).await.context("start the TPM")??;
        let Booted { tpm, owner, anchors, policy, ca } = booted;
        let (ca, own) = (Arc::new(ca), own_binary()?.digest);
        serve_parts(&layout, &ca, &anchors, &policy, &clock, &tasks)?;
        let config = agent::Config {
            node: "bench".to_owned(),
            trust_domain: ca.trust_domain().clone(),
            folder: layout.agent(),
            agent_socket: layout.agent_socket(),
            admin_socket: layout.admin_socket(),
            verifier_socket: layout.verifier_socket(),
            signer_socket: layout.signer_socket(),
            boot_log: layout.boot_log(),
            ima_log: layout.ima_list(),
            agent_digest: Some(own),
            pcrs: policy.pcrs.clone(),
        };
        agent::start(config, tpm.clone(), &tasks).await.context("start the agent")?;
        announce(&layout, own).await?;
        let certificate = be_a_facade(&layout).await?;
        Ok(Self { tpm, owner, tasks, layout, root: ca.root().clone(), certificate })
    }

    /// The agent as a facade sees it.
    pub(crate) fn agent(&self) -> node_api::Node {
        node_api::Node::new(&self.layout.agent_socket())
    }

    /// What a client with this nonce would have the facade ask.
    pub(crate) fn request(&self, nonce: &[u8; 32]) -> EvidenceRequest {
        EvidenceRequest {
            nonce: Base64::encode_string(nonce),
            audience: Some(OWNER),
            channel: Some(Base64::encode_string(&CHANNEL)),
            certificate: self.certificate,
        }
    }

    /// Verifies an answer as that client would.
    pub(crate) fn verify(&self, nonce: [u8; 32], json: &[u8]) -> Result<()> {
        let anchor = Anchor { name: "bench".into(), certificate: self.root.clone(), level: Level::Simulated };
        let expectation =
            Expectation::Serve { certificate: self.certificate, channel: ChannelRule::Required(CHANNEL) };
        let now = signer::system_clock()();
        let challenge = Challenge::new(nonce, now, CHALLENGE_LIFE, Audience::Key(OWNER), expectation);
        let evidence = Evidence::from_json(json)?;
        evidence::verify(challenge, &evidence, &Roots::new(vec![anchor]), now)?;
        Ok(())
    }

    /// One quote for one client alone, with the registers that it signs, straight on the TPM.
    pub(crate) async fn one_quote(&self) -> Result<()> {
        let job = |tpm: &mut Tpm| -> Result<()> {
            let key = tpm.attestation_key(AkPurpose::Enclave)?;
            tpm.quote(&key, &[7; 32], &PcrSelection::sha256(&Policy::DEFAULT_PCRS)?)?;
            tpm.read_pcrs(&Policy::DEFAULT_PCRS)?;
            Ok(())
        };
        self.tpm.run(Lane::Batch, job).await?
    }

    pub(crate) async fn close(self) {
        self.tasks.drain().await;
        drop((self.tpm, self.owner));
    }
}

fn boot(layout: &Layout, quote: Duration, now: u64) -> Result<Booted> {
    let device = SoftwareTpm::start(&layout.tpm()).context("start the software TPM")?;
    let anchors = device.anchors().clone();
    let mut tpm = Tpm::start(Delayed::new(device, quote)).context("start the software TPM")?;
    let own = own_binary()?;
    let list =
        simulated::ima_list(IMA_LIST, &[(own.path.clone(), own.digest)]).context("make the IMA list")?;
    simulated::boot(&mut tpm, BOOT_LOG, &list).context("extend the simulated boot")?;
    std::fs::write(layout.boot_log(), BOOT_LOG).context("write the boot log")?;
    std::fs::write(layout.ima_list(), &list).context("write the IMA list")?;
    let (tpm, owner) = hardware::owner::start(tpm).context("start the TPM's owner")?;
    let key = TpmRootKey::open(tpm.clone(), &layout.ca()).context("open the CA's root key")?;
    let domain: TrustDomain = "sealwright.internal".parse().context("the trust domain")?;
    let ca = Ca::open(Box::new(key), &layout.ca(), domain, now).context("open the CA")?;
    Ok(Booted { tpm, owner, anchors, policy: policy(&own)?, ca })
}

/// This program: it is agent and facade in one.
fn own_binary() -> Result<Binary> {
    let path =
        std::env::current_exe().context("find the own executable")?.to_string_lossy().replace(' ', "_");
    Ok(Binary { path, digest: agent::executable_digest(std::process::id())? })
}

/// Allows exactly what the sample logs show, and this program.
fn policy(own: &Binary) -> Result<NodePolicy> {
    let boot = BootLog::parse(BOOT_LOG).context("read the boot log")?;
    let values = boot.replay(Bank::Sha256).context("the boot log has the bank")?;
    let mut policy = NodePolicy {
        id: "bench".to_owned(),
        pcrs: Policy::DEFAULT_PCRS.to_vec(),
        boot_pcrs: Default::default(),
        secure_boot: false,
        files: Default::default(),
        excluded: Vec::new(),
        agents: vec![own.clone()],
        facades: vec![own.clone()],
    };
    for pcr in Policy::DEFAULT_PCRS.into_iter().filter(|pcr| ![IMA_PCR, ENCLAVE_LOG_PCR].contains(pcr)) {
        let value = values.get(u32::from(pcr)).context("the boot log has the register")?;
        policy.boot_pcrs.insert(pcr, vec![Digest::from_bytes(value.as_bytes().try_into()?)]);
    }
    for entry in ImaLog::parse_ascii(IMA_LIST).context("read the IMA list")?.entries() {
        let path = String::from_utf8_lossy(entry.path()).into_owned();
        policy.files.entry(path).or_default().insert(appraisal::node::named_digest(entry));
    }
    Ok(policy)
}

fn serve_parts(
    layout: &Layout,
    ca: &Arc<Ca>,
    anchors: &Anchors,
    policy: &NodePolicy,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<()> {
    let mut config = signer::Config::new(layout.signer_socket(), layout.ca(), ca.trust_domain().clone());
    config.min_level = Level::Simulated;
    config.root_level = Level::Simulated;
    signer::serve(Arc::clone(ca), &config, Arc::clone(clock), tasks).context("start the signer")?;
    let anchor =
        EkTrust::anchor("software TPM", Level::Simulated, &anchors.root).context("the software TPM's CA")?;
    let issuer = Certificate::from_der(&anchors.issuer).context("the software TPM's CA")?;
    let key = LocalKey::generate().context("make the verifier's key")?;
    let leave = ca.authorize_part(Part::Verifier, key.public_key_spki(), &[]);
    let chain = ca.certify_part(&leave, clock()).context("certify the verifier")?.to_vec();
    let setup = Setup {
        trust_domain: ca.trust_domain().clone(),
        ek_trust: EkTrust::new(vec![anchor], vec![issuer]),
        policy: policy.clone(),
        root: ca.root().clone(),
        root_level: Level::Simulated,
        directory: layout.verifier(),
        signer_socket: layout.signer_socket(),
        identity: watch::channel(Identity { key, chain }).1,
        clock: Arc::clone(clock),
    };
    let verifier = Verifier::new(setup).context("open the verifier")?;
    verifier::serve(verifier, &layout.verifier_socket(), tasks).context("start the verifier")
}

async fn announce(layout: &Layout, facade: Digest) -> Result<()> {
    let admin = node_api::Admin::new(&layout.admin_socket());
    let verdict = async {
        while !admin.node().await.is_ok_and(|node| node.verdict_expires.is_some()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), verdict).await.is_err() {
        bail!("the node got no verdict");
    }
    let start = StartEnclave {
        enclave_id: ENCLAVE,
        incarnation: 1,
        version: Digest::of(b"version"),
        instance: Digest::of(b"instance"),
        owner: OWNER,
        facade,
        dns_name: HOST.to_owned(),
    };
    admin.start_enclave(&start).await.context("announce the enclave")?;
    let pid = std::process::id();
    let start_time = server::unix::process(pid).context("look at the own process")?.start_time;
    let bind = BindProcess { incarnation: 1, pid, start_time };
    admin.bind_process(&ENCLAVE, &bind).await.context("say that this process is the facade")
}

/// Registers a key and gets it certified; answers which certificate.
async fn be_a_facade(layout: &Layout) -> Result<Digest> {
    let node = node_api::Node::new(&layout.agent_socket());
    let key = LocalKey::generate().context("make a key")?;
    node.register_key(&RegisterKey { spki: Base64::encode_string(key.public_key_spki()) }).await?;
    let csr = pki::csr::build(&key, HOST).context("make a request")?;
    let chain = node.certify(&CertifyRequest { csr: Base64::encode_string(&csr) }).await?.chain;
    let leaf = Base64::decode_vec(chain.first().context("no certificate")?);
    Ok(Digest::of(&leaf.ok().context("the certificate is not base64")?))
}
