//! What an agent announces, and its bytes.

use alloc::string::String;
use alloc::vec::Vec;
use core::{fmt, str};

use names::{Digest, EnclaveId};

use super::record::Salt;
use super::{MAX_BODY, MAX_REASON};
use crate::reader::Reader;

/// Why bytes are not an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    /// Larger than [`MAX_BODY`].
    #[error("event is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// It ends too early, or bytes are left.
    #[error("event has not exactly the fields of its type")]
    Fields,
    /// A type that is not known.
    #[error("event has an unknown type")]
    Type,
    /// A field with an impossible size or value.
    #[error("event has an impossible {0}")]
    Field(&'static str),
}

/// Why something happened: 1 to [`MAX_REASON`] bytes of text without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Takes a text as it is.
    ///
    /// # Errors
    /// It is empty, too long or has control characters.
    pub fn new(text: &str) -> Result<Self, EventFault> {
        let fits = (1..=MAX_REASON).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(String::from(text))) } else { Err(EventFault::Field("reason")) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An enclave that is about to be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The enclave.
    pub enclave: EnclaveId,
    /// Which of its starts, from 1.
    pub incarnation: u64,
    /// What its publisher published.
    pub version: Digest,
    /// Resolved environment and user-given parts.
    pub instance: Digest,
    /// SHA-256 of the owner's key SPKI, where there is an owner.
    pub owner: Option<Digest>,
    /// The facade's binary or image.
    pub facade: Digest,
}

/// An announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The PCR was neither zero nor the replay of the saved log; only ever the first record.
    Baseline {
        /// The value of the PCR that was found.
        found: Digest,
        /// Why.
        reason: Reason,
    },
    /// Before an enclave is executed.
    Start(Start),
    /// An enclave's TLS key is known; the first is pinned.
    Key {
        /// The enclave.
        enclave: EnclaveId,
        /// Its incarnation.
        incarnation: u64,
        /// SHA-256 of the key's SPKI.
        spki: Digest,
    },
    /// An enclave's TLS key is replaced.
    Rekey {
        /// The enclave.
        enclave: EnclaveId,
        /// Its incarnation.
        incarnation: u64,
        /// SHA-256 of the new key's SPKI.
        spki: Digest,
    },
    /// An enclave ended.
    Stop {
        /// The enclave.
        enclave: EnclaveId,
        /// Its incarnation.
        incarnation: u64,
        /// Why.
        reason: Reason,
    },
    /// The agent was not watching.
    Gap {
        /// Why.
        reason: Reason,
    },
}

const BASELINE: u8 = 1;
const START: u8 = 2;
const KEY: u8 = 3;
const REKEY: u8 = 4;
const STOP: u8 = 5;
const GAP: u8 = 6;

impl Event {
    /// The enclave it is about; `None` for the whole node.
    #[must_use]
    pub const fn enclave(&self) -> Option<&EnclaveId> {
        match self {
            Self::Baseline { .. } | Self::Gap { .. } => None,
            Self::Start(Start { enclave, .. })
            | Self::Key { enclave, .. }
            | Self::Rekey { enclave, .. }
            | Self::Stop { enclave, .. } => Some(enclave),
        }
    }

    /// The body: type, salt, fields.
    pub(super) fn body(&self, salt: &Salt) -> Vec<u8> {
        match self {
            Self::Baseline { found, reason } => {
                body(BASELINE, salt, &[found.as_bytes(), reason.0.as_bytes()])
            }
            Self::Start(start) => {
                let owner: &[u8] = start.owner.as_ref().map_or(&[], |owner| owner.as_bytes());
                let incarnation = start.incarnation.to_be_bytes();
                let (version, instance) = (start.version.as_bytes(), start.instance.as_bytes());
                let (id, facade) = (start.enclave.as_bytes(), start.facade.as_bytes());
                body(START, salt, &[id, &incarnation, version, instance, owner, facade])
            }
            Self::Key { enclave, incarnation, spki } => {
                body(KEY, salt, &[enclave.as_bytes(), &incarnation.to_be_bytes(), spki.as_bytes()])
            }
            Self::Rekey { enclave, incarnation, spki } => {
                body(REKEY, salt, &[enclave.as_bytes(), &incarnation.to_be_bytes(), spki.as_bytes()])
            }
            Self::Stop { enclave, incarnation, reason } => {
                body(STOP, salt, &[enclave.as_bytes(), &incarnation.to_be_bytes(), reason.0.as_bytes()])
            }
            Self::Gap { reason } => body(GAP, salt, &[reason.0.as_bytes()]),
        }
    }

