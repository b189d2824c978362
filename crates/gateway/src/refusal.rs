//! Every answer that is not a success: a code and a sentence for the caller, a cause for the log, and the request's id in both.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use api::paths::{PROBLEM_MEDIA_TYPE, REQUEST_ID_HEADER};
use api::{Code, Problem};
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use packing::BlobError;
use passwords::{HashError, Unacceptable};
use server::telemetry::chain;
use store::StoreError;
use tracing::{Instrument, error, info, info_span, warn};

use crate::shared::random;

/// Characters of a path in the log.
const LOGGED_PATH: usize = 200;
/// Characters of a `detail`, which may repeat what the caller sent.
const DETAIL: usize = 300;
/// Seconds after which a busy service may be asked again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// What a route does not say itself. No `Strict-Transport-Security`: it would bind every other service of this host name, and nothing here
/// speaks plain HTTP. No CORS: no page of another origin has business here.
const ON_EVERY_ANSWER: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The id of a request; in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

/// Why a request was not done.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: Code,
    detail: Cow<'static, str>,
    /// Seconds after which it may be tried again.
    retry_after: Option<u64>,
    /// Second factors that would help.
    factors: Vec<String>,
    /// Why no licence allows it.
    validation: Option<licensing::Code>,
    /// For the log only.
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Refusal {
    /// A refusal with a sentence for the caller.
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            retry_after: None,
            factors: Vec::new(),
            validation: None,
            cause: None,
        }
    }

    /// The same with the cause that goes to the log.
    pub(crate) fn because(
        code: Code,
        detail: impl Into<Cow<'static, str>>,
        cause: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self { cause: Some(Box::new(cause)), ..Self::new(code, detail) }
    }

    /// Our fault: the caller learns nothing but the request's id.
    pub(crate) fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::because(Code::Internal, "see the server's log under this request id", cause)
    }

    /// The same, with the seconds after which it may be tried again.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The same, with the second factors that would help.
    pub(crate) fn factors(self, factors: Vec<String>) -> Self {
        Self { factors, ..self }
    }

    /// No licence allows it.
    pub(crate) fn license(why: licensing::Code) -> Self {
        Self { validation: Some(why), ..Self::new(Code::LicenseRefused, why.sentence()) }
    }

    /// The code.
    pub(crate) const fn code(&self) -> Code {
        self.code
    }

    /// The sentence for the caller.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    fn problem(&self, request_id: &str) -> Problem {
        let detail = self.detail.chars().take(DETAIL).collect();
        Problem {
            factors: self.factors.clone(),
            validation: self.validation.map(|why| why.as_str().to_owned()),
            ..Problem::new(self.code, detail, request_id.to_owned())
        }
    }

    fn log(&self) {
        let code = self.code.as_str();
        let cause = self.cause.as_ref().map(|cause| chain(&**cause)).unwrap_or_default();
        match self.code {
            Code::Internal | Code::DatabaseUnavailable | Code::StorageFull | Code::OutcomeUnknown => {
                error!(code, error = cause, "refused");
            }
            Code::ControllerUnavailable | Code::Busy => warn!(code, error = cause, "refused"),
            _ => info!(code, error = cause, "refused"),
        }
    }
}

