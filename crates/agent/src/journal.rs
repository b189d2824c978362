//! The enclave log on disk and in the TPM, written ahead: stored and synced, then extended, then counted as done.
//!
//! Invariant: between jobs of the TPM's owner, the log in memory replays to the register. Only the owner's thread writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use evidence::ENCLAVE_LOG_PCR;
use hardware::{Tpm, TpmError};
use logs::enclave::{EnclaveLog, EnclaveLogError, Event, EventFault, Reason};
use names::Digest;
use serde::{Deserialize, Serialize};

/// Most bytes that are read of a saved log: one more than a log may have, so that a longer one is refused.
const MAX_FILE: u64 = logs::enclave::MAX_LOG as u64 + 1;

/// Why the log can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk.
    #[error("{what} {}", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The TPM.
    #[error("extend the enclave log's register")]
    Tpm(#[from] TpmError),
    /// The event may not stand here, or the log is full.
    #[error("enclave log")]
    Log(#[from] EnclaveLogError),
    /// An event that can't be written.
    #[error("enclave log event")]
    Event(#[from] EventFault),
    /// The system gives no random bytes.
    #[error("random bytes")]
    Random,
    /// The register may have been extended by a record that is not counted; nothing is announced until a restart has
    /// recovered the log.
    #[error("the enclave log is closed after a failed extension of its register")]
    Closed,
}

/// Which boot the saved log belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// TPM resets since it was cleared.
    pub reset_count: u32,
}

/// Whether file, register and memory say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    /// They do.
    Whole,
    /// The file may have more than was extended: what did not go to the disk, as one that was full.
    Torn,
    /// The register may have more than is counted.
    Lost,
}

/// The log, its file, and whether both may be trusted still.
#[derive(Debug)]
pub struct Journal {
    log: EnclaveLog,
    file: File,
    /// Bytes of the records that count.
    length: u64,
    path: PathBuf,
    agreement: Agreement,
}

impl Journal {
    /// Opens the log of this boot in `folder`, and brings file and register together.
    ///
    /// # Errors
    /// [`JournalError`]: without a log nothing may be started.
    pub fn open(tpm: &mut Tpm, folder: &Path, boot: Boot) -> Result<Self, JournalError> {
        let path = folder.join("enclave-log.cel");
        let found = register(tpm)?;
        let mut log = if saved_boot(folder)? == Some(boot) { saved_log(&path)? } else { None };
        if let Some(saved) = &log {
            if found == saved.replay_without_last() && found != saved.replay() {
                // Stopped between storing the last record and extending it.
                if let Some(last) = saved.records().last() {
                    tpm.extend(ENCLAVE_LOG_PCR, last.digest().as_bytes())?;
                }
            } else if found != saved.replay() {
                log = None;
            }
        }
        match log {
            Some(log) => {
                let file = append(&path)?;
                let mut journal = Self::new(log, file, path);
                if journal.log.count() > 0 {
                    journal.append(tpm, Event::Gap { reason: Reason::new("agent_restarted")? })?;
                }
                Ok(journal)
            }
            None => Self::begin(tpm, folder, path, boot, found),
        }
    }

    fn new(log: EnclaveLog, file: File, path: PathBuf) -> Self {
        let length = log.encode().len() as u64;
        Self { log, file, length, path, agreement: Agreement::Whole }
    }

    fn begin(
        tpm: &mut Tpm,
        folder: &Path,
        path: PathBuf,
        boot: Boot,
        found: Digest,
    ) -> Result<Self, JournalError> {
        if path.exists() {
            let aside = folder.join("enclave-log.previous.cel");
            std::fs::rename(&path, &aside).map_err(disk("set aside", &path))?;
        }
        let file = append(&path)?;
        save_boot(folder, boot)?;
        let mut journal = Self::new(EnclaveLog::new(ENCLAVE_LOG_PCR), file, path);
        if found != Digest::from_bytes([0; 32]) {
            let reason = Reason::new("register_in_use")?;
            // A baseline starts the replay from the value found, and is itself extended like every record.
            journal.append(tpm, Event::Baseline { found, reason })?;
        }
        Ok(journal)
    }

