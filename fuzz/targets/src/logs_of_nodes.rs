//! Measurement logs: whatever is accepted can be replayed and read.

use logs::Bank;
use logs::boot::{BootLog, EfiVariable};
use logs::enclave::EnclaveLog;
use logs::ima::{Entry, ImaError, ImaLog};
use names::EnclaveId;

pub(crate) fn boot_log(bytes: &[u8]) {
    let Ok(log) = BootLog::parse(bytes) else { return };
    for bank in Bank::ALL {
        let replayed = log.replay(bank);
        assert_eq!(replayed.is_some(), log.banks().any(|each| each == bank));
        if let Ok(checked) = log.check_event_data(bank) {
            let _ = (checked.separators(), checked.secure_boot(), checked.texts(8).count());
        }
    }
    for event in log.events() {
        let _ = EfiVariable::parse(event.data()).map(|variable| variable.is_named("SecureBoot"));
    }
}

pub(crate) fn ima_ascii(bytes: &[u8]) {
    let Some(ascii) = ima(ImaLog::parse_ascii(bytes)) else { return };
    assert_eq!(ascii, bytes, "an ascii list has one form");
}

pub(crate) fn ima_binary(bytes: &[u8]) {
    ima(ImaLog::parse_binary(bytes));
}

fn ima(parsed: Result<ImaLog<'_>, ImaError>) -> Option<Vec<u8>> {
    let log = parsed.ok()?;
    let quoted = log.replay(Bank::Sha256);
    let covered = log.prefix_matching(&quoted).expect("the whole list is a prefix of itself");
    assert_eq!(covered, log.entries().len(), "no shorter prefix replays to the same value");
    for bank in Bank::ALL {
        let _ = log.replay(bank);
    }
    Some(log.entries().iter().flat_map(Entry::to_ascii).collect())
}

pub(crate) fn enclave_log(bytes: &[u8]) {
    let Ok(log) = EnclaveLog::parse(bytes, 13) else { return };
    assert_eq!(log.encode(), bytes, "a log has one form");
    let enclave = log.records().iter().find_map(|record| record.event()?.enclave().copied());
    let enclave = enclave.unwrap_or(EnclaveId::from_bytes([0; 16]));
    let hidden = log.hide_foreign(&enclave);
    let hidden = EnclaveLog::parse(&hidden, 13).expect("hiding leaves a log");
    assert_eq!((hidden.count(), hidden.replay()), (log.count(), log.replay()));
    assert_eq!(hidden.live(&enclave), log.live(&enclave), "hiding others changes nothing about this one");
    let _ = (log.completeness(), log.replay_without_last());
}
