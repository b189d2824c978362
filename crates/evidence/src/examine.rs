//! The checks themselves, in their order, and the facts that they leave.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use names::{Digest, hex};
use pki::Certificate;
use subtle::ConstantTimeEq;
use tpm2::{Attest, PublicArea, Signature};

use crate::keys::{self, AttestedKey};
use crate::logs_check::{self, ENCLAVE_LOG_PCR, IMA_PCR};
use crate::statement::StatementError;
use crate::{
    Challenge, Channel, ChannelRule, Evidence, Expectation, Purpose, Rejected, Roots, Statement, Verdict,
    quote_data, tree,
};

/// What the quote says, signature checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// Values of the quoted PCRs of the SHA-256 bank, by index; their composite is the quoted one.
    pub pcrs: BTreeMap<u8, Digest>,
    /// TPM resets since it was cleared.
    pub reset_count: u32,
    /// TPM restarts since the last reset.
    pub restart_count: u32,
    /// The TPM vendor's version number.
    pub firmware_version: u64,
}

impl Quoted {
    /// Values of the PCRs that stand still after boot: all but IMA's and the enclave log's.
    #[must_use]
    pub fn boot_pcrs(&self) -> BTreeMap<u8, Digest> {
        let moves = |pcr: &u8| *pcr == IMA_PCR || *pcr == ENCLAVE_LOG_PCR;
        self.pcrs.iter().filter(|(pcr, _)| !moves(pcr)).map(|(pcr, value)| (*pcr, *value)).collect()
    }
}

/// A boot log that replays to the quoted registers, event data checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootState {
    /// The log.
    pub log: Vec<u8>,
}

/// An IMA list of which a prefix replays to the quoted register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImaState {
    /// The list, ascii.
    pub list: Vec<u8>,
    /// Entries that the quote covers; later ones are not judged.
    pub covered: usize,
}

/// Whether the enclave log tells of everything since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    /// It does.
    Complete,
    /// The agent was not watching for a while.
    Gap,
    /// Something else had extended the register before the log began.
    Baseline,
}

/// What stands when every check has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The statement.
    pub statement: Statement,
    /// The quoting key.
    pub key: AttestedKey,
    /// The quote.
    pub quoted: Quoted,
    /// Whether the log tells of everything since boot.
    pub log: LogState,
    /// The enclave's certificate, where the evidence has one.
    pub certificate: Option<Certificate>,
    /// The verifier's word, where the evidence has one.
    pub verdict: Option<Verdict>,
    /// The boot log, where the evidence has one.
    pub boot: Option<BootState>,
    /// The IMA list, where the evidence has one.
    pub ima: Option<ImaState>,
}

/// Form and challenge: is this an answer to our question?
pub(crate) fn statement(evidence: &Evidence) -> Result<Statement, Rejected> {
    evidence.check_form()?;
    Statement::parse(&evidence.statement.0).map_err(|error| match error {
        StatementError::Inconsistent => Rejected::StatementInconsistent,
        StatementError::Malformed { .. } | StatementError::Suite => Rejected::StatementMalformed,
    })
}

pub(crate) fn answers(statement: &Statement, challenge: &Challenge, now: u64) -> Result<(), Rejected> {
    let age = now.checked_sub(challenge.made_at).ok_or(Rejected::ChallengeExpired)?;
    if age > challenge.max_age {
        return Err(Rejected::ChallengeExpired);
    }
    if statement.purpose != challenge.expectation.purpose() {
        return Err(Rejected::PurposeMismatch);
    }
    if !bool::from(statement.nonce.ct_eq(&challenge.nonce)) {
        return Err(Rejected::NonceMismatch);
    }
    if let Expectation::Serve { certificate, .. } = &challenge.expectation {
        // Before the audience: somebody in the middle fails both, and this is the one to tell about.
        if statement.certificate != Some(*certificate) {
            return Err(Rejected::CertificateMismatch);
        }
    }
    if statement.audience != challenge.audience {
        return Err(Rejected::AudienceMismatch);
    }
    match &challenge.expectation {
        Expectation::Serve { channel, .. } => channel_matches(statement, channel),
        Expectation::Issue { csr, spki } => {
            if statement.request != Some(*csr) {
                return Err(Rejected::RequestMismatch);
            }
            if statement.enclave.as_ref().map(|enclave| &enclave.spki) != Some(spki) {
                return Err(Rejected::KeyMismatch);
            }
            Ok(())
        }
        Expectation::Node => Ok(()),
    }
}

fn channel_matches(statement: &Statement, rule: &ChannelRule) -> Result<(), Rejected> {
    match (rule, &statement.channel) {
        (ChannelRule::Unbound, _) => Ok(()),
        (ChannelRule::Required(_), Channel::None(_)) => Err(Rejected::ChannelMissing),
        (ChannelRule::Required(ours), Channel::Exporter(theirs)) => {
            bool::from(ours.ct_eq(theirs)).then_some(()).ok_or(Rejected::ChannelMismatch)
        }
    }
}

