//! The logs beside a quote: each must replay to a quoted register before anything in it is believed.

use logs::bank::{Bank, Value};
use logs::boot::BootLog;
use logs::enclave::{Completeness, EnclaveLog, Live, NotLive};
use logs::ima::ImaLog;
use names::Digest;

use crate::examine::{BootState, ImaState, LogState, Quoted};
use crate::{EnclaveClaim, Evidence, Rejected, Statement};

/// The register that the enclave log extends; it can't be reset at locality 0.
pub const ENCLAVE_LOG_PCR: u8 = 13;
/// The register that the kernel's IMA extends.
pub const IMA_PCR: u8 = 10;

/// Replays the enclave log and finds the statement's enclave alive in it. Answers how complete the log is.
pub(crate) fn enclave_log(
    evidence: &Evidence,
    statement: &Statement,
    quoted: &Quoted,
) -> Result<LogState, Rejected> {
    let log =
        EnclaveLog::parse(&evidence.enclave_log.0, ENCLAVE_LOG_PCR).map_err(|_| Rejected::LogMalformed)?;
    if log.count() != statement.log_count {
        return Err(Rejected::LogCount);
    }
    if quoted.pcrs.get(&ENCLAVE_LOG_PCR) != Some(&log.replay()) {
        return Err(Rejected::LogReplay);
    }
    if let Some(claim) = &statement.enclave {
        let live = log.live(&claim.id).map_err(|not_live| rejection(&not_live))?;
        if !says_the_same(claim, &live) {
            return Err(Rejected::LogMismatch);
        }
    }
    Ok(match log.completeness() {
        Completeness::Complete => LogState::Complete,
        Completeness::Gap(_) => LogState::Gap,
        Completeness::Baseline(_) => LogState::Baseline,
    })
}

fn rejection(not_live: &NotLive) -> Rejected {
    match not_live {
        NotLive::NeverStarted => Rejected::NeverStarted,
        NotLive::NotKeyed { .. } => Rejected::NotKeyed,
        NotLive::Stopped { .. } => Rejected::Stopped,
        NotLive::HiddenEntry { .. } => Rejected::LogHidden,
        NotLive::Restarted { .. } => Rejected::LogMismatch,
        NotLive::IncarnationReused { .. }
        | NotLive::OutsideLife { .. }
        | NotLive::SecondKey { .. }
        | NotLive::NoKeyToReplace { .. } => Rejected::LogMalformed,
    }
}

fn says_the_same(claim: &EnclaveClaim, live: &Live) -> bool {
    let stated =
        (claim.incarnation, claim.version, claim.instance, Some(claim.owner), claim.facade, claim.spki);
    stated == (live.incarnation, live.version, live.instance, live.owner, live.facade, live.spki)
}

/// The boot log, if the evidence has one: event data as measured, and every register that stands still after boot
/// exactly as quoted, the untouched ones included.
pub(crate) fn boot_log(evidence: &Evidence, quoted: &Quoted) -> Result<Option<BootState>, Rejected> {
    let Some(bytes) = &evidence.boot_log else { return Ok(None) };
    let log = BootLog::parse(&bytes.0).map_err(|_| Rejected::BootLogMalformed)?;
    let replayed = log.replay(Bank::Sha256).ok_or(Rejected::BootLogMalformed)?;
    let matches = |(pcr, value): (u8, Digest)| {
        replayed.get(u32::from(pcr)).is_some_and(|replayed| replayed.as_bytes() == value.as_bytes())
    };
    if !quoted.boot_pcrs().into_iter().all(matches) {
        return Err(Rejected::BootLogReplay);
    }
    log.check_event_data(Bank::Sha256).map_err(|_| Rejected::BootLogData)?;
    Ok(Some(BootState { log: bytes.0.clone() }))
}

/// The IMA list, if the evidence has one: some prefix replays to the quoted register.
pub(crate) fn ima_list(evidence: &Evidence, quoted: &Quoted) -> Result<Option<ImaState>, Rejected> {
    let Some(bytes) = &evidence.ima_log else { return Ok(None) };
    let Some(value) = quoted.pcrs.get(&IMA_PCR) else {
        // A list that is none is told first.
        ImaLog::parse_ascii(&bytes.0).map_err(|_| Rejected::ImaMalformed)?;
        return Err(Rejected::ImaReplay);
    };
    let value = Value::from_bytes(Bank::Sha256, value.as_bytes()).ok_or(Rejected::ImaReplay)?;
    let covered = ImaLog::prefix_of_ascii(&bytes.0, &value).map_err(|_| Rejected::ImaMalformed)?;
    let covered = covered.ok_or(Rejected::ImaReplay)?;
    Ok(Some(ImaState { list: bytes.0.clone(), covered }))
}
