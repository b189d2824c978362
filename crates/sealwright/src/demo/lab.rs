//! A laboratory: a second node with a real TPM command stream, where the demo has what a thief on the node would have:
//! the TPM, the log file, the agent's sockets. It makes evidence that an honest agent refuses to make.

use std::path::Path;

use anyhow::{Context, Result, bail};
use api::node::{BindProcess, CertifyRequest, EvidenceRequest, RegisterKey, StartEnclave, StopEnclave};
use attested_tls::LocalKey;
use base64ct::{Base64, Encoding};
use ensemble::{Cell, CellOptions, EndorsementAnchors, Layout, TpmChoice};
use evidence::tree::{self, Tree};
use evidence::{
    Anchor, Audience, Bytes, Channel, ENCLAVE_LOG_PCR, Evidence, NoChannel, PcrValues, Purpose, Roots,
    Statement, quote_data,
};
use hardware::{AkPurpose, Lane};
use logs::enclave::EnclaveLog;
use names::{Digest, EnclaveId};
use node_api::{Admin, CallError, Node};
use pki::SigningKey;
use proto::v1::verifier_client::VerifierClient;
use proto::v1::{AttestRequest, NewRoundRequest};
use server::Tasks;
use tpm2::PcrSelection;

const HOST: &str = "laboratory.enclaves.localhost";

/// The second node, with one enclave whose facade is this very process.
pub(super) struct Lab {
    cell: Cell,
    layout: Layout,
    tasks: Tasks,
    enclave: EnclaveId,
    certificate: Vec<u8>,
    genuine: Evidence,
}

impl Lab {
    /// Builds the node; takes a few seconds, most of them for the TPM's endorsement key.
    pub(super) async fn build(folder: &Path) -> Result<Self> {
        let layout = Layout::make(&folder.join("laboratory"))?;
        let tasks = Tasks::new();
        let own = std::env::current_exe().context("find the own executable")?;
        let options = CellOptions {
            node: "laboratory".to_owned(),
            trust_domain: "sealwright.internal".parse().context("the trust domain")?,
            tpm: TpmChoice::Software,
            agent: own.clone(),
            facade: own,
            endorsement: EndorsementAnchors::default(),
        };
        let cell = Cell::start(&layout, options, &tasks).await?;
        let enclave = EnclaveId::from_bytes([0x1a; 16]);
        wait_for_verdict(&layout).await?;
        announce(&cell, &layout, enclave).await?;
        let (certificate, genuine) = be_a_facade(&layout).await?;
        Ok(Self { cell, layout, tasks, enclave, certificate, genuine })
    }

    /// Evidence that the honest agent made for us.
    pub(super) const fn genuine(&self) -> &Evidence {
        &self.genuine
    }

    /// A trust store with this node's CA.
    pub(super) fn roots(&self) -> Roots {
        let certificate = self.cell.root().clone();
        Roots::new(vec![Anchor { name: "laboratory".into(), certificate, level: self.cell.level }])
    }

    /// Has the agent told that the enclave has ended.
    pub(super) async fn stop_enclave(&self) -> Result<()> {
        let stop = StopEnclave { incarnation: 1, reason: "demo".into() };
        let admin = Admin::new(&self.layout.admin_socket());
        Ok(admin.stop_enclave(&self.enclave, &stop).await?)
    }

    /// The honest agent's answer to the facade of an enclave that has ended.
    pub(super) async fn ask_again(&self) -> Option<String> {
        let node = Node::new(&self.layout.agent_socket());
        match node.evidence(&evidence_request(&self.certificate)).await {
            Err(CallError::Refused { code, .. }) => Some(code),
            Ok(_) | Err(_) => None,
        }
    }

    /// What a lying agent would say: the genuine statement with a nonce of choice and the log as it is now, quoted by
    /// either key of the node.
    pub(super) async fn lie(&self, nonce: [u8; 32], purpose: AkPurpose) -> Result<Evidence> {
        let old = Statement::parse(&self.genuine.statement.0).context("read the genuine statement")?;
        let statement = Statement { nonce, ..old };
        let forged = self.quote(statement, purpose).await?;
        Ok(Evidence {
            certificate: self.genuine.certificate.clone(),
            verdict: self.genuine.verdict.clone(),
            ..forged
        })
    }

    async fn quote(&self, mut statement: Statement, purpose: AkPurpose) -> Result<Evidence> {
        let log = std::fs::read(self.layout.agent().join("enclave-log.cel")).context("read the log file")?;
        let log = EnclaveLog::parse(&log, ENCLAVE_LOG_PCR).context("parse the log file")?;
        statement.log_count = log.count();
        let pcrs = self.cell.policy.pcrs.clone();
        let job = move |tpm: &mut hardware::Tpm| -> Result<_> {
            let key = tpm.attestation_key(purpose)?;
            statement.ak_name = key.name().as_bytes().try_into().context("the key's name")?;
            let bytes = statement.encode().context("encode the statement")?;
            let tree = Tree::new(vec![tree::leaf(&bytes)]).context("a tree of one")?;
            let extra = quote_data(1, tree.root().as_bytes());
            let quoted = tpm.quote(&key, extra.as_bytes(), &PcrSelection::sha256(&pcrs)?)?;
            let values = tpm.read_pcrs(&pcrs)?;
            Ok((bytes, tree.proof(0)?, quoted, values, key.public().as_bytes().to_vec()))
        };
        let (bytes, proof, quoted, values, public) = self.cell.tpm.run(Lane::Batch, job).await??;
        let pcrs = values.into_iter().map(|(pcr, value)| (pcr, Digest::from_bytes(value))).collect();
        Ok(Evidence {
            format: evidence::FORMAT.to_owned(),
            statement: Bytes(bytes),
            proof,
            quote: Bytes(quoted.attest),
            signature: Bytes(quoted.signature),
            ak_public: Bytes(public),
            ak_chain: self.chain(purpose)?.into_iter().map(Bytes).collect(),
            pcrs: PcrValues(pcrs),
            enclave_log: Bytes(log.encode()),
            certificate: None,
            verdict: None,
            boot_log: None,
            ima_log: None,
        })
    }