impl IntoResponse for Refusal {
    /// Only the status; [`answer`] writes the body, because it knows the request's id.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() =
            StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NameTaken => Self::new(Code::NameTaken, "this name is in use"),
            StoreError::VersionConflict => {
                Self::new(Code::VersionConflict, "this name and version were published with another digest")
            }
            StoreError::QuotaExceeded { limit } => {
                Self::new(Code::QuotaExceeded, format!("at most {limit} enclaves are allowed"))
            }
            StoreError::License(why) => Self::license(why),
            StoreError::Transition(error) => error.into(),
            StoreError::TooOften { seconds } => {
                Self::new(Code::TooManyStarts, format!("once more in {seconds} s")).retry_after(seconds)
            }
            StoreError::StorageQuota { limit } => {
                Self::new(Code::StorageQuotaExceeded, format!("at most {limit} bytes of files are allowed"))
            }
            StoreError::ClaimLost => Self::new(Code::WrongState, "the enclave has changed hands; ask again"),
            StoreError::WrongState => Self::new(Code::WrongState, "the enclave is in another state"),
            StoreError::NotFound => Self::new(Code::NotFound, "there is nothing of this name"),
            StoreError::Unavailable(_) | StoreError::Busy(_) | StoreError::ReadOnly(_) => {
                Self::because(Code::DatabaseUnavailable, "nothing has happened; ask again", error)
            }
            StoreError::Full(_) => {
                Self::because(Code::StorageFull, "nothing has happened; the operator has to make room", error)
            }
            StoreError::OutcomeUnknown(_) => {
                Self::because(Code::OutcomeUnknown, "it may have been done: look before you ask again", error)
            }
            StoreError::Corrupt { .. }
            | StoreError::File(_)
            | StoreError::Password(_)
            | StoreError::Newer { .. }
            | StoreError::Migrate(_)
            | StoreError::Database(_) => Self::internal(error),
        }
    }
}

impl From<HashError> for Refusal {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::new(Code::Busy, "too many logins at once"),
            HashError::Unacceptable(Unacceptable::Short | Unacceptable::Long) => {
                Self::new(Code::InvalidPassword, error.to_string())
            }
            HashError::Unacceptable(Unacceptable::Names | Unacceptable::Common | Unacceptable::Breached) => {
                Self::new(Code::KnownPassword, error.to_string())
            }
            HashError::Unacceptable(Unacceptable::Unchecked) => {
                Self::new(Code::PasswordsUnchecked, error.to_string())
            }
            HashError::Random(_) | HashError::Hash(_) | HashError::Stored | HashError::Lost(_) => {
                Self::internal(error)
            }
        }
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Mismatch { .. } => Self::new(Code::DigestMismatch, error.to_string()),
            BlobError::TooLarge => Self::new(Code::TooLarge, "the blob is too large"),
            BlobError::Missing(_) => Self::new(Code::NotFound, "there is no such blob"),
            BlobError::Io { .. } => Self::internal(error),
        }
    }
}

impl From<getrandom::Error> for Refusal {
    fn from(error: getrandom::Error) -> Self {
        Self::because(Code::Internal, "no random bytes", std::io::Error::other(error.to_string()))
    }
}

/// The outermost layer: gives the request its id (none from outside is believed), logs it, and writes the body of refusals.
pub(crate) async fn answer(mut request: Request, next: Next) -> Response {
    let Ok(id) = random::<16>().map(|bytes| names::hex(&bytes)) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let path: String = request.uri().path().chars().take(LOGGED_PATH).collect();
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = info_span!("request", trace.id = %id, %id, method = %request.method(), path);
    async {
        let began = Instant::now();
        let mut response = next.run(request).await;
        let refusal = response.extensions_mut().remove::<Arc<Refusal>>();
        if let Some(refusal) = refusal {
            refusal.log();
            write_problem(&mut response, &refusal, &id);
        }
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID_HEADER, value);
        }
        for (name, value) in ON_EVERY_ANSWER {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        info!(status = response.status().as_u16(), micros = began.elapsed().as_micros(), "answered");
        response
    }
    .instrument(span)
    .await
}

fn write_problem(response: &mut Response, refusal: &Refusal, id: &str) {
    let body = serde_json::to_vec(&refusal.problem(id)).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    match refusal.code() {
        Code::Busy
        | Code::ControllerUnavailable
        | Code::DatabaseUnavailable
        | Code::IdempotencyRunning
        | Code::StorageFull => {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        // RFC 6750, 3
        Code::TokenMissing => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Code::TokenInvalid | Code::TokenExpired | Code::SessionRevoked => {
            headers
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
        }
        _ => {}
    }
    if let Some(seconds) = refusal.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        // draft-ietf-httpapi-ratelimit-headers: nothing is left until then. Which limit it was is not told.
        if let Ok(value) = HeaderValue::from_str(&format!("\"attempts\";r=0;t={seconds}")) {
            headers.insert("ratelimit", value);
        }
    }
    *response.body_mut() = Body::from(body);
}
