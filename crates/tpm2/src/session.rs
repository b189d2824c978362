//! Authorization sessions (TPM 2.0 Part 1, 19): who may, that nobody changed it, and that nobody reads along.
//!
//! All sessions of ours hash by SHA-256. A [`Session`] follows the nonces of the TPM; [`crate::frame`] uses it.

use alloc::vec::Vec;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::algorithms::NameAlgorithm;
use crate::credential::Salt;
use crate::handle::Handle;
use crate::kdf::{CipherError, cfb_decrypt, cfb_encrypt, kdfa};

const HASH: NameAlgorithm = NameAlgorithm::Sha256;
/// Bytes of a caller's nonce.
pub const NONCE_SIZE: usize = 32;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// Authorizes by a shared value, or only protects parameters.
    Hmac,
    /// Authorizes by a policy.
    Policy,
    /// Computes a policy digest without authorizing anything.
    Trial,
}

impl SessionKind {
    pub(crate) fn id(self) -> u8 {
        match self {
            Self::Hmac => 0x00,
            Self::Policy => 0x01,
            Self::Trial => 0x03,
        }
    }
}

/// A started session.
pub struct Session {
    handle: Handle,
    kind: SessionKind,
    key: Zeroizing<Vec<u8>>,
    nonce_tpm: Vec<u8>,
}

impl Session {
    /// The session that the TPM started for our StartAuthSession with this salt and nonce.
    pub fn new(
        handle: Handle,
        kind: SessionKind,
        salt: &Salt,
        nonce_caller: &[u8; NONCE_SIZE],
        nonce_tpm: Vec<u8>,
    ) -> Self {
        let key = if salt.plain.is_empty() {
            Zeroizing::default()
        } else {
            kdfa(HASH, &salt.plain, b"ATH", &nonce_tpm, nonce_caller, HASH.size() as u32 * 8)
        };
        Self { handle, kind, key, nonce_tpm }
    }

    /// Where the TPM keeps it.
    pub fn handle(&self) -> Handle {
        self.handle
    }
}

/// Which parameter a session keeps from who listens on the bus. Only the first of a command or response can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// None.
    Open,
    /// The first parameter of the command.
    Command,
    /// The first parameter of the response.
    Response,
}

/// One authorization of a command.
pub enum Authorization<'a> {
    /// The authorization value itself, in clear.
    Password(&'a [u8]),
    /// A session, which goes on living after the command.
    Session {
        /// The session.
        session: &'a mut Session,
        /// Authorization value of the entity; empty if the session only protects or is a policy.
        auth_value: &'a [u8],
        /// A new nonce for this command.
        nonce: [u8; NONCE_SIZE],
        /// What is encrypted.
        secrecy: Secrecy,
    },
}

const CONTINUE: u8 = 0x01;
const DECRYPT: u8 = 0x20;
const ENCRYPT: u8 = 0x40;

/// The fields of one authorization area in a command (Part 2, 10.13.2).
pub(crate) struct CommandArea {
    pub handle: Handle,
    pub nonce: Vec<u8>,
    pub attributes: u8,
    pub hmac: Zeroizing<Vec<u8>>,
}

/// The fields of one authorization area in a response (Part 2, 10.13.3).
pub(crate) struct ResponseArea<'a> {
    pub nonce: &'a [u8],
    pub attributes: u8,
    pub hmac: &'a [u8],
}

