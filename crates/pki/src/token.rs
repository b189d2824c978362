//! Access tokens (RFC 9068 in shape): ES256, minutes long, one audience, bound to a client certificate
//! (RFC 8705, `cnf.x5t#S256`). One refusal per reason, so that tests and people can tell them apart.

use alloc::string::String;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::{
    jwk::{Jwk, Jwks},
    jws::{self, JwsError, KeyHint, Unverified},
    signature::SigningKey,
};

/// The header's `typ` (RFC 9068, 2.1).
pub const TOKEN_TYPE: &str = "at+jwt";
/// Longest life of a token for an enclave.
pub const ENCLAVE_TOKEN_LIFE: u64 = 300;
/// Longest life of a token for the gateway.
pub const SESSION_TOKEN_LIFE: u64 = 900;
/// How far the issuer's clock may be ahead; an expired token has no such grace.
pub const CLOCK_LEEWAY: u64 = 10;

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Not a compact ES256 token with an acceptable header.
    #[error("token is malformed")]
    Malformed(#[source] JwsError),
    /// `alg` is not ES256.
    #[error("token algorithm is not ES256")]
    Algorithm,
    /// `typ` is not `at+jwt`.
    #[error("token is not an access token")]
    Type,
    /// No `kid`, or one that is not in the key set.
    #[error("token is signed with an unknown key")]
    UnknownKey,
    /// The signature does not verify.
    #[error("token signature does not verify")]
    Signature,
    /// A claim is missing, twice there, or of the wrong type (times must be integers).
    #[error("token claims are not acceptable")]
    Claims,
    /// Another issuer.
    #[error("token is of another issuer")]
    Issuer,
    /// Another audience.
    #[error("token is for another audience")]
    Audience,
    /// `nbf` or `iat` lies in the future.
    #[error("token is not valid yet")]
    NotYetValid,
    /// `exp` has passed.
    #[error("token has expired")]
    Expired,
    /// Valid for longer than we accept.
    #[error("token lives too long")]
    TooLongLived,
    /// Bound to no certificate where it must be, or bound and presented without one.
    #[error("token is not bound to a client certificate")]
    Unbound,
    /// Bound to another certificate.
    #[error("token is bound to another client certificate")]
    Binding,
}

/// Every reason code of this module.
pub const CODES: &[&str] = &[
    "token_malformed",
    "token_algorithm",
    "token_type",
    "token_unknown_key",
    "token_signature",
    "token_claims",
    "token_issuer",
    "token_audience",
    "token_not_yet_valid",
    "token_expired",
    "token_too_long_lived",
    "token_unbound",
    "token_binding",
];

impl TokenRefusal {
    /// The stable reason code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Type => "token_type",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Claims => "token_claims",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Expired => "token_expired",
            Self::TooLongLived => "token_too_long_lived",
            Self::Unbound => "token_unbound",
            Self::Binding => "token_binding",
        }
    }
}

/// The certificate that a token is bound to (RFC 8705, 3.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// base64url of the SHA-256 of the certificate's DER.
    #[serde(rename = "x5t#S256")]
    pub certificate: String,
}

impl Confirmation {
    /// Binds to the certificate of this SHA-256.
    pub fn certificate(thumbprint: &[u8; 32]) -> Self {
        Self { certificate: Base64UrlUnpadded::encode_string(thumbprint) }
    }

    fn matches(&self, thumbprint: &[u8; 32]) -> bool {
        let expected = Base64UrlUnpadded::encode_string(thumbprint);
        self.certificate.as_bytes().ct_eq(expected.as_bytes()).into()
    }
}

/// The claims of an access token. Unknown members are ignored, known ones may appear once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// SPIFFE id of the gateway.
    pub iss: String,
    /// User id.
    pub sub: String,
    /// SPIFFE id of the enclave or of the gateway; exactly one.
    pub aud: String,
    /// Made at, unix seconds.
    pub iat: u64,
    /// Not valid before, unix seconds.
    pub nbf: u64,
    /// Not valid from this second on, unix seconds.
    pub exp: u64,
    /// Unique id of the token.
    pub jti: String,
    /// The certificate that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// The account's name, in tokens for enclaves: the original's claim. Nothing is decided by it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// What the reader of a token expects.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// SPIFFE id of the gateway.
    pub issuer: &'a str,
    /// The reader's own SPIFFE id.
    pub audience: &'a str,
    /// Unix seconds.
    pub now: u64,
}