    fn chain(&self, purpose: AkPurpose) -> Result<Vec<Vec<u8>>> {
        let name = match purpose {
            AkPurpose::Enclave => "ak-enclave.pem",
            AkPurpose::Keylime => "ak-keylime.pem",
        };
        let pem =
            std::fs::read_to_string(self.layout.agent().join(name)).context("read the key's certificates")?;
        let chain = pki::Certificate::all_from_pem(&pem).context("parse the key's certificates")?;
        Ok(chain.iter().map(|certificate| certificate.der().to_vec()).collect())
    }

    /// Asks the verifier for a verdict with another machine's genuine boot log; answers its reason code.
    pub(super) async fn attest_with_other_boot_log(&self, boot_log: &[u8]) -> Result<String> {
        let mut verifier = VerifierClient::new(proto::connect(&self.layout.verifier_socket()))
            .max_encoding_message_size(64 << 20);
        let old = Statement::parse(&self.genuine.statement.0).context("read the genuine statement")?;
        let asked = NewRoundRequest { node: old.node.to_string() };
        let round = verifier.new_round(asked).await?.into_inner();
        let statement = Statement {
            purpose: Purpose::Node,
            audience: Audience::Service(round.audience.parse().context("the verifier's name")?),
            nonce: round.nonce.try_into().ok().context("the verifier's nonce")?,
            enclave: None,
            certificate: None,
            channel: Channel::None(NoChannel::NotOffered),
            ..old
        };
        let evidence = self.quote(statement, AkPurpose::Enclave).await?;
        let ima = std::fs::read(self.layout.ima_list()).context("read the IMA list")?;
        let evidence =
            Evidence { boot_log: Some(Bytes(boot_log.to_vec())), ima_log: Some(Bytes(ima)), ..evidence };
        match verifier.attest(AttestRequest { evidence: evidence.to_json() }).await {
            Ok(_) => bail!("the verifier gave a verdict"),
            Err(status) => Ok(status.message().to_owned()),
        }
    }

    /// Takes the laboratory down.
    pub(super) async fn close(self) {
        self.tasks.drain().await;
        self.cell.close();
    }
}

async fn wait_for_verdict(layout: &Layout) -> Result<()> {
    let admin = Admin::new(&layout.admin_socket());
    for _ in 0..600 {
        if admin.node().await.is_ok_and(|node| node.verdict_expires.is_some()) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    bail!("the laboratory's node got no verdict")
}

async fn announce(cell: &Cell, layout: &Layout, enclave: EnclaveId) -> Result<()> {
    let admin = Admin::new(&layout.admin_socket());
    let start = StartEnclave {
        enclave_id: enclave,
        incarnation: 1,
        version: Digest::of(b"laboratory version"),
        instance: Digest::of(b"laboratory instance"),
        owner: Digest::of(b"laboratory owner"),
        facade: cell.facade,
        dns_name: HOST.to_owned(),
    };
    admin.start_enclave(&start).await?;
    let pid = std::process::id();
    let process = server::unix::process(pid).context("look at the own process")?;
    let bind = BindProcess { incarnation: 1, pid, start_time: process.start_time };
    Ok(admin.bind_process(&enclave, &bind).await?)
}

async fn be_a_facade(layout: &Layout) -> Result<(Vec<u8>, Evidence)> {
    let node = Node::new(&layout.agent_socket());
    let key = LocalKey::generate().context("make a key")?;
    node.register_key(&RegisterKey { spki: Base64::encode_string(key.public_key_spki()) }).await?;
    let csr = pki::csr::build(&key, HOST).context("make a request")?;
    let chain = node.certify(&CertifyRequest { csr: Base64::encode_string(&csr) }).await?.chain;
    let leaf = chain.first().context("no certificate")?;
    let certificate = Base64::decode_vec(leaf).ok().context("certificate is not base64")?;
    let json = node.evidence(&evidence_request(&certificate)).await?;
    let genuine = Evidence::from_json(&json).context("read the evidence")?;
    Ok((certificate, genuine))
}

fn evidence_request(certificate: &[u8]) -> EvidenceRequest {
    EvidenceRequest {
        nonce: Base64::encode_string(&[0x4e; 32]),
        audience: Some(Digest::of(b"laboratory owner")),
        channel: Some(Base64::encode_string(&[0xc4; 32])),
        certificate: Digest::of(certificate),
    }
}
