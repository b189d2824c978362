//! The statement: what a quote commits to, byte for byte.
//!
//! Invariant: a [`Statement`] is consistent (its purpose has the fields that it needs and no others), and is hashed as it
//! was shipped: nothing here re-serialises what it has read.

use alloc::vec::Vec;

use names::{Digest, EnclaveId, SpiffeId};

/// First bytes of every statement.
pub const MAGIC: &[u8] = b"sealwright/statement/v1";
/// Largest statement in bytes.
pub const MAX_STATEMENT: usize = 2048;
/// Suite 1: SHA-256 tree, TLS 1.3.
pub const SUITE: u16 = 1;

/// What the evidence is for. Set by the endpoint that was asked, never by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A client will connect.
    Serve,
    /// A certificate will be issued.
    Issue,
    /// Secrets will be released.
    Release,
    /// The agent speaks of its node.
    Node,
}

impl Purpose {
    const fn byte(self) -> u8 {
        match self {
            Self::Serve => 1,
            Self::Issue => 2,
            Self::Release => 3,
            Self::Node => 4,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Serve),
            2 => Some(Self::Issue),
            3 => Some(Self::Release),
            4 => Some(Self::Node),
            _ => None,
        }
    }
}

/// Whom the evidence was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Nobody in particular: a client without a certificate.
    Anonymous,
    /// The holder of this key: SHA-256 of its SPKI.
    Key(Digest),
    /// A service of ours.
    Service(SpiffeId),
}

/// Why a statement is bound to no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoChannel {
    /// This way of asking has no TLS channel to the enclave (purposes issue and node).
    NotOffered,
    /// The asker wanted a record that outlives the connection.
    Recorded,
}

/// The TLS channel that the statement was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// None, and why.
    None(NoChannel),
    /// TLS 1.3 exporter value, label `EXPORTER-sealwright-evidence-v1`, context = nonce.
    Exporter([u8; 32]),
}

/// What a statement says of an enclave. Absent from statements of purpose node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnclaveClaim {
    /// Which enclave.
    pub id: EnclaveId,
    /// Counter of its starts.
    pub incarnation: u64,
    /// SHA-256 of the owner's key (SPKI).
    pub owner: Digest,
    /// What the publisher published.
    pub version: Digest,
    /// Resolved environment, mounts, user-given parts.
    pub instance: Digest,
    /// The facade's own binary.
    pub facade: Digest,
    /// SHA-256 of the enclave's TLS key (SPKI).
    pub spki: Digest,
}

/// A statement, read or about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Field 2.
    pub purpose: Purpose,
    /// Field 3.
    pub audience: Audience,
    /// Field 4.
    pub nonce: [u8; 32],
    /// Field 5: SHA-256 of the CSR (issue) or of the release request.
    pub request: Option<Digest>,
    /// Field 6: TPM name of the quoting key, algorithm id and SHA-256.
    pub ak_name: [u8; 34],
    /// Field 7.
    pub node: SpiffeId,
    /// Fields 8 to 12 and 14.
    pub enclave: Option<EnclaveClaim>,
    /// Field 13: the agent's own binary.
    pub agent: Digest,
    /// Field 15: SHA-256 of the certificate's DER.
    pub certificate: Option<Digest>,
    /// Field 16.
    pub channel: Channel,
    /// Field 17: enclave-log events that this statement speaks for.
    pub log_count: u64,
    /// Field 18: the agent's clock in unix seconds, a claim only.
    pub agent_time: u64,
}

