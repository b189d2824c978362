//! The enclave log on a real software TPM: whatever moment the agent ended at, file and register agree afterwards.
#![allow(clippy::unwrap_used)]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use agent::{Boot, Journal};
use evidence::ENCLAVE_LOG_PCR;
use hardware::{SoftwareTpm, Tpm};
use logs::enclave::{Completeness, EnclaveLog, Event, Reason};
use names::{Digest, EnclaveId};

const BOOT: Boot = Boot { reset_count: 1 };

fn tpm(folder: &Path) -> Tpm {
    Tpm::start(SoftwareTpm::start(&folder.join("tpm")).unwrap()).unwrap()
}

fn open(tpm: &mut Tpm, folder: &Path) -> Journal {
    Journal::open(tpm, folder, BOOT).unwrap()
}

fn stop_event(number: u8) -> Event {
    Event::Stop {
        enclave: EnclaveId::from_bytes([number; 16]),
        incarnation: 1,
        reason: Reason::new("test").unwrap(),
    }
}

fn register(tpm: &mut Tpm) -> Digest {
    Digest::from_bytes(tpm.read_pcrs(&[ENCLAVE_LOG_PCR]).unwrap()[&ENCLAVE_LOG_PCR])
}

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("enclave-log.cel")
}

/// A log with two events, as an agent leaves it.
fn written(folder: &Path) -> Tpm {
    let mut tpm = tpm(folder);
    let mut journal = open(&mut tpm, folder);
    journal.append(&mut tpm, stop_event(1)).unwrap();
    journal.append(&mut tpm, stop_event(2)).unwrap();
    assert_eq!(journal.log().replay(), register(&mut tpm));
    tpm
}

#[test]
fn a_restarted_agent_goes_on_with_the_same_log_and_tells_of_the_gap() {
    let folder = tempfile::tempdir().unwrap();
    let mut tpm = written(folder.path());
    let journal = open(&mut tpm, folder.path());
    assert_eq!(journal.log().count(), 3);
    assert!(matches!(journal.log().completeness(), Completeness::Gap(_)));
    assert_eq!(journal.log().replay(), register(&mut tpm));
}

#[test]
fn a_record_that_was_stored_and_not_extended_is_extended_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut tpm = written(folder.path());
    let bytes = std::fs::read(file(folder.path())).unwrap();
    let log = EnclaveLog::parse(&bytes, ENCLAVE_LOG_PCR).unwrap();
    let stored = log.next(stop_event(3), [7; 16]).unwrap();
    OpenOptions::new().append(true).open(file(folder.path())).unwrap().write_all(&stored.encode()).unwrap();
    let journal = open(&mut tpm, folder.path());
    assert_eq!(journal.log().count(), 4, "two, the stored one, and the gap");
    assert_eq!(journal.log().replay(), register(&mut tpm));
}

#[test]
fn a_torn_record_was_never_extended_and_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut tpm = written(folder.path());
    let bytes = std::fs::read(file(folder.path())).unwrap();
    let log = EnclaveLog::parse(&bytes, ENCLAVE_LOG_PCR).unwrap();
    let record = log.next(stop_event(3), [7; 16]).unwrap().encode();
    for length in [1, record.len() / 2, record.len() - 1] {
        let so_far = std::fs::read(file(folder.path())).unwrap();
        let torn = [so_far.as_slice(), &record[..length]].concat();
        std::fs::write(file(folder.path()), torn).unwrap();
        let trimmed = open(&mut tpm, folder.path());
        assert!(matches!(trimmed.log().completeness(), Completeness::Gap(_)));
        assert_eq!(trimmed.log().replay(), register(&mut tpm));
        assert_eq!(std::fs::read(file(folder.path())).unwrap(), trimmed.log().encode());
    }
}

#[test]
fn a_reset_begins_a_new_log_and_keeps_the_old_one_aside() {
    let folder = tempfile::tempdir().unwrap();
    drop(written(folder.path()));
    let mut tpm = tpm(folder.path());
    assert_eq!(register(&mut tpm), Digest::from_bytes([0; 32]), "a software TPM is reset at its start");
    let journal = Journal::open(&mut tpm, folder.path(), Boot { reset_count: 2 }).unwrap();
    assert_eq!(journal.log().count(), 0);
    assert_eq!(journal.log().completeness(), Completeness::Complete);
    assert!(folder.path().join("enclave-log.previous.cel").exists());
}

#[test]
fn a_register_in_use_begins_with_a_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let mut tpm = tpm(folder.path());
    tpm.extend(ENCLAVE_LOG_PCR, &[9; 32]).unwrap();
    let journal = open(&mut tpm, folder.path());
    assert!(matches!(journal.log().completeness(), Completeness::Baseline(_)));
    assert_eq!(journal.log().replay(), register(&mut tpm));
}

/// Log reset and replay: a log that was edited on the disk does not pass for what the register saw.
#[test]
fn an_edited_log_is_replaced_by_a_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let mut tpm = written(folder.path());
    let mut log = EnclaveLog::new(ENCLAVE_LOG_PCR);
    log.push(log.next(stop_event(1), [1; 16]).unwrap()).unwrap();
    std::fs::write(file(folder.path()), log.encode()).unwrap();
    let journal = open(&mut tpm, folder.path());
    assert!(matches!(journal.log().completeness(), Completeness::Baseline(_)));
    assert_eq!(journal.log().replay(), register(&mut tpm));
}
