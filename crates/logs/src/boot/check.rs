//! Whether the data of events is what their digests cover.
//!
//! A replay proves digests only. An edited file of event data with untouched digests replays just as well, so
//! nothing reads data that is not [bound](Binding) to its digest.

use alloc::vec::Vec;

use super::{BootLog, EfiVariable, Event, EventKind};
use crate::bank::{Bank, Value};

/// How an event's data and its digest in a bank belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// The digest is the hash of the whole data.
    Whole,
    /// The digest is the hash of the variable's content; its name and GUID are only claimed.
    VariableContent,
    /// The digest is the hash of the text after the first `": "`, without the final NUL; what stands before is only
    /// claimed. GRUB measures commands and command lines so.
    Text,
    /// The digest covers something else, such as an image; the data is only a claim.
    Unbound,
}

/// An event whose data is not what its digest covers, although its type says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataMismatch {
    /// The log has no digests of this bank.
    #[error("boot log has no {bank} digests")]
    NoBank {
        /// The bank that was asked for.
        bank: Bank,
    },
    /// The data was changed, or the digest.
    #[error("data of event {event} (PCR {pcr}, {kind:?}) is not what its {bank} digest covers")]
    Event {
        /// Position of the event.
        event: usize,
        /// Its PCR.
        pcr: u32,
        /// Its type.
        kind: EventKind,
        /// The bank of the digest.
        bank: Bank,
    },
}

/// A log whose data was compared with the digests of one bank; made by [`BootLog::check_event_data`] only.
#[derive(Debug, Clone)]
pub struct CheckedBootLog<'log, 'a> {
    log: &'log BootLog<'a>,
    bindings: Vec<Binding>,
}

impl<'log, 'a> CheckedBootLog<'log, 'a> {
    /// The log.
    #[must_use]
    pub const fn log(&self) -> &'log BootLog<'a> {
        self.log
    }

    /// The events in order with their bindings.
    pub fn events(&self) -> impl Iterator<Item = (&'log Event<'a>, Binding)> + '_ {
        self.log.events().iter().zip(self.bindings.iter().copied())
    }

    /// The texts that boot loaders measured into a PCR (GRUB: commands in PCR 8), in order.
    pub fn texts(&self, pcr: u32) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.events()
            .filter(move |(event, binding)| event.pcr() == pcr && *binding == Binding::Text)
            .filter_map(|(event, _)| text(event.data()))
    }
}

pub(super) fn event_data<'log, 'a>(
    log: &'log BootLog<'a>,
    bank: Bank,
) -> Result<CheckedBootLog<'log, 'a>, DataMismatch> {
    if !log.banks().any(|each| each == bank) {
        return Err(DataMismatch::NoBank { bank });
    }
    let bindings: Result<Vec<_>, _> = log.events().iter().map(|event| binding(event, bank)).collect();
    Ok(CheckedBootLog { log, bindings: bindings? })
}

/// Only what the Platform Firmware Profile (1.06, 10.4.1) promises for a type, and genuine logs keep.
fn binding(event: &Event<'_>, bank: Bank) -> Result<Binding, DataMismatch> {
    if !event.is_extended() {
        return Ok(Binding::Unbound);
    }
    let mismatch =
        DataMismatch::Event { event: event.position(), pcr: event.pcr(), kind: event.kind(), bank };
    let digest = event.digest(bank).and_then(|digest| Value::from_bytes(bank, digest)).ok_or(mismatch)?;
    let covers = |bytes: &[u8]| bank.hash(&[bytes]) == digest;
    match event.kind() {
        EventKind::Separator
        | EventKind::Action
        | EventKind::SCrtmVersion
        | EventKind::EfiAction
        | EventKind::EfiGptEvent
        | EventKind::EfiVariableDriverConfig
        | EventKind::EfiVariableBoot2 => {
            if covers(event.data()) { Ok(Binding::Whole) } else { Err(mismatch) }
        }
        // Firmware before the BOOT2 type measures the content only; the profile allowed both.
        EventKind::EfiVariableBoot => match EfiVariable::parse(event.data()) {
            _ if covers(event.data()) => Ok(Binding::Whole),
            Some(variable) if covers(variable.data()) => Ok(Binding::VariableContent),
            Some(_) | None => Err(mismatch),
        },
        // Shim before version 15 wrote records whose lengths do not add up and hashed something else. Such a record
        // is no variable, so nobody reads it as one; a well-formed one must be covered.
        EventKind::EfiVariableAuthority => match EfiVariable::parse(event.data()) {
            Some(_) if covers(event.data()) => Ok(Binding::Whole),
            Some(_) => Err(mismatch),
            None => Ok(Binding::Unbound),
        },
        EventKind::Ipl => match text(event.data()) {
            Some(text) if covers(text) => Ok(Binding::Text),
            Some(_) | None => Ok(Binding::Unbound),
        },
        EventKind::PrebootCert
        | EventKind::PostCode
        | EventKind::NoAction
        | EventKind::EventTag
        | EventKind::SCrtmContents
        | EventKind::CpuMicrocode
        | EventKind::PlatformConfigFlags
        | EventKind::TableOfDevices
        | EventKind::CompactHash
        | EventKind::IplPartitionData
        | EventKind::NonhostCode
        | EventKind::NonhostConfig
        | EventKind::NonhostInfo
        | EventKind::OmitBootDeviceEvents
        | EventKind::PostCode2
        | EventKind::EfiBootServicesApplication
        | EventKind::EfiBootServicesDriver
        | EventKind::EfiRuntimeServicesDriver
        | EventKind::EfiPlatformFirmwareBlob
        | EventKind::EfiPlatformFirmwareBlob2
        // The digest covers the tables that the data points to.
        | EventKind::EfiHandoffTables
        | EventKind::EfiHandoffTables2
        | EventKind::EfiGptEvent2
        | EventKind::EfiHcrtmEvent
        | EventKind::EfiSpdmFirmwareBlob
        | EventKind::EfiSpdmFirmwareConfig
        | EventKind::EfiSpdmDevicePolicy
        | EventKind::EfiSpdmDeviceAuthority
        | EventKind::Unknown(_) => Ok(Binding::Unbound),
    }
}

/// What GRUB hashes of `"grub_cmd: linux /vmlinuz\0"`.
fn text(data: &[u8]) -> Option<&[u8]> {
    let line = data.strip_suffix(b"\0")?;
    let colon = line.windows(2).position(|pair| pair == b": ")?;
    line.get(colon.checked_add(2)?..)
}