/// Why bytes are not a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Wrong magic, lengths, trailing bytes, unknown enum value, or too large.
    #[error("statement is malformed at field {field}")]
    Malformed {
        /// Number of the field, 0 for the frame.
        field: u8,
    },
    /// A suite that this version does not know.
    #[error("statement has an unknown suite")]
    Suite,
    /// The fields are not those of the purpose.
    #[error("statement's fields do not fit its purpose")]
    Inconsistent,
}

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > MAX_STATEMENT {
            return Err(StatementError::Malformed { field: 0 });
        }
        let rest = bytes.strip_prefix(MAGIC).ok_or(StatementError::Malformed { field: 0 })?;
        let mut fields = Fields { rest, number: 0 };
        if u16::from_be_bytes(fields.exact()?) != SUITE {
            return Err(StatementError::Suite);
        }
        let [purpose] = fields.exact()?;
        let purpose = Purpose::from_byte(purpose).ok_or(fields.malformed())?;
        let audience = fields.audience()?;
        let nonce = fields.exact()?;
        let request = fields.optional()?.map(Digest::from_bytes);
        let ak_name = fields.exact()?;
        let node = fields.spiffe_id()?;
        let enclave = fields.optional::<24>()?;
        let [owner, version, instance, facade] =
            [fields.optional()?, fields.optional()?, fields.optional()?, fields.optional()?];
        let agent = Digest::from_bytes(fields.exact()?);
        let spki = fields.optional()?;
        let certificate = fields.flagged()?;
        let channel = fields.flagged()?;
        let log_count = u64::from_be_bytes(fields.exact()?);
        let agent_time = u64::from_be_bytes(fields.exact()?);
        if !fields.rest.is_empty() {
            return Err(StatementError::Malformed { field: 0 });
        }
        let statement = Self {
            purpose,
            audience,
            nonce,
            request,
            ak_name,
            node,
            enclave: enclave_claim(enclave, [owner, version, instance, facade, spki])?,
            agent,
            certificate: match certificate {
                Flagged::Value(value) => Some(Digest::from_bytes(value)),
                Flagged::None => None,
                Flagged::Reason(_) => return Err(StatementError::Malformed { field: 15 }),
            },
            channel: channel_of(&channel)?,
            log_count,
            agent_time,
        };
        statement.check_consistent()?;
        Ok(statement)
    }

    /// Writes the statement.
    ///
    /// # Errors
    /// [`StatementError::Inconsistent`] where the fields do not fit the purpose, `Malformed` where it would be too large.
    pub fn encode(&self) -> Result<Vec<u8>, StatementError> {
        self.check_consistent()?;
        let mut out = Vec::from(MAGIC);
        put(&mut out, &SUITE.to_be_bytes())?;
        put(&mut out, &[self.purpose.byte()])?;
        match &self.audience {
            Audience::Anonymous => put(&mut out, &[])?,
            Audience::Key(digest) => put_parts(&mut out, &[&[1], digest.as_bytes()])?,
            Audience::Service(id) => put_parts(&mut out, &[&[2], id.as_str().as_bytes()])?,
        }
        put(&mut out, &self.nonce)?;
        put_optional(&mut out, self.request.as_ref())?;
        put(&mut out, &self.ak_name)?;
        put(&mut out, self.node.as_str().as_bytes())?;
        match &self.enclave {
            Some(claim) => put_parts(&mut out, &[claim.id.as_bytes(), &claim.incarnation.to_be_bytes()])?,
            None => put(&mut out, &[])?,
        }
        let claim = self.enclave.as_ref();
        put_optional(&mut out, claim.map(|c| &c.owner))?;
        put_optional(&mut out, claim.map(|c| &c.version))?;
        put_optional(&mut out, claim.map(|c| &c.instance))?;
        put_optional(&mut out, claim.map(|c| &c.facade))?;
        put(&mut out, self.agent.as_bytes())?;
        put_optional(&mut out, claim.map(|c| &c.spki))?;
        match &self.certificate {
            None => put(&mut out, &[0])?,
            Some(digest) => put_parts(&mut out, &[&[1], digest.as_bytes()])?,
        }
        match &self.channel {
            Channel::None(NoChannel::NotOffered) => put(&mut out, &[0, 1])?,
            Channel::None(NoChannel::Recorded) => put(&mut out, &[0, 2])?,
            Channel::Exporter(value) => put_parts(&mut out, &[&[1], value])?,
        }
        put(&mut out, &self.log_count.to_be_bytes())?;
        put(&mut out, &self.agent_time.to_be_bytes())?;
        if out.len() > MAX_STATEMENT { Err(StatementError::Malformed { field: 0 }) } else { Ok(out) }
    }

    fn check_consistent(&self) -> Result<(), StatementError> {
        let shape = (self.enclave.is_some(), self.request.is_some(), self.certificate.is_some());
        let channel = matches!(self.channel, Channel::Exporter(_));
        let good = match self.purpose {
            Purpose::Serve => shape == (true, false, true),
            Purpose::Issue => shape == (true, true, false) && !channel,
            Purpose::Release => shape == (true, true, true),
            Purpose::Node => shape == (false, false, false) && !channel,
        };
        if good { Ok(()) } else { Err(StatementError::Inconsistent) }
    }
}

