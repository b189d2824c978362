//! `POST /enclave`, the one route of the original's enclave, with its field names. Where the body has a nonce, the answer has a quote over
//! it, made for this client and this connection.
//!
//! The original said of quote and certificate that they were verified, which nobody had done. This says what is true here, that the token is
//! good and the enclave runs; verifying is the client's.

use api::original::{Failed, Knock, Quoted, Welcome};
use bytes::Bytes;
use evidence::Evidence;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Serialize;

use crate::evidence::Desk;
use crate::headers::HeaderRefusal;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::session::Session;
use crate::tokens::Accepted;

/// The app never sees a `POST` to it.
const PATH: &str = "/enclave";
/// A name and a nonce.
const BODY_BYTES: usize = 4096;

/// Whether a request is for here.
#[must_use]
pub fn is<B>(request: &Request<B>) -> bool {
    *request.method() == Method::POST && request.uri().path() == PATH
}

/// What answers.
pub struct Door<'a> {
    /// Where evidence comes from.
    pub desk: &'a Desk,
    /// How large a body may be, and how slow.
    pub limits: &'a Limits,
}

impl Door<'_> {
    /// Answers one request, with what the token was found to be.
    ///
    /// # Errors
    /// [`Refusal`], where the original had no words for it.
    pub async fn answer(
        &self,
        session: &Session,
        admitted: Result<Accepted, Refusal>,
        request: Request<Incoming>,
    ) -> Result<Response<Bytes>, Refusal> {
        // Read before anything is answered: a client that still sends when its stream ends takes that for a broken connection.
        let body = self.body(request.into_body()).await?;
        let accepted = match admitted {
            Ok(accepted) => accepted,
            Err(Refusal::TokenMissing) => {
                return failed(StatusCode::UNAUTHORIZED, "Authorization header missing");
            }
            Err(Refusal::Token(_) | Refusal::Headers(HeaderRefusal::Authorization)) => {
                return failed(StatusCode::UNAUTHORIZED, "Invalid or expired token");
            }
            Err(refusal) => return Err(refusal),
        };
        let Ok(knock) = serde_json::from_slice::<Knock>(&body) else {
            return failed(
                StatusCode::BAD_REQUEST,
                "the body has to be {\"username\", \"nonce\"}, the nonce only if you want a quote",
            );
        };
        let is_same = accepted.username().is_some_and(|name| name.eq_ignore_ascii_case(&knock.username));
        if !is_same {
            return failed(StatusCode::BAD_REQUEST, "Not Authorized");
        }
        let quoted = match &knock.nonce {
            Some(nonce) => Some(self.quoted(session, nonce).await?),
            None => None,
        };
        let message = "Authentication successful, Enclave Provisioned".to_owned();
        json(StatusCode::OK, &Welcome { message, quoted })
    }

    async fn quoted(&self, session: &Session, nonce: &str) -> Result<Quoted, Refusal> {
        let nonce = api::original::nonce(nonce).ok_or(Refusal::Nonce)?;
        let bundle = self.desk.evidence(session, &nonce).await?;
        let bundle = Evidence::from_json(&bundle).map_err(|_| Refusal::NoEvidence)?;
        Quoted::of(bundle, &nonce).ok_or(Refusal::NoEvidence)
    }

    async fn body(&self, body: Incoming) -> Result<Bytes, Refusal> {
        let read = Limited::new(body, BODY_BYTES).collect();
        match tokio::time::timeout(self.limits.request_idle, read).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge),
            Ok(Err(_)) | Err(_) => Err(Refusal::BodyTooSlow),
        }
    }
}

fn failed(status: StatusCode, error: &str) -> Result<Response<Bytes>, Refusal> {
    json(status, &Failed { error: error.to_owned() })
}

fn json(status: StatusCode, body: &impl Serialize) -> Result<Response<Bytes>, Refusal> {
    let body = serde_json::to_vec(body).map_err(|_| Refusal::NoEvidence)?;
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