    /// Announces an event: stored and synced, extended, done.
    ///
    /// # Errors
    /// [`JournalError`]. What the disk did not take is cut off again before the next event; after a failed extension the
    /// journal is closed.
    pub fn append(&mut self, tpm: &mut Tpm, event: Event) -> Result<(), JournalError> {
        self.mend()?;
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| JournalError::Random)?;
        let record = self.log.next(event, salt)?;
        let bytes = record.encode();
        self.agreement = Agreement::Torn;
        self.file.write_all(&bytes).map_err(disk("write", &self.path))?;
        self.file.sync_data().map_err(disk("sync", &self.path))?;
        self.agreement = Agreement::Lost;
        tpm.extend(ENCLAVE_LOG_PCR, record.digest().as_bytes())?;
        self.log.push(record)?;
        self.length += bytes.len() as u64;
        self.agreement = Agreement::Whole;
        Ok(())
    }

    /// Cuts off what was stored and not extended, as the next start would.
    fn mend(&mut self) -> Result<(), JournalError> {
        match self.agreement {
            Agreement::Whole => return Ok(()),
            Agreement::Lost => return Err(JournalError::Closed),
            Agreement::Torn => {}
        }
        let cut = self.file.set_len(self.length).and_then(|()| self.file.sync_all());
        cut.map_err(disk("trim", &self.path))?;
        self.agreement = Agreement::Whole;
        Ok(())
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> &EnclaveLog {
        &self.log
    }
}

fn register(tpm: &mut Tpm) -> Result<Digest, JournalError> {
    let values = tpm.read_pcrs(&[ENCLAVE_LOG_PCR])?;
    let value = values.get(&ENCLAVE_LOG_PCR).copied().unwrap_or([0; 32]);
    Ok(Digest::from_bytes(value))
}

fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_path_buf();
    move |source| JournalError::Disk { what, path, source }
}

fn append(path: &Path) -> Result<File, JournalError> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(disk("open", path))
}

/// The saved log; `None` where there is none or it can't be read to its end. A torn last record is one that was not
/// synced, so it was not extended either: the whole records before it are the log.
fn saved_log(path: &Path) -> Result<Option<EnclaveLog>, JournalError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk("read", path)(error)),
    }
    let whole = whole_records(&bytes);
    if whole < bytes.len() {
        let file = OpenOptions::new().write(true).open(path).map_err(disk("open", path))?;
        file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(disk("trim", path))?;
    }
    Ok(EnclaveLog::parse(&bytes[..whole], ENCLAVE_LOG_PCR).ok())
}

/// Length of the whole records at the beginning: four TLVs each (type byte, u32 length).
fn whole_records(bytes: &[u8]) -> usize {
    let mut whole = 0;
    loop {
        let mut at = whole;
        for _ in 0..4 {
            let Some(length) = bytes.get(at + 1..at + 5).and_then(|length| <[u8; 4]>::try_from(length).ok())
            else {
                return whole;
            };
            at += 5 + u32::from_be_bytes(length) as usize;
        }
        if at > bytes.len() {
            return whole;
        }
        whole = at;
    }
}

fn saved_boot(folder: &Path) -> Result<Option<Boot>, JournalError> {
    let path = folder.join("boot.json");
    match std::fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk("read", &path)(error)),
    }
}

fn save_boot(folder: &Path, boot: Boot) -> Result<(), JournalError> {
    let (path, fresh) = (folder.join("boot.json"), folder.join("boot.json.new"));
    let write = || {
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(&boot)?)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)
    };
    write().map_err(disk("write", &path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event(number: u8) -> Event {
        let enclave = names::EnclaveId::from_bytes([number; 16]);
        Event::Stop { enclave, incarnation: 1, reason: Reason::new("test").unwrap() }
    }

    #[test]
    fn a_full_disk_costs_the_event_and_not_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let device = hardware::SoftwareTpm::start(&folder.path().join("tpm")).unwrap();
        let mut tpm = Tpm::start(device).unwrap();
        let mut journal = Journal::open(&mut tpm, folder.path(), Boot { reset_count: 1 }).unwrap();
        journal.append(&mut tpm, event(1)).unwrap();

        // null(4): writes to it end with "no space left on device".
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut real = std::mem::replace(&mut journal.file, full);
        for number in [2, 3] {
            let refused = journal.append(&mut tpm, event(number)).unwrap_err();
            assert!(matches!(refused, JournalError::Disk { .. }), "{refused:?}");
        }
        // Half of a record had found room.
        real.write_all(&[0; 7]).unwrap();
        journal.file = real;
        journal.append(&mut tpm, event(4)).unwrap();

        let saved = EnclaveLog::parse(&std::fs::read(&journal.path).unwrap(), ENCLAVE_LOG_PCR).unwrap();
        assert_eq!(saved.count(), 2);
        assert_eq!(saved.replay(), register(&mut tpm).unwrap());
    }
}
