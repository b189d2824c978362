//! One record: TCG Canonical Event Log Format 1.0, TLV encoding, with a content type of ours.

use alloc::vec::Vec;

use names::{Digest, EnclaveId};

use super::event::{Event, EventFault};
use crate::bank::Bank;
use crate::reader::Reader;

/// Random bytes that keep a hidden event's content from being guessed; the caller draws them.
pub type Salt = [u8; 16];

/// Why bytes are not a record of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The bytes end inside it.
    #[error("the log ends inside it")]
    Truncated,
    /// Another field than comes next, or one of a wrong size.
    #[error("its fields are not those of a record")]
    Layout,
    /// Not numbered one above the record before it.
    #[error("it is out of order")]
    Number,
    /// Not of the PCR that the log is about.
    #[error("it is of another pcr")]
    Pcr,
    /// The event in it is malformed.
    #[error(transparent)]
    Event(#[from] EventFault),
    /// The tag is not that of the event's enclave, or a hidden entry carries the tag of the whole node.
    #[error("its tag does not belong to its event")]
    Tag,
    /// The digest does not recompute.
    #[error("its digest does not recompute")]
    Digest,
    /// A baseline that is not the first record.
    #[error("it is a baseline after the beginning")]
    LateBaseline,
}

/// Types of the CEL's fields (TCG Canonical Event Log Format 1.0, 5.1) and of our content.
const RECNUM: u8 = 0;
const PCR: u8 = 1;
const DIGESTS: u8 = 3;
const CONTENT: u8 = 90;

/// Bytes of a SHA-256 value.
const HASH: usize = 32;
/// Bytes of a record without what follows the kind: five type and length pairs, number, PCR, digest, tag, kind.
const FRAME: usize = 5 * 5 + 8 + 1 + HASH + 16 + 1;

const HIDDEN: u8 = 0;
const OPEN: u8 = 1;

const TAG_LABEL: &[u8] = b"sealwright/log-tag/v1";
const DIGEST_LABEL: &[u8] = b"sealwright/log/v1";

/// Which enclave a record is about, without saying it to who does not know the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag([u8; 16]);

impl Tag {
    const NODE: Self = Self([0; 16]);

