//! A node on a real software TPM, as an honest agent would run it: one enclave started and keyed in its log.

use std::path::Path;

use evidence::{
    Audience, Bytes, Channel, ENCLAVE_LOG_PCR, EnclaveClaim, Evidence, FORMAT, NoChannel, PcrValues, Purpose,
    Statement, quote_data, tree,
};
use hardware::{AkPurpose, LoadedKey, SoftwareTpm, Tpm};
use logs::enclave::{EnclaveLog, Event, Start};
use names::{Digest, EnclaveId, TrustDomain};
use tpm2::{Attest, PcrSelection};

pub(crate) const PCRS: [u8; 13] = appraisal::Policy::DEFAULT_PCRS;

pub(crate) struct Node {
    tpm: Tpm,
    pub(crate) enclave_key: LoadedKey,
    pub(crate) keylime_key: LoadedKey,
    log: EnclaveLog,
    pub(crate) agent: Digest,
    pub(crate) claim: EnclaveClaim,
    pub(crate) chain: Vec<Vec<u8>>,
}

impl Node {
    /// Starts a TPM in `folder`; the enclave's key is the one of `spki`.
    pub(crate) fn start(folder: &Path, spki: &[u8]) -> Self {
        let mut tpm = Tpm::start(SoftwareTpm::start(folder).unwrap()).unwrap();
        let enclave_key = tpm.attestation_key(AkPurpose::Enclave).unwrap();
        let keylime_key = tpm.attestation_key(AkPurpose::Keylime).unwrap();
        let digest = |byte| Digest::from_bytes([byte; 32]);
        let claim = EnclaveClaim {
            id: EnclaveId::from_bytes([7; 16]),
            incarnation: 1,
            owner: digest(1),
            version: digest(2),
            instance: digest(3),
            facade: digest(4),
            spki: Digest::of(spki),
        };
        let log = EnclaveLog::new(ENCLAVE_LOG_PCR);
        let mut node =
            Self { tpm, enclave_key, keylime_key, log, agent: digest(5), claim, chain: Vec::new() };
        let EnclaveClaim { id: enclave, incarnation, owner, version, instance, facade, spki } = node.claim;
        node.record(Event::Start(Start {
            enclave,
            incarnation,
            version,
            instance,
            owner: Some(owner),
            facade,
        }));
        node.record(Event::Key { enclave, incarnation, spki });
        node
    }

    fn record(&mut self, event: Event) {
        let record = self.log.next(event, [9; 16]).unwrap();
        self.tpm.extend(ENCLAVE_LOG_PCR, record.digest().as_bytes()).unwrap();
        self.log.push(record).unwrap();
    }

    pub(crate) fn statement(&self, audience: Audience, nonce: [u8; 32], csr: &[u8]) -> Statement {
        Statement {
            purpose: Purpose::Issue,
            audience,
            nonce,
            request: Some(Digest::of(csr)),
            ak_name: self.enclave_key.name().as_bytes().try_into().unwrap(),
            node: domain().node("node-1").unwrap(),
            enclave: Some(self.claim.clone()),
            agent: self.agent,
            certificate: None,
            channel: Channel::None(NoChannel::NotOffered),
            log_count: self.log.count(),
            agent_time: 0,
        }
    }

    /// Quotes over the statement; `verdict` makes the verifier's word from the quoted values.
    pub(crate) fn evidence(
        &mut self,
        statement: &Statement,
        verdict: impl FnOnce(&Attest, &PcrValues) -> Option<String>,
    ) -> Evidence {
        let statement = statement.encode().unwrap();
        let tree = tree::Tree::new(vec![tree::leaf(&statement)]).unwrap();
        let extra = quote_data(tree.count(), tree.root().as_bytes());
        let selection = PcrSelection::sha256(&PCRS).unwrap();
        let quoted = self.tpm.quote(&self.enclave_key, extra.as_bytes(), &selection).unwrap();
        let values = self.tpm.read_pcrs(&PCRS).unwrap();
        let pcrs =
            PcrValues(values.into_iter().map(|(pcr, value)| (pcr, Digest::from_bytes(value))).collect());
        let verdict = verdict(&Attest::parse(&quoted.attest).unwrap(), &pcrs);
        Evidence {
            format: FORMAT.into(),
            statement: Bytes(statement),
            proof: tree.proof(0).unwrap(),
            quote: Bytes(quoted.attest),
            signature: Bytes(quoted.signature),
            ak_public: Bytes(self.enclave_key.public().as_bytes().to_vec()),
            ak_chain: self.chain.iter().cloned().map(Bytes).collect(),
            pcrs,
            enclave_log: Bytes(self.log.encode()),
            certificate: None,
            verdict,
            boot_log: None,
            ima_log: None,
        }
    }
}

pub(crate) fn domain() -> TrustDomain {
    "sealwright.internal".parse().unwrap()
}
