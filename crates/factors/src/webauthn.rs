//! Passkeys: the checks of a relying party (WebAuthn Level 3, 7.1 and 7.2), without attestation.
//!
//! Signatures are checked by aws-lc-rs; this is the structure around them, strict: one form for everything, user verification always, no
//! extensions, no attestation statement. Which challenge is expected and whose key it is, the caller says. A library for this exists (webauthn-rs);
//! its tree brings a pre-release of `rsa`, second versions of argon2, thiserror, base64 and indexmap, and X.509 and CBOR stacks that only attestation
//! needs, which we do not ask for.

mod authenticator;
mod cbor;
mod client_data;
mod key;
#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{SHA256, digest};
use names::hex;
use subtle::ConstantTimeEq;

use authenticator::AuthenticatorData;
pub use client_data::Ceremony;
use client_data::ClientData;
pub use key::{ALGORITHMS, PublicKey};

/// Longest credential id (WebAuthn L3, 4, "Credential ID").
pub const CREDENTIAL_ID_BYTES: usize = 1023;
/// Longest byte string that is read from a browser.
const MESSAGE_BYTES: usize = 16 << 10;

/// Why what a browser sent is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Longer than it can be.
    #[error("too large")]
    TooLarge,
    /// Not base64url, JSON or CBOR of the one form that we read.
    #[error("malformed")]
    Malformed,
    /// For another ceremony.
    #[error("of another type")]
    Type,
    /// For another challenge.
    #[error("for another challenge")]
    Challenge,
    /// From a page of another origin, or of a frame.
    #[error("from another origin")]
    Origin,
    /// For another site.
    #[error("for another site")]
    RelyingParty,
    /// Nobody touched the authenticator.
    #[error("without the user's presence")]
    Presence,
    /// The authenticator has not verified its user.
    #[error("without verification of the user")]
    Verification,
    /// Extensions or flags that we did not ask for, or that contradict each other.
    #[error("with flags that do not fit")]
    Flags,
    /// Two credential ids, or another one.
    #[error("of another credential")]
    Credential,
    /// A key that we can't check signatures with.
    #[error("with a key of another type")]
    Key,
    /// An attestation, which we did not ask for.
    #[error("with an attestation")]
    Attestation,
    /// The signature does not verify.
    #[error("signature does not verify")]
    Signature,
}

/// The site that passkeys are for.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// Its origin, as browsers write it.
    pub origin: &'a str,
    /// Its host.
    pub id: &'a str,
}

/// What a browser said at a registration: byte strings are decoded, nothing is believed.
#[derive(Debug, Clone, Copy)]
pub struct RegistrationParts<'a> {
    /// `rawId`.
    pub id: &'a [u8],
    /// `response.clientDataJSON`.
    pub client_data: &'a [u8],
    /// `response.attestationObject`.
    pub attestation_object: &'a [u8],
}

/// What a browser said at a sign-in.
#[derive(Debug, Clone, Copy)]
pub struct AssertionParts<'a> {
    /// `rawId`.
    pub id: &'a [u8],
    /// `response.clientDataJSON`.
    pub client_data: &'a [u8],
    /// `response.authenticatorData`.
    pub authenticator_data: &'a [u8],
    /// `response.signature`.
    pub signature: &'a [u8],
}

/// A new passkey. Made only by [`register`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    id: Vec<u8>,
    key: Vec<u8>,
    counter: u32,
}

impl Registered {
    /// The credential's id in hex.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    /// Its `COSE_Key` in hex.
    #[must_use]
    pub fn public_key(&self) -> String {
        hex(&self.key)
    }

    /// What its authenticator has counted.
    #[must_use]
    pub const fn counter(&self) -> u32 {
        self.counter
    }
}

/// A sign-in whose signature was verified. Made only by [`verify`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asserted {
    counter: u32,
}

impl Asserted {
    /// What the authenticator has counted.
    #[must_use]
    pub const fn counter(&self) -> u32 {
        self.counter
    }
}

/// The challenge that the client data names, to be looked up before anything is checked with it.
///
/// # Errors
/// [`Refused::TooLarge`], [`Refused::Malformed`].
pub fn challenge(client_data: &[u8]) -> Result<Vec<u8>, Refused> {
    ClientData::parse(client_data).map(ClientData::into_challenge)
}

/// WebAuthn L3, 7.1: a new passkey for this site, answering this challenge.
///
/// # Errors
/// [`Refused`].
pub fn register(
    site: Site<'_>,
    challenge: &[u8],
    parts: &RegistrationParts<'_>,
) -> Result<Registered, Refused> {
    // Steps 5 to 11.
    ClientData::parse(parts.client_data)?.expect(Ceremony::Create, challenge, site.origin)?;
    // Steps 12 to 17.
    let data = authenticator::attested(parts.attestation_object)?;
    let authenticator = AuthenticatorData::parse(data)?;
    expect(site, &authenticator)?;
    let credential = authenticator.credential.ok_or(Refused::Malformed)?;
    // Steps 25: the id is one, and not longer than it may be.
    if credential.id != parts.id {
        return Err(Refused::Credential);
    }
    // Step 20: one of the algorithms that were asked for.
    PublicKey::parse(credential.key)?;
    Ok(Registered {
        id: credential.id.to_vec(),
        key: credential.key.to_vec(),
        counter: authenticator.counter,
    })
}

/// WebAuthn L3, 7.2: a sign-in at this site, answering this challenge, with this key.
///
/// # Errors
/// [`Refused`].
pub fn verify(
    site: Site<'_>,
    challenge: &[u8],
    key: &PublicKey,
    parts: &AssertionParts<'_>,
) -> Result<Asserted, Refused> {
    // Steps 8 to 14.
    ClientData::parse(parts.client_data)?.expect(Ceremony::Get, challenge, site.origin)?;
    // Steps 15 to 18.
    let authenticator = AuthenticatorData::parse(parts.authenticator_data)?;
    if authenticator.credential.is_some() {
        return Err(Refused::Flags);
    }
    expect(site, &authenticator)?;
    // Steps 19 and 20.
    let signed = [parts.authenticator_data, digest(&SHA256, parts.client_data).as_ref()].concat();
    key.verify(&signed, parts.signature)?;
    Ok(Asserted { counter: authenticator.counter })
}

fn expect(site: Site<'_>, authenticator: &AuthenticatorData<'_>) -> Result<(), Refused> {
    let id = digest(&SHA256, site.id.as_bytes());
    if !bool::from(id.as_ref().ct_eq(authenticator.site_hash)) {
        return Err(Refused::RelyingParty);
    }
    if !authenticator.present {
        return Err(Refused::Presence);
    }
    if !authenticator.verified {
        return Err(Refused::Verification);
    }
    Ok(())
}