    fn of(enclave: Option<&EnclaveId>) -> Self {
        match enclave {
            None => Self::NODE,
            Some(enclave) => {
                let hash = Digest::of_parts(&[TAG_LABEL, enclave.as_bytes()]);
                Self(hash.as_bytes().first_chunk().copied().unwrap_or_default())
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Hidden(Digest),
    Open { body: Vec<u8>, event: Event },
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    number: u64,
    pcr: u8,
    tag: Tag,
    digest: Digest,
    content: Content,
}

impl Record {
    pub(super) fn new(number: u64, pcr: u8, event: Event, salt: Salt) -> Self {
        let tag = Tag::of(event.enclave());
        let body = event.body(&salt);
        let digest = digest(tag, &Digest::of(&body));
        Self { number, pcr, tag, digest, content: Content::Open { body, event } }
    }

    /// Its place in the log, from 0.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The PCR.
    #[must_use]
    pub const fn pcr(&self) -> u8 {
        self.pcr
    }

    /// What the PCR is extended with.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The event; `None` when it is hidden.
    #[must_use]
    pub const fn event(&self) -> Option<&Event> {
        match &self.content {
            Content::Hidden(_) => None,
            Content::Open { event, .. } => Some(event),
        }
    }

    /// Whether it is about this enclave, hidden or not.
    #[must_use]
    pub fn is_of(&self, enclave: &EnclaveId) -> bool {
        self.tag == Tag::of(Some(enclave))
    }

    /// Whether it is about the whole node.
    #[must_use]
    pub fn is_node_wide(&self) -> bool {
        self.tag == Tag::NODE
    }

    /// The record as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// Bytes of [`Self::encode`].
    pub(super) fn size(&self) -> usize {
        let rest = match &self.content {
            Content::Hidden(_) => HASH,
            Content::Open { body, .. } => body.len(),
        };
        FRAME.saturating_add(rest)
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        match &self.content {
            Content::Hidden(hash) => self.write_content(bytes, HIDDEN, hash.as_bytes()),
            Content::Open { body, .. } => self.write_content(bytes, OPEN, body),
        }
    }

    pub(super) fn write_hidden(&self, bytes: &mut Vec<u8>) {
        match &self.content {
            Content::Hidden(hash) => self.write_content(bytes, HIDDEN, hash.as_bytes()),
            Content::Open { body, .. } => self.write_content(bytes, HIDDEN, Digest::of(body).as_bytes()),
        }
    }

    fn write_content(&self, bytes: &mut Vec<u8>, kind: u8, rest: &[u8]) {
        let mut digests = Vec::new();
        write_tlv(&mut digests, cel_sha256(), &[self.digest.as_bytes()]);
        write_tlv(bytes, RECNUM, &[&self.number.to_be_bytes()]);
        write_tlv(bytes, PCR, &[&[self.pcr]]);
        write_tlv(bytes, DIGESTS, &[&digests]);
        write_tlv(bytes, CONTENT, &[&self.tag.0, &[kind], rest]);
    }

    /// Reads one record; whether it may stand where it stands is the log's to say.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, RecordFault> {
        let number = u64::from_be_bytes(fixed(read_tlv(reader, RECNUM)?)?);
        let [pcr] = fixed(read_tlv(reader, PCR)?)?;
        let mut digests = Reader::new(read_tlv(reader, DIGESTS)?);
        let recorded = Digest::from_bytes(fixed(read_tlv(&mut digests, cel_sha256())?)?);
        if !digests.is_empty() {
            return Err(RecordFault::Layout);
        }
        let mut content = Reader::new(read_tlv(reader, CONTENT)?);
        let tag = Tag(content.array().ok_or(RecordFault::Layout)?);
        let kind = content.u8().ok_or(RecordFault::Layout)?;
        let rest = content.rest();
        let (hash, content) = match kind {
            HIDDEN => {
                let hash = Digest::from_bytes(fixed(rest)?);
                (hash, Content::Hidden(hash))
            }
            OPEN => (Digest::of(rest), Content::Open { body: Vec::from(rest), event: Event::parse(rest)? }),
            _ => return Err(RecordFault::Layout),
        };
        let tag_fits = match &content {
            Content::Hidden(_) => tag != Tag::NODE,
            Content::Open { event, .. } => tag == Tag::of(event.enclave()),
        };
        if !tag_fits {
            return Err(RecordFault::Tag);
        }
        if recorded != digest(tag, &hash) {
            return Err(RecordFault::Digest);
        }
        Ok(Self { number, pcr, tag, digest: recorded, content })
    }
}

fn digest(tag: Tag, body_hash: &Digest) -> Digest {
    Digest::of_parts(&[DIGEST_LABEL, &tag.0, body_hash.as_bytes()])
}

/// The CEL names digests by the low byte of their `TPM_ALG_ID`.
const fn cel_sha256() -> u8 {
    let [_, low] = Bank::Sha256.algorithm_id().to_be_bytes();
    low
}

/// Content is at most a tag, a kind and a body, far below u32::MAX.
fn write_tlv(bytes: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let size: usize = parts.iter().map(|part| part.len()).sum();
    bytes.push(kind);
    bytes.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
}

fn read_tlv<'a>(reader: &mut Reader<'a>, kind: u8) -> Result<&'a [u8], RecordFault> {
    if reader.u8().ok_or(RecordFault::Truncated)? != kind {
        return Err(RecordFault::Layout);
    }
    let size = reader.u32_be().ok_or(RecordFault::Truncated)?;
    reader.take_u32(size).ok_or(RecordFault::Truncated)
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], RecordFault> {
    bytes.try_into().map_err(|_| RecordFault::Layout)
}