impl Authorization<'_> {
    pub(crate) fn secrecy(&self) -> Secrecy {
        match self {
            Self::Password(_) => Secrecy::Open,
            Self::Session { secrecy, .. } => *secrecy,
        }
    }

    /// The TPM's last nonce, for the first session to cover when another session encrypts (Part 1, 19.6.5).
    pub(crate) fn nonce_tpm(&self) -> &[u8] {
        match self {
            Self::Password(_) => &[],
            Self::Session { session, .. } => &session.nonce_tpm,
        }
    }

    pub(crate) fn command_area(&self, command_digest: &[u8], other_nonces: &[u8]) -> CommandArea {
        match self {
            Self::Password(value) => CommandArea {
                handle: Handle::PASSWORD,
                nonce: Vec::new(),
                attributes: CONTINUE,
                hmac: Zeroizing::new(value.to_vec()),
            },
            Self::Session { session, auth_value, nonce, secrecy } => {
                let attributes = attributes(*secrecy);
                let hmac = session.hmac(
                    auth_value,
                    &[command_digest, nonce, &session.nonce_tpm, other_nonces, &[attributes]],
                );
                CommandArea {
                    handle: session.handle,
                    nonce: nonce.to_vec(),
                    attributes,
                    hmac: Zeroizing::new(hmac.unwrap_or_default()),
                }
            }
        }
    }

    /// Whether the response is what the TPM sent to this session; remembers its nonce.
    pub(crate) fn accept(&mut self, response_digest: &[u8], area: &ResponseArea<'_>) -> bool {
        match self {
            Self::Password(_) => area.nonce.is_empty() && area.hmac.is_empty(),
            Self::Session { session, auth_value, nonce, .. } => {
                session.nonce_tpm = area.nonce.to_vec();
                match session
                    .hmac(auth_value, &[response_digest, area.nonce, nonce.as_slice(), &[area.attributes]])
                {
                    Some(expected) => expected.ct_eq(area.hmac).into(),
                    None => area.hmac.is_empty(),
                }
            }
        }
    }

    /// Encrypts the first parameter of a command in place.
    pub(crate) fn encrypt(&self, parameter: &mut [u8]) -> Result<(), CipherError> {
        match self {
            Self::Password(_) => Ok(()),
            Self::Session { session, auth_value, nonce, .. } => {
                let (key, iv) = session.cipher(auth_value, nonce, &session.nonce_tpm)?;
                cfb_encrypt(&key, &iv, parameter)
            }
        }
    }

    /// Decrypts the first parameter of a response in place; after [`Self::accept`].
    pub(crate) fn decrypt(&self, parameter: &mut [u8]) -> Result<(), CipherError> {
        match self {
            Self::Password(_) => Ok(()),
            Self::Session { session, auth_value, nonce, .. } => {
                let (key, iv) = session.cipher(auth_value, &session.nonce_tpm, nonce)?;
                cfb_decrypt(&key, &iv, parameter)
            }
        }
    }
}

fn attributes(secrecy: Secrecy) -> u8 {
    match secrecy {
        Secrecy::Open => CONTINUE,
        Secrecy::Command => CONTINUE | DECRYPT,
        Secrecy::Response => CONTINUE | ENCRYPT,
    }
}

impl Session {
    /// The HMAC over some parts; none for a policy session without a key (Part 1, 19.6.5).
    fn hmac(&self, auth_value: &[u8], parts: &[&[u8]]) -> Option<Vec<u8>> {
        let key = self.value(auth_value);
        match self.kind {
            SessionKind::Policy | SessionKind::Trial if key.is_empty() => None,
            SessionKind::Hmac | SessionKind::Policy | SessionKind::Trial => Some(HASH.hmac(&key, parts)),
        }
    }

    fn value(&self, auth_value: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut value = Zeroizing::new(Vec::with_capacity(self.key.len() + auth_value.len()));
        value.extend_from_slice(&self.key);
        value.extend_from_slice(auth_value);
        value
    }

    /// Key and vector of the parameter encryption (Part 1, 21.3).
    fn cipher(
        &self,
        auth_value: &[u8],
        newer: &[u8],
        older: &[u8],
    ) -> Result<(Zeroizing<Vec<u8>>, [u8; 16]), CipherError> {
        if self.key.is_empty() {
            // Without a salt everybody on the bus could compute the key.
            return Err(CipherError);
        }
        let mut material = kdfa(HASH, &self.value(auth_value), b"CFB", newer, older, 256);
        let iv = *material.last_chunk::<16>().ok_or(CipherError)?;
        material.truncate(16);
        Ok((material, iv))
    }
}
