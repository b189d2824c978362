//! Every way in which a request is not answered by the app, with its status and its stable code.
//!
//! Invariant: what the client reads says nothing of internal causes; those are logged under the request's id.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use pki::token::TokenRefusal;
use server::Problem;

use crate::headers::HeaderRefusal;

/// Why the app does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request's headers.
    #[error(transparent)]
    Headers(#[from] HeaderRefusal),
    /// A method that is not passed on or not offered by an endpoint of ours.
    #[error("method not allowed")]
    Method,
    /// The client's key is not the owner's.
    #[error("only the enclave's owner may use it")]
    NotOwner,
    /// No token.
    #[error("a token is needed")]
    TokenMissing,
    /// Not a token for this enclave and this client.
    #[error("{0}")]
    Token(TokenRefusal),
    /// The body exceeds the bound.
    #[error("request body too large")]
    BodyTooLarge,
    /// The client stopped sending its body.
    #[error("request body did not come in time")]
    BodyTooSlow,
    /// Under `/.well-known/sealwright/`, but nothing of ours.
    #[error("no such endpoint")]
    UnknownEndpoint,
    /// Not exactly one nonce of 32 bytes in hex or base64url.
    #[error("one nonce of 32 bytes in hex or base64url is needed")]
    Nonce,
    /// More questions for evidence than one connection may ask.
    #[error("too many questions for evidence")]
    EvidenceRate,
    /// More work than this facade takes on.
    #[error("busy")]
    Busy,
    /// The agent gives no evidence.
    #[error("no evidence can be had at the moment")]
    NoEvidence,
    /// The agent does not answer in time.
    #[error("evidence did not come in time")]
    EvidenceTimeout,
    /// The app accepts no connection.
    #[error("the app does not answer")]
    AppUnreachable,
    /// The app's answer broke off or is no HTTP.
    #[error("the app's answer broke off")]
    AppBroken,
    /// The app's answer did not begin in time.
    #[error("the app's answer did not come in time")]
    AppTimeout,
}

impl Refusal {
    /// The stable reason code: in the answer, in logs and in counters.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Headers(HeaderRefusal::TooLarge) => "headers_too_large",
            Self::Headers(HeaderRefusal::Connection) => "connection_refused_names",
            Self::Headers(HeaderRefusal::TransferEncoding) => "transfer_encoding_refused",
            Self::Headers(HeaderRefusal::ContentLength) => "content_length_refused",
            Self::Headers(HeaderRefusal::Host) => "host_unclear",
            Self::Headers(HeaderRefusal::WrongHost) => "wrong_host",
            Self::Headers(HeaderRefusal::Authorization) => "token_invalid",
            Self::Headers(HeaderRefusal::Target) => "target_refused",
            Self::Method => "method_not_allowed",
            Self::NotOwner => "not_owner",
            Self::TokenMissing => "token_missing",
            Self::Token(TokenRefusal::Expired) => "token_expired",
            Self::Token(TokenRefusal::Audience) => "token_audience",
            Self::Token(TokenRefusal::Unbound | TokenRefusal::Binding) => "token_certificate",
            Self::Token(_) => "token_invalid",
            Self::BodyTooLarge => "too_large",
            Self::BodyTooSlow => "request_timeout",
            Self::UnknownEndpoint => "no_such_route",
            Self::Nonce => "nonce_invalid",
            Self::EvidenceRate => "evidence_rate",
            Self::Busy => "busy",
            Self::NoEvidence => "evidence_unavailable",
            Self::EvidenceTimeout => "evidence_timeout",
            Self::AppUnreachable => "app_unreachable",
            Self::AppBroken => "app_broken",
            Self::AppTimeout => "app_timeout",
        }
    }

    /// 400 malformed, 401 who are you, 403 refused, 421 not here, 502 and 504 the app.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Headers(HeaderRefusal::TooLarge) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Headers(HeaderRefusal::WrongHost) => StatusCode::MISDIRECTED_REQUEST,
            Self::Headers(HeaderRefusal::Authorization) | Self::TokenMissing => StatusCode::UNAUTHORIZED,
            Self::Headers(_) | Self::Nonce => StatusCode::BAD_REQUEST,
            Self::Token(TokenRefusal::Audience | TokenRefusal::Unbound | TokenRefusal::Binding)
            | Self::NotOwner => StatusCode::FORBIDDEN,
            Self::Token(_) => StatusCode::UNAUTHORIZED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownEndpoint => StatusCode::NOT_FOUND,
            Self::EvidenceRate => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoEvidence | Self::AppUnreachable | Self::AppBroken => StatusCode::BAD_GATEWAY,
            Self::EvidenceTimeout | Self::AppTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The answer as `application/problem+json`.
    #[must_use]
    pub fn answer(&self, request_id: &str) -> Response<Bytes> {
        let status = self.status();
        let problem = Problem::new(status, self.code(), self.to_string()).with_request_id(request_id);
        let mut response = Response::new(Bytes::from(problem.to_json()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match status {
            // RFC 6750 3.
            StatusCode::UNAUTHORIZED => {
                let challenge = match self {
                    Self::TokenMissing => "Bearer",
                    _ => "Bearer error=\"invalid_token\"",
                };
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
