//! Access tokens: signed here, in shape and checks those of `pki::token`.

use std::sync::{Arc, Mutex, PoisonError};

use ::audit::Head;
use api::Code;
use names::{Digest, EnclaveId, Part, TrustDomain, hex};
use pki::jwk::Jwk;
use pki::jws::{self, KeyHint};
use pki::token::{self, AccessClaims, Confirmation, Expected, Signed, TokenRefusal};
use serde::Serialize;
use server::telemetry::chain;
use store::{SessionId, Store, UserId};

use crate::key_ring::KeyRing;
use crate::refusal::Refusal;
use crate::shared::random;

/// Life of a token for the gateway, in seconds.
pub(crate) const SESSION_TOKEN_LIFE: u64 = 600;
/// Life of a token for an enclave, in seconds.
pub(crate) const ENCLAVE_TOKEN_LIFE: u64 = token::ENCLAVE_TOKEN_LIFE;

/// `typ` of a signed end of the audit log: no token has it.
const AUDIT_HEAD_TYPE: &str = "audit-head+jwt";

/// The last good token of a connection, in the extensions of its requests: a signature check costs more than everything else that a plain request
/// does, and clients send the same token again and again. Only the signature is remembered: time, audience, binding and key are looked at
/// each time, and so is the session.
#[derive(Clone, Default)]
pub(crate) struct LastToken(Arc<Mutex<Option<Arc<Signed>>>>);

impl LastToken {
    fn get(&self, token: &str) -> Option<Arc<Signed>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|signed| signed.is(token)).map(Arc::clone)
    }

    fn set(&self, signed: Signed) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(signed));
    }
}

/// What a signed end of the audit log says.
#[derive(Serialize)]
struct HeadClaims<'a> {
    iss: &'a str,
    iat: u64,
    seq: u64,
    hash: Digest,
}

/// The token service.
pub(crate) struct Tokens {
    ring: KeyRing,
    issuer: String,
    trust_domain: TrustDomain,
}

impl Tokens {
    pub(crate) fn new(ring: KeyRing, trust_domain: &TrustDomain) -> Self {
        let issuer = trust_domain.part(Part::Gateway).to_string();
        Self { ring, issuer, trust_domain: trust_domain.clone() }
    }

    /// The keys.
    pub(crate) const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The public keys as a JWK set.
    pub(crate) fn key_set(&self) -> String {
        self.ring.set().to_json()
    }

    /// The audit log's end, signed.
    pub(crate) fn sign_audit_head(&self, head: &Head, now: u64) -> Result<String, Refusal> {
        let key = self.ring.key();
        let public = Jwk::from_spki(key.public_key_spki()).map_err(Refusal::internal)?;
        let claims = HeadClaims { iss: &self.issuer, iat: now, seq: head.seq, hash: head.hash };
        jws::sign(AUDIT_HEAD_TYPE, &KeyHint::Id(public.id().into()), &claims, &*key)
            .map_err(Refusal::internal)
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
        self.sign(&self.claims_for(
            (user, None),
            self.issuer.clone(),
            id,
            certificate,
            (now, SESSION_TOKEN_LIFE),
        ))
    }

    /// A token for one enclave, always bound.
    pub(crate) fn for_enclave(
        &self,
        (user, name): (&UserId, &str),
        enclave: &EnclaveId,
        certificate: &Digest,
        now: u64,
    ) -> Result<String, Refusal> {
        let audience = self.trust_domain.enclave(enclave).to_string();
        let id = hex(&random::<16>()?);
        self.sign(&self.claims_for(
            (user, Some(name)),
            audience,
            id,
            Some(certificate),
            (now, ENCLAVE_TOKEN_LIFE),
        ))
    }

    /// Whose token for the gateway this is, and of which session. A key that is not known may be another gateway's new one: that is looked up.
    pub(crate) async fn verify(
        &self,
        store: &Store,
        token: &str,
        certificate: Option<&Digest>,
        last: &LastToken,
        now: u64,
    ) -> Result<(UserId, SessionId), Refusal> {
        let claims = match self.claims(token, certificate, last, now) {
            Err(TokenRefusal::UnknownKey) => {
                if let Err(error) = self.ring.look_again(store).await {
                    tracing::warn!(error = %chain(&*error), "token keys");
                }
                self.claims(token, certificate, last, now)
            }
            verified => verified,
        };
        let claims = claims.map_err(refusal)?;
        let session = claims.jti.split_once('.').and_then(|(session, _)| session.parse().ok());
        let user = claims.sub.parse().ok();
        user.zip(session).ok_or_else(|| refusal(TokenRefusal::Claims))
    }

    fn claims(
        &self,
        token: &str,
        certificate: Option<&Digest>,
        last: &LastToken,
        now: u64,
    ) -> Result<AccessClaims, TokenRefusal> {
        let (keys, certificate) = (self.ring.set(), certificate.map(Digest::as_bytes));
        let expected = Expected { issuer: &self.issuer, audience: &self.issuer, now };
        if let Some(signed) = last.get(token) {
            return signed.for_gateway(&keys, &expected, certificate).cloned();
        }
        let signed = Signed::verify(token, &keys)?;
        let claims = signed.for_gateway(&keys, &expected, certificate)?.clone();
        last.set(signed);
        Ok(claims)
    }

    fn claims_for(
        &self,
        (user, name): (&UserId, Option<&str>),
        audience: String,
        id: String,
        certificate: Option<&Digest>,
        (now, life): (u64, u64),
    ) -> AccessClaims {
        AccessClaims {
            iss: self.issuer.clone(),
            sub: user.to_string(),
            aud: audience,
            iat: now,
            nbf: now,
            exp: now.saturating_add(life),
            jti: id,
            cnf: certificate.map(|thumbprint| Confirmation::certificate(thumbprint.as_bytes())),
            username: name.map(str::to_owned),
        }
    }

    fn sign(&self, claims: &AccessClaims) -> Result<String, Refusal> {
        token::issue(claims, &*self.ring.key()).map_err(Refusal::internal)
    }
}

fn refusal(refused: TokenRefusal) -> Refusal {
    let code = if refused == TokenRefusal::Expired { Code::TokenExpired } else { Code::TokenInvalid };
    Refusal::because(code, refused.to_string(), refused)
}
