//! Client data (WebAuthn L3, 5.8.1): what the browser says that it was asked, by which page.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;

use super::{MESSAGE_BYTES, Refused};

/// What the browser was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceremony {
    /// To make a passkey.
    Create,
    /// To use one.
    Get,
}

impl Ceremony {
    const fn name(self) -> &'static str {
        match self {
            Self::Create => "webauthn.create",
            Self::Get => "webauthn.get",
        }
    }
}

/// Browsers may add members (5.8.1: "be prepared"); those that are read may come only once.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    #[serde(default)]
    top_origin: Option<String>,
}

/// Client data that was taken apart.
pub(super) struct ClientData {
    raw: Raw,
    challenge: Vec<u8>,
}

impl ClientData {
    pub(super) fn parse(json: &[u8]) -> Result<Self, Refused> {
        if json.len() > MESSAGE_BYTES {
            return Err(Refused::TooLarge);
        }
        let raw: Raw = serde_json::from_slice(json).map_err(|_| Refused::Malformed)?;
        let challenge = Base64UrlUnpadded::decode_vec(&raw.challenge).map_err(|_| Refused::Malformed)?;
        Ok(Self { raw, challenge })
    }

    pub(super) fn into_challenge(self) -> Vec<u8> {
        self.challenge
    }

    /// Made for this ceremony and challenge, by a page of this origin that is not in a frame of another.
    pub(super) fn expect(&self, ceremony: Ceremony, challenge: &[u8], origin: &str) -> Result<(), Refused> {
        if self.raw.kind != ceremony.name() {
            return Err(Refused::Type);
        }
        verify_slices_are_equal(&self.challenge, challenge).map_err(|_| Refused::Challenge)?;
        if self.raw.origin != origin || self.raw.cross_origin || self.raw.top_origin.is_some() {
            return Err(Refused::Origin);
        }
        Ok(())
    }
}
