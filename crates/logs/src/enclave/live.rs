//! Which incarnation of an enclave is alive, as far as the log tells.

use names::{Digest, EnclaveId};

use super::{EnclaveLog, Event, Reason, Start};

/// The one live entry of an enclave; made by [`EnclaveLog::live`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Live {
    /// Which start.
    pub incarnation: u64,
    /// What its publisher published.
    pub version: Digest,
    /// Resolved environment and user-given parts.
    pub instance: Digest,
    /// SHA-256 of the owner's key SPKI, where there is an owner.
    pub owner: Option<Digest>,
    /// The facade's binary or image.
    pub facade: Digest,
    /// SHA-256 of the SPKI of the TLS key: the pinned one, or the last that replaced it.
    pub spki: Digest,
}

/// Why an enclave has no live entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLive {
    /// The log never mentions it.
    #[error("the log does not mention the enclave")]
    NeverStarted,
    /// It was started and has no key yet.
    #[error("incarnation {incarnation} has no key")]
    NotKeyed {
        /// The started incarnation.
        incarnation: u64,
    },
    /// It ended.
    #[error("incarnation {incarnation} stopped: {reason}")]
    Stopped {
        /// The last incarnation.
        incarnation: u64,
        /// Why.
        reason: Reason,
    },
    /// Another incarnation than the one asked for is alive.
    #[error("incarnation {live} is alive, not {asked}")]
    Restarted {
        /// The one that was asked for.
        asked: u64,
        /// The one that lives.
        live: u64,
    },
    /// An entry of this very enclave is hidden.
    #[error("record {record} of the enclave is hidden")]
    HiddenEntry {
        /// Its number.
        record: u64,
    },
    /// A start that does not count up.
    #[error("record {record} starts an incarnation that was already used")]
    IncarnationReused {
        /// Its number.
        record: u64,
    },
    /// A key, rekey or stop of an incarnation that is not the live one.
    #[error("record {record} is of an incarnation that is not alive")]
    OutsideLife {
        /// Its number.
        record: u64,
    },
    /// A second key without a rekey.
    #[error("record {record} pins a second key")]
    SecondKey {
        /// Its number.
        record: u64,
    },
    /// A rekey before there is a key.
    #[error("record {record} replaces a key that was never pinned")]
    NoKeyToReplace {
        /// Its number.
        record: u64,
    },
}

/// How far one enclave has come. A start ends the incarnation before it.
#[derive(Clone)]
enum Life {
    Unborn,
    Started(Start),
    Keyed(Start, Digest),
    Ended(u64, Reason),
}

impl Life {
    const fn last_incarnation(&self) -> u64 {
        match self {
            Self::Unborn => 0,
            Self::Started(start) | Self::Keyed(start, _) => start.incarnation,
            Self::Ended(incarnation, _) => *incarnation,
        }
    }

    fn after(self, event: &Event, record: u64) -> Result<Self, NotLive> {
        match event {
            Event::Baseline { .. } | Event::Gap { .. } => Ok(self),
            Event::Start(start) => {
                if start.incarnation <= self.last_incarnation() {
                    return Err(NotLive::IncarnationReused { record });
                }
                Ok(Self::Started(*start))
            }
            Event::Key { incarnation, spki, .. } => match self {
                Self::Started(start) if start.incarnation == *incarnation => Ok(Self::Keyed(start, *spki)),
                Self::Keyed(start, _) if start.incarnation == *incarnation => {
                    Err(NotLive::SecondKey { record })
                }
                Self::Unborn | Self::Started(_) | Self::Keyed(..) | Self::Ended(..) => {
                    Err(NotLive::OutsideLife { record })
                }
            },
            Event::Rekey { incarnation, spki, .. } => match self {
                Self::Keyed(start, _) if start.incarnation == *incarnation => Ok(Self::Keyed(start, *spki)),
                Self::Started(start) if start.incarnation == *incarnation => {
                    Err(NotLive::NoKeyToReplace { record })
                }
                Self::Unborn | Self::Started(_) | Self::Keyed(..) | Self::Ended(..) => {
                    Err(NotLive::OutsideLife { record })
                }
            },
            Event::Stop { incarnation, reason, .. } => self.stopped(*incarnation, reason, record),
        }
    }

    /// The end of an incarnation that a later start already ended may be announced late, and an end twice; neither
    /// changes who lives.
    fn stopped(self, incarnation: u64, reason: &Reason, record: u64) -> Result<Self, NotLive> {
        if incarnation > self.last_incarnation() {
            return Err(NotLive::OutsideLife { record });
        }
        match self {
            Self::Started(start) | Self::Keyed(start, _) if start.incarnation == incarnation => {
                Ok(Self::Ended(incarnation, reason.clone()))
            }
            Self::Unborn | Self::Started(_) | Self::Keyed(..) | Self::Ended(..) => Ok(self),
        }
    }
}

pub(super) fn of(log: &EnclaveLog, enclave: &EnclaveId) -> Result<Live, NotLive> {
    let mut life = Life::Unborn;
    for record in log.records().iter().filter(|record| record.is_of(enclave)) {
        let event = record.event().ok_or(NotLive::HiddenEntry { record: record.number() })?;
        // The tag is 16 bytes of a hash of the id: another enclave with the same tag does not count.
        if event.enclave() == Some(enclave) {
            life = life.after(event, record.number())?;
        }
    }
    match life {
        Life::Unborn => Err(NotLive::NeverStarted),
        Life::Started(start) => Err(NotLive::NotKeyed { incarnation: start.incarnation }),
        Life::Ended(incarnation, reason) => Err(NotLive::Stopped { incarnation, reason }),
        Life::Keyed(start, spki) => Ok(Live {
            incarnation: start.incarnation,
            version: start.version,
            instance: start.instance,
            owner: start.owner,
            facade: start.facade,
            spki,
        }),
    }
}
