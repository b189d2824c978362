//! TCG PC Client boot logs, in the crypto-agile and in the old SHA-1 format.
//!
//! A [`BootLog`] is well-formed; it is true only when [`BootLog::replay`] equals quoted PCRs, and its *data* is true
//! only for the events that [`BootLog::check_event_data`] found bound to their digests.
//!
//! The bytes must be exactly the log, as the kernel gives it (`binary_bios_measurements`). A firmware table that is
//! longer than its log (padding of zeros or ones) is refused: who read it must cut it where the firmware says.

mod check;
mod kind;
mod parse;
mod reading;
mod variable;

use alloc::vec::Vec;

use crate::bank::{Bank, Value};

pub use check::{Binding, CheckedBootLog, DataMismatch};
pub use kind::EventKind;
pub use parse::{BootLogError, HeaderFault};
pub use reading::{ReadingError, SecureBoot};
pub use variable::EfiVariable;

/// The largest log, in bytes.
pub const MAX_LOG: usize = 8 << 20;
/// The most events of a log.
pub const MAX_EVENTS: usize = 65_536;
/// The most digests of an event, and so the most algorithms of a log.
pub const MAX_DIGESTS: usize = 8;
/// The largest data of one event, in bytes.
pub const MAX_EVENT_DATA: usize = 1 << 20;
/// PCRs of a PC Client TPM.
pub const PCRS: u32 = 24;

/// How the log's events carry digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `TCG_PCR_EVENT`: one SHA-1 digest each.
    Sha1,
    /// `TCG_PCR_EVENT2`: one digest of each algorithm that the header names.
    CryptoAgile,
}

/// One event; its data is untrusted unless a [`CheckedBootLog`] says that a digest covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    position: usize,
    pcr: u32,
    kind: EventKind,
    digests: Vec<(u16, &'a [u8])>,
    data: &'a [u8],
}

impl<'a> Event<'a> {
    /// Where it stands in the log, from 0.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// The PCR it was extended into: below [`PCRS`], except for events that extend nothing.
    #[must_use]
    pub const fn pcr(&self) -> u32 {
        self.pcr
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        self.kind
    }

    /// Its digest in a bank.
    #[must_use]
    pub fn digest(&self, bank: Bank) -> Option<&'a [u8]> {
        let id = bank.algorithm_id();
        self.digests.iter().find(|(algorithm, _)| *algorithm == id).map(|(_, digest)| *digest)
    }

    /// Its digests with their `TPM_ALG_ID`, in the log's order, also of algorithms that cannot be replayed here.
    pub fn digests(&self) -> impl Iterator<Item = (u16, &'a [u8])> + '_ {
        self.digests.iter().copied()
    }

    /// What the event says about itself.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Whether a TPM was extended with it.
    #[must_use]
    pub fn is_extended(&self) -> bool {
        self.kind != EventKind::NoAction
    }
}

/// A well-formed boot log that borrows the bytes it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootLog<'a> {
    format: Format,
    /// `TPM_ALG_ID`s; each event has exactly one digest of each.
    algorithms: Vec<u16>,
    /// The locality of `TPM2_Startup`, where the log tells it.
    startup_locality: u8,
    events: Vec<Event<'a>>,
}

impl<'a> BootLog<'a> {
    /// Reads a whole log, header event included.
    ///
    /// # Errors
    /// Anything that is not exactly one log within the bounds.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BootLogError> {
        parse::boot_log(bytes)
    }

    /// The format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The banks that can be replayed.
    pub fn banks(&self) -> impl Iterator<Item = Bank> + '_ {
        self.algorithms.iter().filter_map(|id| Bank::from_algorithm_id(*id))
    }

    /// The events in order; a crypto-agile log's header is the first.
    #[must_use]
    pub fn events(&self) -> &[Event<'a>] {
        &self.events
    }

    /// The PCR values that a TPM has after exactly these events; `None` when the log has no digests of the bank.
    #[must_use]
    pub fn replay(&self, bank: Bank) -> Option<Pcrs> {
        if !self.banks().any(|each| each == bank) {
            return None;
        }
        let mut pcrs = Pcrs::at_start(bank, self.startup_locality);
        for event in self.events.iter().filter(|event| event.is_extended()) {
            pcrs.extend(event.pcr, event.digest(bank)?);
        }
        Some(pcrs)
    }

    /// Compares the data of events with their digests in the bank that was quoted.
    ///
    /// # Errors
    /// The first event whose type promises that its digest is a hash of its data, and where it is not; or a bank
    /// that the log does not have.
    pub fn check_event_data(&self, bank: Bank) -> Result<CheckedBootLog<'_, 'a>, DataMismatch> {
        check::event_data(self, bank)
    }
}

/// The values of one bank after a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcrs {
    bank: Bank,
    values: Vec<Value>,
    extended: u32,
}

impl Pcrs {
    /// TCG PC Client Platform TPM Profile, initial PCR values: 17 to 22 start with ones, the others with zeros.
    fn at_start(bank: Bank, locality: u8) -> Self {
        let values = (0..PCRS).map(|index| match index {
            0 => Value::started_at(bank, locality),
            17..=22 => Value::ones(bank),
            _ => Value::zeros(bank),
        });
        Self { bank, values: values.collect(), extended: 0 }
    }

    fn extend(&mut self, index: u32, digest: &[u8]) {
        let slot = usize::try_from(index).ok().and_then(|index| self.values.get_mut(index));
        if let Some(value) = slot {
            *value = value.extended(digest);
            self.extended |= 1 << index;
        }
    }

    /// The bank.
    #[must_use]
    pub const fn bank(&self) -> Bank {
        self.bank
    }

    /// The value of a PCR below [`PCRS`], extended or not.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&Value> {
        self.values.get(usize::try_from(index).ok()?)
    }

    /// The PCRs that the log extends.
    pub fn extended(&self) -> impl Iterator<Item = (u32, &Value)> {
        (0..PCRS).zip(&self.values).filter(|(index, _)| self.extended & (1 << index) != 0)
    }
}
