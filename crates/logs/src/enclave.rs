//! The enclave log: what the agent announced since boot, in TCG Canonical Event Log TLV form, in one PCR.
//!
//! ```text
//! record  = recnum(0, u64) pcr(1, u8) digests(3, sha256(0x0b, 32 bytes)) content(90, tag | kind | rest)
//! TLV     = type (1 byte) | length (u32) | value                       all numbers big-endian
//! tag     = first 16 bytes of SHA-256("sealwright/log-tag/v1" | enclave id), or zeros for the whole node
//! rest    = kind 0, hidden: SHA-256(body)      kind 1, open: body
//! body    = event type (1 byte) | salt (16 bytes) | fields, each u16 length | bytes
//! digest  = SHA-256("sealwright/log/v1" | tag | SHA-256(body))
//! ```
//!
//! A tenant gets foreign entries hidden: the PCR still replays, the salt keeps their content from being guessed.
//! An entry of the enclave that is asked about, and one of the whole node, may never be hidden.

mod event;
mod live;
mod record;

use alloc::vec::Vec;

use names::{Digest, EnclaveId};

pub use event::{Event, EventFault, Reason, Start};
pub use live::{Live, NotLive};
pub use record::{Record, RecordFault, Salt};

/// The largest log, in bytes.
pub const MAX_LOG: usize = 16 << 20;
/// The most records of a log.
pub const MAX_RECORDS: usize = 65_536;
/// The longest reason of an event, in bytes.
pub const MAX_REASON: usize = 256;
/// The largest body of an event, in bytes; the largest that is written is a `stop` with a long reason.
pub const MAX_BODY: usize = 1024;

/// Why bytes are not an enclave log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnclaveLogError {
    /// More than [`MAX_LOG`] bytes.
    #[error("enclave log of {size} bytes is larger than {MAX_LOG}")]
    TooLarge {
        /// Bytes given.
        size: usize,
    },
    /// More than [`MAX_RECORDS`] records, or no room for another.
    #[error("enclave log has more than {MAX_RECORDS} records")]
    TooManyRecords,
    /// One record is wrong.
    #[error("enclave log record {record}: {fault}")]
    Record {
        /// Position of the record, from 0.
        record: u64,
        /// What is wrong with it.
        fault: RecordFault,
    },
}

/// Whether the log speaks for everything since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness<'a> {
    /// It does.
    Complete,
    /// The PCR was already extended by something that the log does not know.
    Baseline(&'a Reason),
    /// The agent was not watching for a while (the first time that it says so).
    Gap(&'a Reason),
}

/// A well-formed log of one PCR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnclaveLog {
    pcr: u8,
    records: Vec<Record>,
    /// Bytes of all records as they are encoded.
    size: usize,
}

impl EnclaveLog {
    /// A log without records.
    #[must_use]
    pub const fn new(pcr: u8) -> Self {
        Self { pcr, records: Vec::new(), size: 0 }
    }

    /// Reads a whole log of the PCR that the reader's policy names. No bytes at all are a log without records.
    ///
    /// # Errors
    /// Anything that is not exactly a log within the bounds, with records numbered from 0 and digests that recompute.
    pub fn parse(bytes: &[u8], pcr: u8) -> Result<Self, EnclaveLogError> {
        if bytes.len() > MAX_LOG {
            return Err(EnclaveLogError::TooLarge { size: bytes.len() });
        }
        let mut log = Self::new(pcr);
        let mut reader = crate::reader::Reader::new(bytes);
        while !reader.is_empty() {
            if log.records.len() >= MAX_RECORDS {
                return Err(EnclaveLogError::TooManyRecords);
            }
            let number = log.count();
            let record = Record::read(&mut reader);
            log.push(record.map_err(|fault| EnclaveLogError::Record { record: number, fault })?)?;
        }
        Ok(log)
    }

    /// The record that comes next, not yet part of the log, so that it can be stored and extended before.
    ///
    /// # Errors
    /// The log is full, or the event may not stand here.
    pub fn next(&self, event: Event, salt: Salt) -> Result<Record, EnclaveLogError> {
        let record = Record::new(self.count(), self.pcr, event, salt);
        self.refuse_unfit(&record)?;
        Ok(record)
    }

    /// Takes a record that [`Self::next`] made.
    ///
    /// # Errors
    /// The log is full, or the record is not the one that comes next.
    pub fn push(&mut self, record: Record) -> Result<(), EnclaveLogError> {
        self.refuse_unfit(&record)?;
        self.size = self.size.saturating_add(record.size());
        self.records.push(record);
        Ok(())
    }

