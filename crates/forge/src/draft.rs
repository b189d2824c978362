//! What an agent is about to say, and the sealing of it. Every field may be changed before and after.

use std::collections::BTreeMap;

use evidence::tree::{self, Tree};
use evidence::{
    Bytes, ENCLAVE_LOG_PCR, Evidence, FORMAT, IMA_PCR, PcrValues, Statement, VERDICT_TYPE, VerdictClaims,
    quote_data,
};
use logs::bank::Bank;
use logs::boot::BootLog;
use logs::enclave::{EnclaveLog, Event};
use logs::ima::ImaLog;
use names::Digest;
use pki::Certificate;
use pki::jws::{self, KeyHint};
use tpm2::HashAlgorithm;

use crate::keys::selection;
use crate::{TpmKey, World};

/// What an agent is about to say.
pub struct Draft<'w> {
    world: &'w World,
    /// The statement; its log count is set at sealing.
    pub statement: Statement,
    /// The enclave log's events.
    pub events: Vec<Event>,
    /// Whether other enclaves' events are shipped hidden.
    pub hide: bool,
    /// The enclave's certificate.
    pub certificate: Option<Certificate>,
    /// The verifier's claims.
    pub verdict: Option<VerdictClaims>,
    /// The certificate that the verdict is signed under.
    pub verdict_certificate: Certificate,
    /// What firmware measured.
    pub measured_boot: Vec<u8>,
    /// What the kernel measured.
    pub measured_ima: Vec<u8>,
    /// The boot log that is shipped.
    pub boot_log: Option<Vec<u8>>,
    /// The IMA list that is shipped.
    pub ima_log: Option<Vec<u8>>,
    /// `TPM_ALG_ID` of the quoted bank; the values are of SHA-256 whatever it says.
    pub bank: u16,
    /// The quoted registers, ascending.
    pub pcrs: Vec<u8>,
    /// TPM resets and restarts.
    pub counts: (u32, u32),
    /// Other leaves under the same quote.
    pub other_leaves: Vec<Digest>,
}

impl<'w> Draft<'w> {
    pub(crate) fn new(world: &'w World, statement: Statement, events: Vec<Event>) -> Self {
        Self {
            world,
            statement,
            events,
            hide: true,
            certificate: None,
            verdict: None,
            verdict_certificate: world.verifier.clone(),
            measured_boot: crate::BOOT_LOG(),
            measured_ima: crate::IMA_LIST(),
            boot_log: None,
            ima_log: None,
            bank: HashAlgorithm::Sha256.id(),
            pcrs: World::pcrs().to_vec(),
            counts: (11, 2),
            other_leaves: vec![Digest::from_bytes([0x31; 32]), Digest::from_bytes([0x32; 32])],
        }
    }

    /// The enclave log of the draft's events.
    #[must_use]
    pub fn log(&self) -> EnclaveLog {
        let mut log = EnclaveLog::new(ENCLAVE_LOG_PCR);
        for (number, event) in self.events.iter().enumerate() {
            let record = log.next(event.clone(), [number as u8; 16]).expect("the event may stand here");
            log.push(record).expect("the record is the next one");
        }
        log
    }

    /// Values of the registers that stand still after boot.
    #[must_use]
    pub fn boot_pcrs(&self) -> PcrValues {
        let moves = |pcr: &u8| *pcr == IMA_PCR || *pcr == ENCLAVE_LOG_PCR;
        PcrValues(self.pcr_values().into_iter().filter(|(pcr, _)| !moves(pcr)).collect())
    }

