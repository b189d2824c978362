//! Access tokens: signed here, in shape and checks those of `pki::token`.

use std::sync::Arc;

use api::Code;
use names::{Digest, EnclaveId, Part, TrustDomain, hex};
use pki::SigningKey;
use pki::jwk::{Jwk, JwkError, Jwks};
use pki::token::{self, AccessClaims, Confirmation, Expected, TokenRefusal};
use store::{SessionId, UserId};

use crate::refusal::Refusal;
use crate::shared::random;

/// Life of a token for the gateway, in seconds.
pub(crate) const SESSION_TOKEN_LIFE: u64 = 600;
/// Life of a token for an enclave, in seconds.
pub(crate) const ENCLAVE_TOKEN_LIFE: u64 = token::ENCLAVE_TOKEN_LIFE;

/// The token service.
pub(crate) struct Tokens {
    key: Arc<dyn SigningKey>,
    keys: Jwks,
    issuer: String,
    trust_domain: TrustDomain,
}

impl Tokens {
    pub(crate) fn new(key: Arc<dyn SigningKey>, trust_domain: &TrustDomain) -> Result<Self, JwkError> {
        let keys = Jwks::new(vec![Jwk::from_spki(key.public_key_spki())?])?;
        let issuer = trust_domain.part(Part::Gateway).to_string();
        Ok(Self { key, keys, issuer, trust_domain: trust_domain.clone() })
    }

    /// The public keys as a JWK set.
    pub(crate) fn key_set(&self) -> String {
        self.keys.to_json()
    }

    /// A token for the gateway itself. Its `jti` begins with the session's id, so that each request can ask whether the session still holds.
    pub(crate) fn for_session(
        &self,
        user: &UserId,
        session: &SessionId,
        certificate: Option<&Digest>,
        now: u64,
    ) -> Result<String, Refusal> {
        let id = format!("{session}.{}", hex(&random::<16>()?));
        self.issue(user, self.issuer.clone(), id, certificate, SESSION_TOKEN_LIFE, now)
    }

    /// A token for one enclave, always bound.
    pub(crate) fn for_enclave(
        &self,
        user: &UserId,
        enclave: &EnclaveId,
        certificate: &Digest,
        now: u64,
    ) -> Result<String, Refusal> {
        let audience = self.trust_domain.enclave(enclave).to_string();
        self.issue(user, audience, hex(&random::<16>()?), Some(certificate), ENCLAVE_TOKEN_LIFE, now)
    }

    /// Whose token for the gateway this is, and of which session.
    pub(crate) fn verify(
        &self,
        token: &str,
        certificate: Option<&Digest>,
        now: u64,
    ) -> Result<(UserId, SessionId), Refusal> {
        let expected = Expected { issuer: &self.issuer, audience: &self.issuer, now };
        let claims =
            token::verify_session_token(token, &self.keys, &expected, certificate.map(Digest::as_bytes))
                .map_err(refusal)?;
        let session = claims.jti.split_once('.').and_then(|(session, _)| session.parse().ok());
        let user = claims.sub.parse().ok();
        user.zip(session).ok_or_else(|| refusal(TokenRefusal::Claims))
    }

    fn issue(
        &self,
        user: &UserId,
        audience: String,
        id: String,
        certificate: Option<&Digest>,
        life: u64,
        now: u64,
    ) -> Result<String, Refusal> {
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            sub: user.to_string(),
            aud: audience,
            iat: now,
            nbf: now,
            exp: now.saturating_add(life),
            jti: id,
            cnf: certificate.map(|thumbprint| Confirmation::certificate(thumbprint.as_bytes())),
        };
        token::issue(&claims, &*self.key).map_err(Refusal::internal)
    }
}

fn refusal(refused: TokenRefusal) -> Refusal {
    let code = if refused == TokenRefusal::Expired { Code::TokenExpired } else { Code::TokenInvalid };
    Refusal::because(code, refused.to_string(), refused)
}