    fn refuse_unfit(&self, record: &Record) -> Result<(), EnclaveLogError> {
        if self.records.len() >= MAX_RECORDS {
            return Err(EnclaveLogError::TooManyRecords);
        }
        let size = self.size.saturating_add(record.size());
        if size > MAX_LOG {
            return Err(EnclaveLogError::TooLarge { size });
        }
        match self.fault_of_next(record) {
            Some(fault) => Err(EnclaveLogError::Record { record: self.count(), fault }),
            None => Ok(()),
        }
    }

    fn fault_of_next(&self, record: &Record) -> Option<RecordFault> {
        if record.number() != self.count() {
            return Some(RecordFault::Number);
        }
        if record.pcr() != self.pcr {
            return Some(RecordFault::Pcr);
        }
        let is_baseline = matches!(record.event(), Some(Event::Baseline { .. }));
        (is_baseline && record.number() != 0).then_some(RecordFault::LateBaseline)
    }

    /// The PCR.
    #[must_use]
    pub const fn pcr(&self) -> u8 {
        self.pcr
    }

    /// Number of records: what a statement's log count must equal.
    #[must_use]
    pub fn count(&self) -> u64 {
        // MAX_RECORDS keeps it far below u64::MAX on every machine.
        u64::try_from(self.records.len()).unwrap_or(u64::MAX)
    }

    /// Whether nothing new should be started: what lives needs the rest for its keys and ends. A tenth of each bound is kept.
    #[must_use]
    pub fn is_nearly_full(&self) -> bool {
        self.records.len() >= MAX_RECORDS - MAX_RECORDS / 10 || self.size >= MAX_LOG - MAX_LOG / 10
    }

    /// The records in order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The PCR after exactly these records. A log that begins with a baseline starts from the value found then.
    #[must_use]
    pub fn replay(&self) -> Digest {
        replay(&self.records)
    }

    /// The PCR without the last record: where a write-ahead log stands when the machine stopped between storing a
    /// record and extending the PCR. The same as [`Self::replay`] when there is no record.
    #[must_use]
    pub fn replay_without_last(&self) -> Digest {
        let last = self.records.len().saturating_sub(1);
        replay(self.records.get(..last).unwrap_or_default())
    }

    /// Whether the log speaks for everything since boot.
    #[must_use]
    pub fn completeness(&self) -> Completeness<'_> {
        for record in &self.records {
            match record.event() {
                Some(Event::Baseline { reason, .. }) => return Completeness::Baseline(reason),
                Some(Event::Gap { reason }) => return Completeness::Gap(reason),
                Some(Event::Start(_) | Event::Key { .. } | Event::Rekey { .. } | Event::Stop { .. })
                | None => {}
            }
        }
        Completeness::Complete
    }

    /// The log as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size);
        self.records.iter().for_each(|record| record.write(&mut bytes));
        bytes
    }

    /// The log as one enclave's owner may see it: entries of other enclaves hidden, with the same PCR digests.
    #[must_use]
    pub fn hide_foreign(&self, enclave: &EnclaveId) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in &self.records {
            if record.is_node_wide() || record.is_of(enclave) {
                record.write(&mut bytes);
            } else {
                record.write_hidden(&mut bytes);
            }
        }
        bytes
    }

    /// The one live entry of an enclave: started, keyed, not stopped.
    ///
    /// # Errors
    /// The reason why there is none, or why the log cannot say.
    pub fn live(&self, enclave: &EnclaveId) -> Result<Live, NotLive> {
        live::of(self, enclave)
    }

    /// The live entry of one incarnation of an enclave.
    ///
    /// # Errors
    /// As [`Self::live`], and [`NotLive::Restarted`] when another incarnation is the live one.
    pub fn live_incarnation(&self, enclave: &EnclaveId, incarnation: u64) -> Result<Live, NotLive> {
        let live = self.live(enclave)?;
        if live.incarnation == incarnation {
            Ok(live)
        } else {
            Err(NotLive::Restarted { asked: incarnation, live: live.incarnation })
        }
    }
}

fn replay(records: &[Record]) -> Digest {
    let before = match records.first().and_then(Record::event) {
        Some(Event::Baseline { found, .. }) => *found,
        Some(_) | None => Digest::from_bytes([0; 32]),
    };
    records
        .iter()
        .fold(before, |value, record| Digest::of_parts(&[value.as_bytes(), record.digest().as_bytes()]))
}
