//! Authenticator data (WebAuthn L3, 6.1) and the attestation object around it (6.5).

use super::cbor::Reader;
use super::key::PublicKey;
use super::{CREDENTIAL_ID_BYTES, MESSAGE_BYTES, Refused};

/// Flags (6.1).
const PRESENT: u8 = 1 << 0;
const VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const CREDENTIAL: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;
const RESERVED: u8 = 1 << 1 | 1 << 5;

/// Authenticator data that was taken apart.
pub(super) struct AuthenticatorData<'a> {
    /// SHA-256 of the site's id.
    pub(super) site_hash: &'a [u8; 32],
    pub(super) present: bool,
    pub(super) verified: bool,
    pub(super) counter: u32,
    /// At a registration.
    pub(super) credential: Option<Credential<'a>>,
}

/// Attested credential data (6.5.1) without the authenticator's model.
pub(super) struct Credential<'a> {
    pub(super) id: &'a [u8],
    pub(super) key: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Refused> {
        if bytes.len() > MESSAGE_BYTES {
            return Err(Refused::TooLarge);
        }
        let (site_hash, rest) = bytes.split_first_chunk::<32>().ok_or(Refused::Malformed)?;
        let (flags, rest) = rest.split_first().ok_or(Refused::Malformed)?;
        let (counter, rest) = rest.split_first_chunk::<4>().ok_or(Refused::Malformed)?;
        let has = |flag: u8| flags & flag != 0;
        // No extension was asked for; what is reserved is zero; backed up without being eligible is no state (6.1.3).
        if has(EXTENSIONS) || has(RESERVED) || (has(BACKED_UP) && !has(BACKUP_ELIGIBLE)) {
            return Err(Refused::Flags);
        }
        let credential = match has(CREDENTIAL) {
            true => Some(Credential::parse(rest)?),
            false if rest.is_empty() => None,
            false => return Err(Refused::Malformed),
        };
        Ok(Self {
            site_hash,
            present: has(PRESENT),
            verified: has(VERIFIED),
            counter: u32::from_be_bytes(*counter),
            credential,
        })
    }
}

impl<'a> Credential<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Refused> {
        let (_model, rest) = bytes.split_first_chunk::<16>().ok_or(Refused::Malformed)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(Refused::Malformed)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 || length > CREDENTIAL_ID_BYTES {
            return Err(Refused::Credential);
        }
        let (id, key) = rest.split_at_checked(length).ok_or(Refused::Malformed)?;
        // The key goes to the end: extensions were refused.
        PublicKey::parse(key)?;
        Ok(Self { id, key })
    }
}

/// The authenticator data of an attestation object of format `none` (8.7), its members in canonical order.
pub(super) fn attested(object: &[u8]) -> Result<&[u8], Refused> {
    if object.len() > MESSAGE_BYTES {
        return Err(Refused::TooLarge);
    }
    let mut reader = Reader::new(object);
    if reader.map()? != 3 {
        return Err(Refused::Malformed);
    }
    let expect = |name: &str, wanted: &str| if name == wanted { Ok(()) } else { Err(Refused::Malformed) };
    expect(reader.text()?, "fmt")?;
    if reader.text()? != "none" {
        return Err(Refused::Attestation);
    }
    expect(reader.text()?, "attStmt")?;
    if reader.map()? != 0 {
        return Err(Refused::Attestation);
    }
    expect(reader.text()?, "authData")?;
    let data = reader.bytes()?;
    reader.end()?;
    Ok(data)
}
