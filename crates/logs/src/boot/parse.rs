//! From bytes to a log: TCG PC Client Platform Firmware Profile 1.06, 10.2.

use alloc::vec::Vec;

use super::{BootLog, Event, EventKind, Format, MAX_DIGESTS, MAX_EVENT_DATA, MAX_EVENTS, MAX_LOG, PCRS};
use crate::bank::{Bank, MAX_DIGEST};
use crate::reader::Reader;

/// Why bytes are not a boot log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BootLogError {
    /// More than [`MAX_LOG`] bytes.
    #[error("boot log of {size} bytes is larger than {MAX_LOG}")]
    TooLarge {
        /// Bytes given.
        size: usize,
    },
    /// More than [`MAX_EVENTS`] events.
    #[error("boot log has more than {MAX_EVENTS} events")]
    TooManyEvents,
    /// The bytes end inside an event, or there is none.
    #[error("boot log ends inside event {event}")]
    Truncated {
        /// Position of the event.
        event: usize,
    },
    /// An event is extended into a PCR that no TPM has.
    #[error("event {event} names PCR {index}")]
    PcrIndex {
        /// Position of the event.
        event: usize,
        /// The index it names.
        index: u32,
    },
    /// The data of an event is larger than [`MAX_EVENT_DATA`].
    #[error("event {event} claims {size} bytes of data")]
    DataTooLarge {
        /// Position of the event.
        event: usize,
        /// Bytes it claims.
        size: u32,
    },
    /// An event has other digests than one of each algorithm of the header.
    #[error("event {event} has other digests than the header announces")]
    DigestSet {
        /// Position of the event.
        event: usize,
    },
    /// The header of a crypto-agile log is malformed.
    #[error("boot log header: {0}")]
    Header(HeaderFault),
    /// A second start-up locality, one after PCR 0 was extended, in another PCR, or one that cannot be.
    #[error("event {event} is no possible start-up locality")]
    StartupLocality {
        /// Position of the event.
        event: usize,
    },
}

/// What is wrong with the `TCG_EfiSpecIDEvent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// Its PCR or its digest is not zero.
    #[error("its PCR and digest are not zero")]
    NotZero,
    /// Not a version 2.x log, or an impossible word size.
    #[error("not a version 2 log")]
    Version,
    /// No algorithm, too many, one twice, or one with a wrong digest size.
    #[error("impossible list of algorithms")]
    Algorithms,
    /// Its length and its content do not agree.
    #[error("its length and content do not agree")]
    Length,
}

/// 10.4.5.1: signature of the header of a crypto-agile log.
const SPEC_ID: &[u8; 16] = b"Spec ID Event03\0";
/// 10.4.5.3: signature of the event that tells the locality of `TPM2_Startup`.
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";

pub(super) fn boot_log(bytes: &[u8]) -> Result<BootLog<'_>, BootLogError> {
    if bytes.len() > MAX_LOG {
        return Err(BootLogError::TooLarge { size: bytes.len() });
    }
    let mut reader = Reader::new(bytes);
    let first = sha1_event(&mut reader, 0)?;
    let sizes = match first.data.strip_prefix(SPEC_ID) {
        Some(header) if first.kind == EventKind::NoAction => Some(spec_id(&first, header)?),
        Some(_) | None => None,
    };
    let mut events = Vec::from([first]);
    while !reader.is_empty() {
        let position = events.len();
        if position >= MAX_EVENTS {
            return Err(BootLogError::TooManyEvents);
        }
        events.push(match &sizes {
            Some(sizes) => agile_event(&mut reader, position, sizes)?,
            None => sha1_event(&mut reader, position)?,
        });
    }
    let startup_locality = startup_locality(&events)?;
    let (format, algorithms) = match sizes {
        Some(sizes) => (Format::CryptoAgile, sizes.iter().map(|(algorithm, _)| *algorithm).collect()),
        None => (Format::Sha1, Vec::from([Bank::Sha1.algorithm_id()])),
    };
    Ok(BootLog { format, algorithms, startup_locality, events })
}

/// 10.2.1: `TCG_PCR_EVENT`.
fn sha1_event<'a>(reader: &mut Reader<'a>, position: usize) -> Result<Event<'a>, BootLogError> {
    let truncated = BootLogError::Truncated { event: position };
    let (pcr, kind) = pcr_and_kind(reader, position)?;
    let digest = reader.take(Bank::Sha1.size()).ok_or(truncated)?;
    let data = event_data(reader, position)?;
    Ok(Event { position, pcr, kind, digests: Vec::from([(Bank::Sha1.algorithm_id(), digest)]), data })
}