    /// Reads a body; the salt is only hashed, never looked at.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, EventFault> {
        if bytes.len() > MAX_BODY {
            return Err(EventFault::TooLarge);
        }
        let mut reader = Reader::new(bytes);
        let kind = reader.u8().ok_or(EventFault::Fields)?;
        let _salt: Salt = reader.array().ok_or(EventFault::Fields)?;
        let mut fields = Fields(reader);
        let event = match kind {
            BASELINE => Self::Baseline { found: fields.digest("pcr value")?, reason: fields.reason()? },
            START => Self::Start(Start {
                enclave: fields.enclave()?,
                incarnation: fields.incarnation()?,
                version: fields.digest("version")?,
                instance: fields.digest("instance")?,
                owner: fields.owner()?,
                facade: fields.digest("facade")?,
            }),
            KEY => Self::Key {
                enclave: fields.enclave()?,
                incarnation: fields.incarnation()?,
                spki: fields.digest("key")?,
            },
            REKEY => Self::Rekey {
                enclave: fields.enclave()?,
                incarnation: fields.incarnation()?,
                spki: fields.digest("key")?,
            },
            STOP => Self::Stop {
                enclave: fields.enclave()?,
                incarnation: fields.incarnation()?,
                reason: fields.reason()?,
            },
            GAP => Self::Gap { reason: fields.reason()? },
            _ => return Err(EventFault::Type),
        };
        if fields.0.is_empty() { Ok(event) } else { Err(EventFault::Fields) }
    }
}

/// Fields are digests, numbers and reasons, none of which can outgrow a u16.
fn body(kind: u8, salt: &Salt, fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::from([kind]);
    bytes.extend_from_slice(salt);
    for field in fields {
        let size = u16::try_from(field.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

struct Fields<'a>(Reader<'a>);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<&'a [u8], EventFault> {
        let size = self.0.u16_be().ok_or(EventFault::Fields)?;
        self.0.take(usize::from(size)).ok_or(EventFault::Fields)
    }

    fn digest(&mut self, name: &'static str) -> Result<Digest, EventFault> {
        let bytes = self.next()?.try_into().map_err(|_| EventFault::Field(name))?;
        Ok(Digest::from_bytes(bytes))
    }

    fn owner(&mut self) -> Result<Option<Digest>, EventFault> {
        let bytes = self.next()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let bytes = bytes.try_into().map_err(|_| EventFault::Field("owner"))?;
        Ok(Some(Digest::from_bytes(bytes)))
    }

    fn enclave(&mut self) -> Result<EnclaveId, EventFault> {
        let bytes = self.next()?.try_into().map_err(|_| EventFault::Field("enclave id"))?;
        Ok(EnclaveId::from_bytes(bytes))
    }

    fn incarnation(&mut self) -> Result<u64, EventFault> {
        let refused = EventFault::Field("incarnation");
        let bytes = self.next()?.try_into().map_err(|_| refused)?;
        match u64::from_be_bytes(bytes) {
            0 => Err(refused),
            incarnation => Ok(incarnation),
        }
    }

    fn reason(&mut self) -> Result<Reason, EventFault> {
        let text = str::from_utf8(self.next()?).map_err(|_| EventFault::Field("reason"))?;
        Reason::new(text)
    }
}