    fn pcr_values(&self) -> BTreeMap<u8, Digest> {
        let boot = BootLog::parse(&self.measured_boot).expect("the forged boot log is one");
        let boot = boot.replay(Bank::Sha256).expect("it has the bank");
        let ima =
            ImaLog::parse_ascii(&self.measured_ima).expect("the forged list is one").replay(Bank::Sha256);
        let digest = |bytes: &[u8]| Digest::from_bytes(bytes.try_into().expect("the bank is SHA-256"));
        let value = |pcr: u8| match pcr {
            IMA_PCR => digest(ima.as_bytes()),
            ENCLAVE_LOG_PCR => self.log().replay(),
            pcr => digest(boot.get(u32::from(pcr)).expect("there are 24 registers").as_bytes()),
        };
        self.pcrs.iter().map(|pcr| (*pcr, value(*pcr))).collect()
    }

    /// Makes firmware measure this log, and ships it where a boot log is shipped.
    pub fn boot(&mut self, log: Vec<u8>) {
        self.boot_log = self.boot_log.is_some().then(|| log.clone());
        self.measured_boot = log;
    }

    /// Makes the kernel measure this list, and ships it where a list is shipped.
    pub fn measure(&mut self, list: Vec<u8>) {
        self.ima_log = self.ima_log.is_some().then(|| list.clone());
        self.measured_ima = list;
    }

    /// Signs the draft with the world's key.
    #[must_use]
    pub fn seal(self) -> Evidence {
        let ak = &self.world.ak;
        self.seal_with(ak, |chain| chain)
    }

    /// Signs the draft with some key, and ships some chain.
    #[must_use]
    pub fn seal_with(
        mut self,
        ak: &TpmKey,
        chain: impl FnOnce(Vec<Certificate>) -> Vec<Certificate>,
    ) -> Evidence {
        self.statement.log_count = self.log().count();
        let statement = self.statement.encode().expect("the statement is consistent");
        self.seal_statement(statement, ak, chain)
    }

    /// Signs any bytes as a statement.
    #[must_use]
    pub fn seal_statement(
        self,
        statement: Vec<u8>,
        ak: &TpmKey,
        chain: impl FnOnce(Vec<Certificate>) -> Vec<Certificate>,
    ) -> Evidence {
        let mut leaves = self.other_leaves.clone();
        let index = u32::try_from(leaves.len()).expect("there are few leaves");
        leaves.push(tree::leaf(&statement));
        let tree = Tree::new(leaves).expect("there are few leaves");
        let pcrs = self.pcr_values();
        let composite = tpm2::composite(pcrs.values().map(|value| value.as_bytes().as_slice()));
        let extra = quote_data(tree.count(), tree.root().as_bytes());
        let quote =
            ak.attest(extra.as_bytes(), &selection(self.bank, pcrs.keys().copied()), &composite, self.counts);
        let log = match (&self.statement.enclave, self.hide) {
            (Some(claim), true) => self.log().hide_foreign(&claim.id),
            _ => self.log().encode(),
        };
        let issuing = self.world.issuing.clone();
        let ak_chain = chain(vec![self.world.ak_certificate.clone(), issuing]);
        Evidence {
            format: FORMAT.into(),
            statement: Bytes(statement),
            proof: tree.proof(index).expect("the leaf is in the tree"),
            signature: Bytes(ak.sign(&quote)),
            quote: Bytes(quote),
            ak_public: Bytes(ak.public.as_bytes().to_vec()),
            ak_chain: ak_chain.iter().map(|certificate| Bytes(certificate.der().to_vec())).collect(),
            pcrs: PcrValues(pcrs),
            enclave_log: Bytes(log),
            certificate: self.certificate.as_ref().map(|certificate| Bytes(certificate.der().to_vec())),
            verdict: self.verdict.as_ref().map(|claims| self.sign_verdict(claims)),
            boot_log: self.boot_log.map(Bytes),
            ima_log: self.ima_log.map(Bytes),
        }
    }

    fn sign_verdict(&self, claims: &VerdictClaims) -> String {
        let chain = vec![self.verdict_certificate.der().to_vec(), self.world.issuing.der().to_vec()];
        jws::sign(VERDICT_TYPE, &KeyHint::Chain(chain), claims, &self.world.verifier_key)
            .expect("the verdict is signed")
    }
}
