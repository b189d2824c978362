//! A node on a real software TPM that has "booted" a recorded boot log and IMA list, as an honest agent would run it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use appraisal::node::{Binary, NodePolicy, named_digest};
use evidence::{
    Audience, Bytes, Channel, ENCLAVE_LOG_PCR, Evidence, FORMAT, IMA_PCR, NoChannel, PcrValues, Purpose,
    Statement, quote_data, tree,
};
use hardware::{AkPurpose, Anchors, EndorsementKey, LoadedKey, SoftwareTpm, Tpm};
use logs::bank::Bank;
use logs::boot::BootLog;
use logs::ima::{Entry, ImaLog};
use names::Digest;
use proto::v1 as wire;
use tpm2::{Credential, PcrSelection};

use crate::domain;

pub(crate) const PCRS: [u8; 13] = appraisal::Policy::DEFAULT_PCRS;
const BOOT_LOG: &[u8] = include_bytes!("../../../../testdata/tpm/ubuntu-2404-amd-sevsnp.bin");

pub(crate) struct Node {
    pub(crate) tpm: Tpm,
    pub(crate) anchors: Anchors,
    pub(crate) endorsement: EndorsementKey,
    pub(crate) enclave_key: LoadedKey,
    pub(crate) keylime_key: LoadedKey,
    pub(crate) chain: Vec<Vec<u8>>,
    ima: Vec<u8>,
}

pub(crate) fn agent() -> Binary {
    Binary { path: "/usr/bin/sealwright-agent".into(), digest: Digest::of(b"agent") }
}

pub(crate) fn facade() -> Binary {
    Binary { path: "/usr/bin/sealwright-facade".into(), digest: Digest::of(b"facade") }
}

impl Node {
    pub(crate) fn boot(folder: &Path) -> Self {
        let device = SoftwareTpm::start(folder).unwrap();
        let anchors = device.anchors().clone();
        let mut tpm = Tpm::start(device).unwrap();
        for event in BootLog::parse(BOOT_LOG).unwrap().events().iter().filter(|event| event.is_extended()) {
            let digest = event.digest(Bank::Sha256).unwrap().try_into().unwrap();
            tpm.extend(event.pcr().try_into().unwrap(), &digest).unwrap();
        }
        let endorsement = tpm.endorsement_key().unwrap();
        let enclave_key = tpm.attestation_key(AkPurpose::Enclave).unwrap();
        let keylime_key = tpm.attestation_key(AkPurpose::Keylime).unwrap();
        let mut node =
            Self { tpm, anchors, endorsement, enclave_key, keylime_key, chain: Vec::new(), ima: Vec::new() };
        for binary in [agent(), facade()] {
            node.measure(&binary.path, &binary.digest);
        }
        node
    }

    /// What the kernel does when a file is executed.
    pub(crate) fn measure(&mut self, path: &str, digest: &Digest) {
        let entry = Entry::measured(path.as_bytes(), digest).unwrap();
        let extension: [u8; 32] = entry.extension(Bank::Sha256).as_bytes().try_into().unwrap();
        self.tpm.extend(IMA_PCR, &extension).unwrap();
        self.ima.extend(entry.to_ascii());
    }

    pub(crate) fn begin(&self, name: &str) -> wire::BeginEnrolmentRequest {
        let key = |purpose: &str, key: &LoadedKey| wire::AttestationKey {
            purpose: purpose.into(),
            public_area: key.public().as_bytes().to_vec(),
        };
        wire::BeginEnrolmentRequest {
            node_name: name.into(),
            ek_public_area: self.endorsement.public().as_bytes().to_vec(),
            ek_certificates: vec![self.endorsement.certificate().to_vec()],
            keys: vec![key("ak-enclave", &self.enclave_key), key("ak-keylime", &self.keylime_key)],
        }
    }

    /// Opens the credentials in the TPM and answers.
    pub(crate) fn answer(&mut self, begun: &wire::BeginEnrolmentResponse) -> wire::FinishEnrolmentRequest {
        let mut answers = Vec::new();
        for credential in &begun.credentials {
            let key = match credential.purpose.as_str() {
                "ak-enclave" => &self.enclave_key,
                _ => &self.keylime_key,
            };
            let wrapped = Credential {
                id_object: credential.id_object.clone(),
                encrypted_secret: credential.encrypted_secret.clone(),
            };
            let secret = self.tpm.activate(self.endorsement.key(), key, &wrapped).unwrap();
            let mac = verifier::activation_answer(&secret, &begun.session, key.name().as_bytes()).unwrap();
            answers.push(wire::ActivationAnswer { purpose: credential.purpose.clone(), mac: mac.to_vec() });
        }
        wire::FinishEnrolmentRequest { session: begun.session.clone(), answers }
    }

    pub(crate) fn statement(&self, name: &str, audience: &str, nonce: &[u8]) -> Statement {
        Statement {
            purpose: Purpose::Node,
            audience: Audience::Service(audience.parse().unwrap()),
            nonce: nonce.try_into().unwrap(),
            request: None,
            ak_name: self.enclave_key.name().as_bytes().try_into().unwrap(),
            node: domain().node(name).unwrap(),
            enclave: None,
            agent: agent().digest,
            certificate: None,
            channel: Channel::None(NoChannel::NotOffered),
            log_count: 0,
            agent_time: 0,
        }
    }

    pub(crate) fn evidence(&mut self, statement: &Statement) -> Evidence {
        let statement = statement.encode().unwrap();
        let tree = tree::Tree::new(vec![tree::leaf(&statement)]).unwrap();
        let extra = quote_data(tree.count(), tree.root().as_bytes());
        let selection = PcrSelection::sha256(&PCRS).unwrap();
        let quoted = self.tpm.quote(&self.enclave_key, extra.as_bytes(), &selection).unwrap();
        let values = self.tpm.read_pcrs(&PCRS).unwrap();
        let pcrs = values.into_iter().map(|(pcr, value)| (pcr, Digest::from_bytes(value))).collect();
        Evidence {
            format: FORMAT.into(),
            statement: Bytes(statement),
            proof: tree.proof(0).unwrap(),
            quote: Bytes(quoted.attest),
            signature: Bytes(quoted.signature),
            ak_public: Bytes(self.enclave_key.public().as_bytes().to_vec()),
            ak_chain: self.chain.iter().cloned().map(Bytes).collect(),
            pcrs: PcrValues(pcrs),
            enclave_log: Bytes(Vec::new()),
            certificate: None,
            verdict: None,
            boot_log: Some(Bytes(BOOT_LOG.to_vec())),
            ima_log: Some(Bytes(self.ima.clone())),
        }
    }

    /// A policy that allows exactly what this node has booted and run until now.
    pub(crate) fn policy(&mut self) -> NodePolicy {
        let moves = |pcr: &u8| *pcr == IMA_PCR || *pcr == ENCLAVE_LOG_PCR;
        let values = self.tpm.read_pcrs(&PCRS).unwrap();
        let boot_pcrs = values
            .into_iter()
            .filter(|(pcr, _)| !moves(pcr))
            .map(|(pcr, value)| (pcr, vec![Digest::from_bytes(value)]))
            .collect();
        let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for entry in ImaLog::parse_ascii(&self.ima).unwrap().entries() {
            let path = String::from_utf8(entry.path().to_vec()).unwrap();
            files.entry(path).or_default().insert(named_digest(entry));
        }
        NodePolicy {
            id: "test".into(),
            pcrs: PCRS.to_vec(),
            boot_pcrs,
            secure_boot: false,
            files,
            excluded: Vec::new(),
            agents: vec![agent()],
            facades: vec![facade()],
        }
    }
}
