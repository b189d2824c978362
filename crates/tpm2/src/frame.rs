//! Commands and responses around their parameters (TPM 2.0 Part 1, 18): tags, sizes, handles, authorizations.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::handle::{Entity, Handle};
use crate::kdf::CipherError;
use crate::rc::ResponseCode;
use crate::session::{Authorization, ResponseArea, Secrecy};
use crate::wire::{Reader, WireError, Writer};

const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
/// Bytes of a header.
pub const HEADER: usize = 10;
/// The longest response that we read.
pub const MAX_RESPONSE: usize = 4096;
const MAX_AUTHORIZATIONS: usize = 3;
const MAX_NONCE: usize = 64;

/// A command with its own parameters and what the TPM answers to it.
pub trait Request {
    /// What a successful response says.
    type Response;
    /// TPM_CC.
    const CODE: u32;
    /// Whether the response begins with a handle.
    const ANSWERS_HANDLE: bool = false;

    /// The handle area: entities that need authorization first.
    fn entities(&self) -> Vec<Entity>;

    /// Appends the parameters.
    fn write(&self, writer: &mut Writer);

    /// Reads the response's parameters; `handle` is there if [`Self::ANSWERS_HANDLE`].
    fn read(&self, handle: Handle, parameters: &mut Reader<'_>) -> Result<Self::Response, WireError>;
}

/// Why a response is not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// It is malformed.
    #[error("malformed response")]
    Wire(#[from] WireError),
    /// The TPM refused the command.
    #[error("{0}")]
    Refused(ResponseCode),
    /// The HMAC of a session is wrong: somebody changed the response, or the command.
    #[error("the response was changed on its way")]
    Tampered,
    /// The parameter encryption can't be undone.
    #[error("parameter encryption")]
    Cipher(#[from] CipherError),
}

/// Why a command can't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A field is too long, or there are too many authorizations.
    #[error("command does not fit")]
    Wire(#[from] WireError),
    /// A parameter can't be encrypted.
    #[error("parameter encryption")]
    Cipher(#[from] CipherError),
}

/// The bytes of a command.
pub fn encode<R: Request>(
    request: &R,
    authorizations: &[Authorization<'_>],
) -> Result<Vec<u8>, CommandError> {
    if authorizations.len() > MAX_AUTHORIZATIONS {
        return Err(WireError::TooLong {
            what: "authorizations",
            length: authorizations.len(),
            limit: MAX_AUTHORIZATIONS,
        }
        .into());
    }
    let entities = request.entities();
    let mut writer = Writer::new();
    request.write(&mut writer);
    let mut parameters = writer.finish()?;
    for authorization in authorizations.iter().filter(|each| each.secrecy() == Secrecy::Command) {
        authorization.encrypt(first_parameter(&mut parameters)?)?;
    }

    let mut body = Writer::new();
    for entity in &entities {
        body.u32(entity.handle.0);
    }
    if !authorizations.is_empty() {
        let mut names = Sha256::new_with_prefix(R::CODE.to_be_bytes());
        for entity in &entities {
            names.update(entity.name.as_bytes());
        }
        let digest = names.chain_update(&parameters).finalize();
        let area = write_authorizations(authorizations, &digest)?;
        body.u32(area.len() as u32).bytes(&area);
    }
    body.bytes(&parameters);
    let body = body.finish()?;

    let mut command = Writer::new();
    command.u16(if authorizations.is_empty() { NO_SESSIONS } else { SESSIONS });
    command.u32((HEADER + body.len()) as u32).u32(R::CODE).bytes(&body);
    Ok(command.finish()?)
}

fn write_authorizations(authorizations: &[Authorization<'_>], digest: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::new();
    for (index, authorization) in authorizations.iter().enumerate() {
        // The first session also covers the nonces of others that encrypt (Part 1, 19.6.5).
        let mut nonces = Vec::new();
        if index == 0 {
            for secrecy in [Secrecy::Command, Secrecy::Response] {
                for other in authorizations.iter().skip(1).filter(|other| other.secrecy() == secrecy) {
                    nonces.extend_from_slice(other.nonce_tpm());
                }
            }
        }
        let area = authorization.command_area(digest, &nonces);
        writer.u32(area.handle.0).sized("nonce", &area.nonce).u8(area.attributes).sized("HMAC", &area.hmac);
    }
    writer.finish()
}

/// Reads the response to `request` that was sent with these authorizations.
pub fn decode<R: Request>(
    request: &R,
    authorizations: &mut [Authorization<'_>],
    response: &[u8],
) -> Result<R::Response, ResponseError> {
    let mut reader = Reader::new(response);
    let (tag, size, code) = (reader.u16()?, reader.u32()?, reader.u32()?);
    if usize::try_from(size) != Ok(response.len()) {
        return Err(WireError::Value { what: "response size", value: size }.into());
    }
    if code != 0 {
        return Err(ResponseError::Refused(ResponseCode(code)));
    }
    let expected = if authorizations.is_empty() { NO_SESSIONS } else { SESSIONS };
    if tag != expected {
        return Err(WireError::Value { what: "response tag", value: u32::from(tag) }.into());
    }
    let handle = if R::ANSWERS_HANDLE { Handle(reader.u32()?) } else { Handle::NULL };
    if authorizations.is_empty() {
        return Ok(parse(request, handle, reader.rest())?);
    }

    let length = reader.u32()?;
    let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
    let mut parameters = reader.take(length)?.to_vec();
    let digest = Sha256::new()
        .chain_update(code.to_be_bytes())
        .chain_update(R::CODE.to_be_bytes())
        .chain_update(&parameters);
    let digest = digest.finalize();
    let mut accepted = true;
    for authorization in authorizations.iter_mut() {
        let area = ResponseArea {
            nonce: reader.sized("nonce", MAX_NONCE)?,
            attributes: reader.u8()?,
            hmac: reader.sized("HMAC", MAX_NONCE)?,
        };
        accepted &= authorization.accept(&digest, &area);
    }
    reader.finish()?;
    if !accepted {
        return Err(ResponseError::Tampered);
    }
    for authorization in authorizations.iter().filter(|each| each.secrecy() == Secrecy::Response) {
        authorization.decrypt(first_parameter(&mut parameters)?)?;
    }
    Ok(parse(request, handle, &parameters)?)
}

fn parse<R: Request>(request: &R, handle: Handle, parameters: &[u8]) -> Result<R::Response, WireError> {
    let mut reader = Reader::new(parameters);
    let response = request.read(handle, &mut reader)?;
    reader.finish()?;
    Ok(response)
}

/// The content of the TPM2B at the front of some parameters.
fn first_parameter(parameters: &mut [u8]) -> Result<&mut [u8], WireError> {
    let (length, rest) = parameters.split_first_chunk_mut::<2>().ok_or(WireError::Truncated)?;
    rest.get_mut(..usize::from(u16::from_be_bytes(*length))).ok_or(WireError::Truncated)
}