fn enclave_claim(
    id: Option<[u8; 24]>,
    digests: [Option<[u8; 32]>; 5],
) -> Result<Option<EnclaveClaim>, StatementError> {
    let digests = digests.map(|digest| digest.map(Digest::from_bytes));
    match (id, digests) {
        (None, [None, None, None, None, None]) => Ok(None),
        (Some(id), [Some(owner), Some(version), Some(instance), Some(facade), Some(spki)]) => {
            let malformed = StatementError::Malformed { field: 8 };
            let (id, counter) = id.split_first_chunk::<16>().ok_or(malformed)?;
            let incarnation = u64::from_be_bytes(counter.try_into().map_err(|_| malformed)?);
            let id = EnclaveId::from_bytes(*id);
            Ok(Some(EnclaveClaim { id, incarnation, owner, version, instance, facade, spki }))
        }
        _ => Err(StatementError::Inconsistent),
    }
}

fn channel_of(flagged: &Flagged) -> Result<Channel, StatementError> {
    match flagged {
        Flagged::Value(value) => Ok(Channel::Exporter(*value)),
        Flagged::Reason(1) => Ok(Channel::None(NoChannel::NotOffered)),
        Flagged::Reason(2) => Ok(Channel::None(NoChannel::Recorded)),
        Flagged::Reason(_) | Flagged::None => Err(StatementError::Malformed { field: 16 }),
    }
}

enum Flagged {
    None,
    Reason(u8),
    Value([u8; 32]),
}

struct Fields<'a> {
    rest: &'a [u8],
    number: u8,
}

impl<'a> Fields<'a> {
    fn malformed(&self) -> StatementError {
        StatementError::Malformed { field: self.number }
    }

    fn next(&mut self) -> Result<&'a [u8], StatementError> {
        self.number = self.number.saturating_add(1);
        let (length, rest) = self.rest.split_first_chunk::<2>().ok_or(self.malformed())?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (field, rest) = rest.split_at_checked(length).ok_or(self.malformed())?;
        self.rest = rest;
        Ok(field)
    }

    fn exact<const N: usize>(&mut self) -> Result<[u8; N], StatementError> {
        let field = self.next()?;
        field.try_into().map_err(|_| self.malformed())
    }

    fn optional<const N: usize>(&mut self) -> Result<Option<[u8; N]>, StatementError> {
        let field = self.next()?;
        if field.is_empty() {
            return Ok(None);
        }
        field.try_into().map(Some).map_err(|_| self.malformed())
    }

    fn spiffe_id(&mut self) -> Result<SpiffeId, StatementError> {
        let field = self.next()?;
        let text = core::str::from_utf8(field).map_err(|_| self.malformed())?;
        text.parse().map_err(|_| self.malformed())
    }

    fn audience(&mut self) -> Result<Audience, StatementError> {
        let field = self.next()?;
        match field.split_first() {
            None => Ok(Audience::Anonymous),
            Some((1, digest)) => {
                let digest = digest.try_into().map_err(|_| self.malformed())?;
                Ok(Audience::Key(Digest::from_bytes(digest)))
            }
            Some((2, text)) => {
                let text = core::str::from_utf8(text).map_err(|_| self.malformed())?;
                text.parse().map(Audience::Service).map_err(|_| self.malformed())
            }
            Some(_) => Err(self.malformed()),
        }
    }

    fn flagged(&mut self) -> Result<Flagged, StatementError> {
        match self.next()? {
            [0] => Ok(Flagged::None),
            [0, reason] => Ok(Flagged::Reason(*reason)),
            [1, value @ ..] => value.try_into().map(Flagged::Value).map_err(|_| self.malformed()),
            _ => Err(self.malformed()),
        }
    }
}

fn put(out: &mut Vec<u8>, field: &[u8]) -> Result<(), StatementError> {
    put_parts(out, &[field])
}

fn put_optional(out: &mut Vec<u8>, digest: Option<&Digest>) -> Result<(), StatementError> {
    put(out, digest.map_or(&[], |digest| digest.as_bytes().as_slice()))
}

fn put_parts(out: &mut Vec<u8>, parts: &[&[u8]]) -> Result<(), StatementError> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u16::try_from(length).map_err(|_| StatementError::Malformed { field: 0 })?;
    out.extend_from_slice(&length.to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(())
}