/// 10.2.2: `TCG_PCR_EVENT2`. Every event has one digest of each algorithm of the header, in any order.
fn agile_event<'a>(
    reader: &mut Reader<'a>,
    position: usize,
    sizes: &[(u16, usize)],
) -> Result<Event<'a>, BootLogError> {
    let truncated = BootLogError::Truncated { event: position };
    let wrong_set = BootLogError::DigestSet { event: position };
    let (pcr, kind) = pcr_and_kind(reader, position)?;
    let count = reader.u32_le().ok_or(truncated)?;
    if usize::try_from(count) != Ok(sizes.len()) {
        return Err(wrong_set);
    }
    let mut digests: Vec<(u16, &[u8])> = Vec::with_capacity(sizes.len());
    for _ in 0..count {
        let algorithm = reader.u16_le().ok_or(truncated)?;
        let announced = sizes.iter().find(|(each, _)| *each == algorithm);
        let (_, size) = announced.ok_or(wrong_set)?;
        if digests.iter().any(|(each, _)| *each == algorithm) {
            return Err(wrong_set);
        }
        digests.push((algorithm, reader.take(*size).ok_or(truncated)?));
    }
    Ok(Event { position, pcr, kind, digests, data: event_data(reader, position)? })
}

fn pcr_and_kind(reader: &mut Reader<'_>, position: usize) -> Result<(u32, EventKind), BootLogError> {
    let truncated = BootLogError::Truncated { event: position };
    let pcr = reader.u32_le().ok_or(truncated)?;
    let kind = EventKind::from_u32(reader.u32_le().ok_or(truncated)?);
    // An event that extends nothing may name no PCR (0xffffffff).
    if pcr >= PCRS && kind != EventKind::NoAction {
        return Err(BootLogError::PcrIndex { event: position, index: pcr });
    }
    Ok((pcr, kind))
}

fn event_data<'a>(reader: &mut Reader<'a>, position: usize) -> Result<&'a [u8], BootLogError> {
    let truncated = BootLogError::Truncated { event: position };
    let size = reader.u32_le().ok_or(truncated)?;
    if usize::try_from(size).map_or(true, |size| size > MAX_EVENT_DATA) {
        return Err(BootLogError::DataTooLarge { event: position, size });
    }
    reader.take_u32(size).ok_or(truncated)
}

/// 10.4.5.1: the algorithms of a crypto-agile log and the sizes of their digests.
fn spec_id(event: &Event<'_>, after_signature: &[u8]) -> Result<Vec<(u16, usize)>, BootLogError> {
    header_algorithms(event, after_signature).map_err(BootLogError::Header)
}

fn header_algorithms(event: &Event<'_>, after_signature: &[u8]) -> Result<Vec<(u16, usize)>, HeaderFault> {
    let digest_is_zero = event.digests.iter().all(|(_, digest)| digest.iter().all(|byte| *byte == 0));
    if event.pcr != 0 || !digest_is_zero {
        return Err(HeaderFault::NotZero);
    }
    let mut reader = Reader::new(after_signature);
    let _platform_class = reader.u32_le().ok_or(HeaderFault::Length)?;
    let [_minor, major, _errata, word] = reader.array().ok_or(HeaderFault::Length)?;
    // uintnSize: 1 for 32-bit, 2 for 64-bit firmware.
    if major != 2 || !(1..=2).contains(&word) {
        return Err(HeaderFault::Version);
    }
    let count = reader.u32_le().ok_or(HeaderFault::Length)?;
    let count = usize::try_from(count).map_err(|_| HeaderFault::Algorithms)?;
    if !(1..=MAX_DIGESTS).contains(&count) {
        return Err(HeaderFault::Algorithms);
    }
    let mut sizes: Vec<(u16, usize)> = Vec::with_capacity(count);
    for _ in 0..count {
        let algorithm = reader.u16_le().ok_or(HeaderFault::Length)?;
        let size = usize::from(reader.u16_le().ok_or(HeaderFault::Length)?);
        let wrong_size = match Bank::from_algorithm_id(algorithm) {
            Some(bank) => size != bank.size(),
            None => !(1..=MAX_DIGEST).contains(&size),
        };
        if wrong_size || sizes.iter().any(|(each, _)| *each == algorithm) {
            return Err(HeaderFault::Algorithms);
        }
        sizes.push((algorithm, size));
    }
    let vendor = usize::from(reader.u8().ok_or(HeaderFault::Length)?);
    reader.take(vendor).filter(|_| reader.is_empty()).ok_or(HeaderFault::Length)?;
    Ok(sizes)
}

/// The one event that is not extended and still changes a PCR: it tells how PCR 0 started. It is believed only
/// because a wrong one makes the replay of PCR 0 differ; so it must come before PCR 0 is extended, and once.
fn startup_locality(events: &[Event<'_>]) -> Result<u8, BootLogError> {
    let mut told = None;
    let mut pcr_0_extended = false;
    for event in events {
        if event.is_extended() {
            pcr_0_extended |= event.pcr == 0;
            continue;
        }
        let Some(rest) = event.data.strip_prefix(STARTUP_LOCALITY) else { continue };
        let refused = BootLogError::StartupLocality { event: event.position };
        // 0 and 3: TPM2_Startup from that locality; 4: a hardware root of trust measured before it.
        let &[locality @ (0 | 3 | 4)] = rest else { return Err(refused) };
        if event.pcr != 0 || pcr_0_extended || told.is_some() {
            return Err(refused);
        }
        told = Some(locality);
    }
    Ok(told.unwrap_or(0))
}
