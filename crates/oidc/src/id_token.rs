//! ID tokens (OpenID Connect Core 1.0, 3.1.3.7), each rule of it that concerns a code flow, and those of RFC 8725.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::keys::{Algorithm, Keys, Verified};

/// Longer tokens are refused before they are decoded.
const TOKEN_BYTES: usize = 16 << 10;
/// OpenID Connect Core, 2: a subject has at most 255 ASCII characters.
const SUBJECT_BYTES: usize = 255;
/// How far the provider's clock may be off, in seconds.
const LEEWAY: u64 = 60;
/// A token that was issued longer ago does not come from this sign-in, in seconds.
const OLDEST: u64 = 600;

/// Why an ID token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a compact JWS, too long, or a header that we may not pass over.
    #[error("ID token is malformed")]
    Malformed,
    /// `none`, a symmetric one, or another that we do not accept.
    #[error("ID token's algorithm is not acceptable")]
    Algorithm,
    /// No key of the provider has this id.
    #[error("ID token's key is not known")]
    Key,
    /// The signature does not verify.
    #[error("ID token's signature does not verify")]
    Signature,
    /// Claims are missing or of another type; `"exp": "1"` is one (CVE-2026-25537).
    #[error("ID token's claims are malformed")]
    Claims,
    /// From another issuer.
    #[error("ID token is from another issuer")]
    Issuer,
    /// For another client, or for several.
    #[error("ID token is for another client")]
    Audience,
    /// It was valid.
    #[error("ID token has expired")]
    Expired,
    /// Issued in the future or long ago.
    #[error("ID token was issued at another time")]
    Time,
    /// Of another sign-in.
    #[error("ID token is of another sign-in")]
    Nonce,
    /// The subject is empty or too long.
    #[error("ID token's subject is not acceptable")]
    Subject,
}

/// What a token has to say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// Us.
    pub client_id: &'a str,
    /// This sign-in.
    pub nonce: &'a str,
    /// Unix seconds.
    pub now: u64,
}

/// Who came. Made only from a token that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    issuer: String,
    subject: String,
    expires_at: u64,
}

impl Identity {
    /// The provider.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The account there.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Until when the provider's word holds, unix seconds.
    #[must_use]
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// The same, with what the token answer says about its own end.
    pub(crate) fn no_later_than(self, at: Option<u64>) -> Self {
        Self { expires_at: at.unwrap_or(self.expires_at), ..self }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// RFC 7515, 4.1.11: what has to be understood; we understand nothing of that kind.
    #[serde(default)]
    crit: Option<serde_json::Value>,
    #[serde(default)]
    b64: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    exp: u64,
    iat: u64,
    #[serde(default)]
    nbf: Option<u64>,
    nonce: String,
}

/// Checks a token: the only way to an [`Identity`].
///
/// # Errors
/// [`Refused`].
pub fn check(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Identity, Refused> {
    if token.len() > TOKEN_BYTES {
        return Err(Refused::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Refused::Malformed)?;
    let decode = |part: &str| Base64UrlUnpadded::decode_vec(part).map_err(|_| Refused::Malformed);
    let (header, claims, signature) = (decode(header)?, decode(claims)?, decode(signature)?);
    let header: Header = serde_json::from_slice(&header).map_err(|_| Refused::Malformed)?;
    if header.crit.is_some() || header.b64.is_some() {
        return Err(Refused::Malformed);
    }
    let algorithm = Algorithm::parse(&header.alg).ok_or(Refused::Algorithm)?;
    match keys.verify(header.kid.as_deref(), algorithm, signed.as_bytes(), &signature) {
        Verified::Right => {}
        Verified::Wrong => return Err(Refused::Signature),
        Verified::NoKey => return Err(Refused::Key),
    }
    let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Refused::Claims)?;
    judge(claims, expected)
}

fn judge(claims: Claims, expected: &Expected<'_>) -> Result<Identity, Refused> {
    if claims.iss != expected.issuer {
        return Err(Refused::Issuer);
    }
    // Rules 3 to 5, without audiences that we would have to trust.
    let only_us = match &claims.aud {
        Audience::One(audience) => audience == expected.client_id,
        Audience::Many(audiences) => {
            matches!(audiences.as_slice(), [audience] if audience == expected.client_id)
        }
    };
    if !only_us || claims.azp.is_some_and(|azp| azp != expected.client_id) {
        return Err(Refused::Audience);
    }
    if claims.exp.saturating_add(LEEWAY) <= expected.now {
        return Err(Refused::Expired);
    }
    let latest = expected.now.saturating_add(LEEWAY);
    if claims.iat > latest
        || claims.iat.saturating_add(OLDEST) < expected.now
        || claims.nbf.is_some_and(|nbf| nbf > latest)
    {
        return Err(Refused::Time);
    }
    if !bool::from(claims.nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(Refused::Nonce);
    }
    if claims.sub.is_empty() || claims.sub.len() > SUBJECT_BYTES || !claims.sub.is_ascii() {
        return Err(Refused::Subject);
    }
    Ok(Identity { issuer: claims.iss, subject: claims.sub, expires_at: claims.exp })
}

#[cfg(test)]
mod tests;
