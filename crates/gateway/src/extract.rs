//! What routes take from a request: JSON within bounds, and who is calling.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::Code;
use api::bounds::{FORM_BODY_BYTES, JSON_BODY_BYTES, OPEN_BODY_BYTES, TOKEN_BYTES};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use store::{Role, SessionId, UserId};

use crate::certificate::{ClientCertificate, Peer};
use crate::refusal::Refusal;
use crate::shared::{Shared, now};
use crate::tokens::LastToken;

mod page;

pub(crate) use page::Page;

/// A session's last use is noted once in so many seconds.
const USED_EVERY: u64 = 300;

/// A JSON body of at most `LIMIT` bytes.
pub(crate) struct Json<T, const LIMIT: usize = JSON_BODY_BYTES>(pub(crate) T);

/// The JSON body of a route that anybody may call: many of them at once are little memory.
pub(crate) type OpenJson<T> = Json<T, OPEN_BODY_BYTES>;

impl<T: DeserializeOwned, const LIMIT: usize> FromRequest<Arc<Shared>> for Json<T, LIMIT> {
    type Rejection = Refusal;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let json =
            media_type(request.headers()).is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
        if !json {
            return Err(Refusal::new(Code::UnsupportedMediaType, "send application/json"));
        }
        let (parts, body) = request.into_parts();
        let bytes = whole_body(&parts.headers, body, LIMIT, shared.timeouts.body()).await?;
        // The sender sees what is wrong with its own bytes; the log does not, because there may be a password in them.
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Refusal::new(Code::Malformed, error.to_string()))
    }
}

/// A form (`application/x-www-form-urlencoded`), as OAuth sends it. Unknown fields are passed over (RFC 6749, 3.1), repeated ones refused.
pub(crate) struct Form<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Form<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let form = media_type(request.headers())
            .is_some_and(|media| media.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        if !form {
            return Err(Refusal::new(Code::UnsupportedMediaType, "send application/x-www-form-urlencoded"));
        }
        let (parts, body) = request.into_parts();
        let bytes = whole_body(&parts.headers, body, FORM_BODY_BYTES, shared.timeouts.body()).await?;
        serde_urlencoded::from_bytes(&bytes)
            .map(Self)
            .map_err(|error| Refusal::new(Code::Malformed, error.to_string()))
    }
}

/// A body of at most `limit` bytes that arrives in time.
pub(crate) async fn whole_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, Refusal> {
    if declared_length(headers).is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    match tokio::time::timeout(timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Ok(Err(_)) => Err(Refusal::new(Code::Malformed, "the body did not arrive whole")),
        Err(_) => Err(Refusal::new(Code::RequestTimeout, "the body took too long")),
    }
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(Code::TooLarge, format!("at most {limit} bytes are read here"))
}

/// The media type without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    text.split(';').next().map(str::trim)
}

/// What `Content-Length` says.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        Ok(parts.extensions.get().copied().unwrap_or(Self::Anonymous))
    }
}

/// Where a connection comes from; in the extensions of its requests. No Display: addresses are kept and logged only as keyed marks.
#[derive(Clone, Copy)]
pub(crate) struct Address(pub(crate) IpAddr);

impl Address {
    /// What one customer of a network has: the whole IPv4 address, the first 64 bits of an IPv6 one.
    pub(crate) fn network(&self) -> Vec<u8> {
        match self.0.to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets()[..8].to_vec(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let missing = || Refusal::internal(std::io::Error::other("the connection has no address"));
        parts.extensions.get().copied().ok_or_else(missing)
    }
}

/// An authenticated caller: the token, its binding to this connection and its session were checked just now.
pub(crate) struct Caller {
    pub(crate) user: UserId,
    pub(crate) name: String,
    pub(crate) session: SessionId,
    role: Role,
    peer: Peer,
}

impl Caller {
    /// The client certificate of this connection, where a route can't do without.
    pub(crate) fn certificate(&self) -> Result<&ClientCertificate, Refusal> {
        let missing = || {
            Refusal::new(Code::CertificateRequired, "connect with a client certificate and log in with it")
        };
        self.peer.certificate().ok_or_else(missing)
    }
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let peer = Peer::from_request_parts(parts, shared).await?;
        let token = bearer(&parts.headers)?;
        let thumbprint = peer.certificate().map(|certificate| &certificate.thumbprint);
        let last = parts.extensions.get::<LastToken>().cloned().unwrap_or_default();
        let (user, session) = shared.tokens.verify(&shared.store, token, thumbprint, &last, now()).await?;
        let ended = || Refusal::new(Code::SessionRevoked, "log in again");
        let live = shared.store.live_session(&session, now()).await?.ok_or_else(ended)?;
        if live.session.user != user {
            return Err(ended());
        }
        if live.session.used_at.saturating_add(USED_EVERY) <= now() {
            shared.store.touch_session(&session, now()).await?;
        }
        Ok(Self { user, name: live.name, session, role: live.role, peer })
    }
}

/// A caller whose account is an admin's at this moment; to everybody else there is nothing here.
pub(crate) struct Admin(pub(crate) Caller);

impl FromRequestParts<Arc<Shared>> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, shared).await?;
        match caller.role {
            Role::Admin => Ok(Self(caller)),
            Role::User => Err(Refusal::new(Code::NotFound, "there is nothing of this name")),
        }
    }
}

/// RFC 6750, 2.1: exactly one header; tokens anywhere else are not looked for.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let missing = || Refusal::new(Code::TokenMissing, "send an access token as Authorization: Bearer");
    let value = values.next().ok_or_else(missing)?;
    let invalid = || Refusal::new(Code::TokenInvalid, "the Authorization header can't be read");
    if values.next().is_some() || value.len() > TOKEN_BYTES {
        return Err(invalid());
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token) } else { Err(missing()) }
}