/// Everything that does not depend on who asked.
pub(crate) fn facts(
    evidence: &Evidence,
    statement: Statement,
    roots: &Roots,
    now: u64,
) -> Result<Facts, Rejected> {
    let certificate = enclave_certificate(evidence, &statement)?;
    let attest = quote(evidence)?;
    let public = keys::public_area(evidence, attest.qualified_signer(), &statement.ak_name)?;
    signature(evidence, &attest, &public)?;
    let key = keys::certified(&evidence.ak_chain, &public, &statement.node, roots, now)?;
    let quoted = registers(evidence, &attest)?;
    let log = logs_check::enclave_log(evidence, &statement, &quoted)?;
    let verdict = match &evidence.verdict {
        Some(token) => {
            let verdict = Verdict::check(token, roots, now)?;
            verdict_matches(&verdict, &statement, &quoted)?;
            Some(verdict)
        }
        None => None,
    };
    let boot = logs_check::boot_log(evidence, &quoted)?;
    let ima = logs_check::ima_list(evidence, &quoted)?;
    if statement.purpose == Purpose::Node && (boot.is_none() || ima.is_none()) {
        return Err(Rejected::NodeLogsMissing);
    }
    Ok(Facts { statement, key, quoted, log, certificate, verdict, boot, ima })
}

fn enclave_certificate(evidence: &Evidence, statement: &Statement) -> Result<Option<Certificate>, Rejected> {
    let (Some(stated), Some(enclave)) = (&statement.certificate, &statement.enclave) else {
        return Ok(None);
    };
    let der = evidence.certificate.as_ref().ok_or(Rejected::CertificateMissing)?;
    if Digest::of(&der.0) != *stated {
        return Err(Rejected::CertificateMismatch);
    }
    let certificate = Certificate::from_der(&der.0).map_err(|_| Rejected::CertificateMalformed)?;
    if certificate.spki_sha256() != *enclave.spki.as_bytes() {
        return Err(Rejected::CertificateKeyMismatch);
    }
    let id = statement.node.trust_domain().enclave(&enclave.id);
    if certificate.uris() != [id.as_str()] {
        return Err(Rejected::CertificateNameMismatch);
    }
    Ok(Some(certificate))
}

fn quote(evidence: &Evidence) -> Result<Attest, Rejected> {
    let root = evidence.proof.root(&tree::leaf(&evidence.statement.0)).map_err(|_| Rejected::ProofInvalid)?;
    let attest = Attest::parse(&evidence.quote.0).map_err(|_| Rejected::QuoteMalformed)?;
    let expected = quote_data(evidence.proof.count, root.as_bytes());
    if attest.extra_data() != expected.as_bytes() {
        return Err(Rejected::QuoteData);
    }
    Ok(attest)
}

fn signature(evidence: &Evidence, attest: &Attest, public: &PublicArea) -> Result<(), Rejected> {
    let signature = Signature::parse(&evidence.signature.0).map_err(|_| Rejected::SignatureMalformed)?;
    tpm2::verify_signature(public, attest.as_bytes(), &signature).map_err(|_| Rejected::QuoteSignature)
}

fn registers(evidence: &Evidence, attest: &Attest) -> Result<Quoted, Rejected> {
    let selected = attest.selection().sha256_pcrs().ok_or(Rejected::Selection)?;
    let pcrs = &evidence.pcrs.0;
    if !selected.iter().eq(pcrs.keys()) {
        return Err(Rejected::Selection);
    }
    let composite = tpm2::composite(pcrs.values().map(|value| value.as_bytes().as_slice()));
    if attest.pcr_digest() != composite {
        return Err(Rejected::PcrValues);
    }
    let clock = attest.clock();
    Ok(Quoted {
        pcrs: pcrs.clone(),
        reset_count: clock.reset_count,
        restart_count: clock.restart_count,
        firmware_version: attest.firmware_version(),
    })
}

fn verdict_matches(verdict: &Verdict, statement: &Statement, quoted: &Quoted) -> Result<(), Rejected> {
    let node = &verdict.claims().submods.node;
    if node.ak_names.get("ak-enclave") != Some(&hex(&statement.ak_name)) {
        return Err(Rejected::VerdictKey);
    }
    if node.node != statement.node {
        return Err(Rejected::VerdictNode);
    }
    if (node.reset_count, node.restart_count) != (quoted.reset_count, quoted.restart_count) {
        return Err(Rejected::VerdictBoot);
    }
    if node.boot_pcrs.0 != quoted.boot_pcrs() {
        return Err(Rejected::VerdictRegisters);
    }
    Ok(())
}