/// Signs claims; the key id is the key's thumbprint.
pub fn issue(claims: &AccessClaims, key: &dyn SigningKey) -> Result<String, JwsError> {
    let jwk = Jwk::from_spki(key.public_key_spki()).map_err(|_| JwsError::Algorithm)?;
    jws::sign(TOKEN_TYPE, &KeyHint::Id(jwk.id().into()), claims, key)
}

/// A token whose signature was right, with what it says. Made only by [`Signed::verify`].
///
/// For readers that see the same token again and again: its signature need not be checked twice, everything else is, each time.
/// No Debug: whoever has a token that is bound to nothing can use it.
#[derive(Clone)]
pub struct Signed {
    token: String,
    key_id: String,
    claims: AccessClaims,
}

impl Signed {
    /// Checks form, type and signature.
    pub fn verify(token: &str, keys: &Jwks) -> Result<Self, TokenRefusal> {
        let unverified = Unverified::parse(token).map_err(|error| match error {
            JwsError::Algorithm => TokenRefusal::Algorithm,
            other => TokenRefusal::Malformed(other),
        })?;
        if unverified.typ() != TOKEN_TYPE {
            return Err(TokenRefusal::Type);
        }
        let key = unverified.key_id().and_then(|id| keys.key(id)).ok_or(TokenRefusal::UnknownKey)?;
        let verified = unverified.verify(key.public_key()).map_err(|_| TokenRefusal::Signature)?;
        let claims = verified.claims().map_err(|_| TokenRefusal::Claims)?;
        Ok(Self { token: token.into(), key_id: key.id().into(), claims })
    }

    /// Whether this is that token, to the last byte.
    pub fn is(&self, token: &str) -> bool {
        self.token.as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// Accepts it as a token for the gateway: if it is bound, then to the certificate that was presented (`None`: none was). Its key must
    /// be in the set still; its id is its thumbprint, so there it is the same key.
    pub fn for_gateway(
        &self,
        keys: &Jwks,
        expected: &Expected<'_>,
        certificate: Option<&[u8; 32]>,
    ) -> Result<&AccessClaims, TokenRefusal> {
        keys.key(&self.key_id).ok_or(TokenRefusal::UnknownKey)?;
        check_claims(&self.claims, expected, SESSION_TOKEN_LIFE)?;
        match (&self.claims.cnf, certificate) {
            (None, _) => Ok(&self.claims),
            (Some(_), None) => Err(TokenRefusal::Unbound),
            (Some(binding), Some(presented)) if binding.matches(presented) => Ok(&self.claims),
            (Some(_), Some(_)) => Err(TokenRefusal::Binding),
        }
    }
}

/// Verifies a token for an enclave: it must be bound to the certificate (given by its SHA-256) that the client
/// presented on this connection.
pub fn verify_access_token(
    token: &str,
    keys: &Jwks,
    expected: &Expected<'_>,
    certificate: &[u8; 32],
) -> Result<AccessClaims, TokenRefusal> {
    let claims = Signed::verify(token, keys)?.claims;
    check_claims(&claims, expected, ENCLAVE_TOKEN_LIFE)?;
    let binding = claims.cnf.as_ref().ok_or(TokenRefusal::Unbound)?;
    if binding.matches(certificate) { Ok(claims) } else { Err(TokenRefusal::Binding) }
}

fn check_claims(claims: &AccessClaims, expected: &Expected<'_>, longest: u64) -> Result<(), TokenRefusal> {
    if claims.iss != expected.issuer {
        return Err(TokenRefusal::Issuer);
    }
    if claims.aud != expected.audience {
        return Err(TokenRefusal::Audience);
    }
    let latest_start = expected.now.saturating_add(CLOCK_LEEWAY);
    if claims.nbf > latest_start || claims.iat > latest_start {
        return Err(TokenRefusal::NotYetValid);
    }
    if claims.exp <= expected.now {
        return Err(TokenRefusal::Expired);
    }
    if claims.exp.saturating_sub(claims.iat) > longest {
        return Err(TokenRefusal::TooLongLived);
    }
    Ok(())
}
