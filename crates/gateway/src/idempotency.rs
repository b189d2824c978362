//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key): a request that is sent again is done once, and gets the first answer again.
//!
//! Only successes are kept: a refused request has changed nothing, so its key is free again. The execution goes on when its caller has
//! gone, because the caller will ask for its outcome. Only the routes of [`PATHS`] read the header: their answers hold no secret, and a
//! log-in must never be answered from a table.

use std::sync::Arc;

use api::Code;
use api::bounds::{APP_BODY_BYTES, IDEMPOTENCY_KEY_BYTES};
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use names::Digest;
use server::telemetry::chain;
use store::{KeptAnswer, KeyedRequest, StoreError, Turn};
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::extract::{Admin, Caller, whole_body};
use crate::refusal::Refusal;
use crate::shared::{Shared, now, random};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is a kept one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// A longer answer is not kept; the one route that has such answers, publishing, is idempotent by itself.
const ANSWER_BYTES: usize = 64 << 10;

/// Where the header is read. `POST` only.
pub const PATHS: &[&str] = &[
    "/v1/admin/licenses",
    "/v1/admin/licenses/{id}/reinstate",
    "/v1/admin/licenses/{id}/renew",
    "/v1/admin/licenses/{id}/revoke",
    "/v1/admin/licenses/{id}/suspend",
    "/v1/admin/plans",
    "/v1/admin/plans/{code}/retire",
    "/v1/admin/users/{name}/disable",
    "/v1/admin/users/{name}/enable",
    "/v1/apps",
    "/v1/enclaves",
    "/v1/enclaves/{name}/cancel",
    "/v1/enclaves/{name}/extend",
    "/v1/enclaves/{name}/start",
    "/v1/enclaves/{name}/stop",
    "/v1/licenses/{id}/check-in",
];
/// For whoever is no admin now, there is nothing below it, and no kept answer either.
const ADMINS: &str = "/v1/admin/";

/// The layer around all routes.
pub(crate) async fn once(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let path = path.filter(|path| request.method() == Method::POST && PATHS.contains(path));
    let Some(path) = path.filter(|_| request.headers().contains_key(KEY)) else {
        return Ok(next.run(request).await);
    };
    let is_admins = path.starts_with(ADMINS);
    let key = key(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let caller = match is_admins {
        true => Admin::from_request_parts(&mut parts, &shared).await?.0,
        false => Caller::from_request_parts(&mut parts, &shared).await?,
    };
    let body = whole_body(&parts.headers, body, APP_BODY_BYTES, shared.timeouts.body()).await?;
    let attempt = KeyedRequest {
        user: caller.user,
        key,
        fingerprint: fingerprint(&parts, &caller, &body),
        run: Digest::from_bytes(random()?),
        now: now(),
    };
    match shared.store.begin_keyed(&attempt).await? {
        Turn::Execute => {}
        Turn::Done(answer) => return replay(answer),
        Turn::Running => {
            return Err(Refusal::new(Code::IdempotencyRunning, "ask again when it is done"));
        }
        Turn::Mismatch => {
            return Err(Refusal::new(Code::IdempotencyMismatch, "choose another key for another request"));
        }
        Turn::Full => return Err(Refusal::new(Code::Busy, "too many requests with keys are running")),
    }
    let request = Request::from_parts(parts, Body::from(body));
    let (answered, answer) = oneshot::channel();
    let tasks = shared.tasks.clone();
    let execution = async move {
        let response = execute(&shared, &attempt, request, next).await;
        // The caller may have gone.
        drop(answered.send(response));
    };
    tasks.spawn(execution.in_current_span());
    answer.await.map_err(Refusal::internal)
}

/// 1 to 128 visible characters, alone or quoted (RFC 9651 has it quoted; many clients do not).
fn key(headers: &HeaderMap) -> Result<Digest, Refusal> {
    let mut values = headers.get_all(KEY).iter();
    let text = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let text =
        text.map(|text| text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(text));
    let good = text.filter(|text| {
        (1..=IDEMPOTENCY_KEY_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
    });
    let refused = || {
        let text = format!("Idempotency-Key has 1 to {IDEMPOTENCY_KEY_BYTES} visible characters");
        Refusal::new(Code::Malformed, text)
    };
    good.map(|text| Digest::of(text.as_bytes())).ok_or_else(refused)
}

/// What was asked, and with which key: the same words with another certificate are another request.
fn fingerprint(parts: &http::request::Parts, caller: &Caller, body: &Bytes) -> Digest {
    let media = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let certificate = caller.certificate().map(|certificate| certificate.key.to_string()).unwrap_or_default();
    let target = parts.uri.path_and_query().map(|target| target.as_str()).unwrap_or_default();
    let mut words = Vec::new();
    for part in [target.as_bytes(), certificate.as_bytes(), media, body] {
        words.extend_from_slice(&(part.len() as u64).to_be_bytes());
        words.extend_from_slice(part);
    }
    Digest::of(&words)
}

async fn execute(shared: &Shared, attempt: &KeyedRequest, request: Request, next: Next) -> Response {
    let (response, kept) = keepable(next.run(request).await).await;
    let stored = match kept {
        Some(answer) => shared.store.finish_keyed(attempt, &answer).await,
        None => shared.store.forget_keyed(attempt).await,
    };
    if let Err(error) = stored {
        // It is done all the same. Until its lease ends, the same key is answered as if it still ran.
        report(&error);
    }
    response
}

fn report(error: &StoreError) {
    tracing::warn!(error = %chain(error), "the answer of an idempotent request is not kept");
}

/// The answer, and what is to be kept of it.
async fn keepable(response: Response) -> (Response, Option<KeptAnswer>) {
    if !response.status().is_success() {
        return (response, None);
    }
    let (parts, body) = response.into_parts();
    // Answers of these routes are whole already: this reads memory.
    let Ok(body) = Limited::new(body, APP_BODY_BYTES * 2).collect().await else {
        return (Response::from_parts(parts, Body::empty()), None);
    };
    let body = body.to_bytes();
    let text = std::str::from_utf8(&body).ok().filter(|text| text.len() <= ANSWER_BYTES);
    let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kept = text.map(|text| KeptAnswer {
        status: parts.status.as_u16(),
        media_type: media_type.map(str::to_owned),
        body: text.to_owned(),
    });
    (Response::from_parts(parts, Body::from(body)), kept)
}

fn replay(answer: KeptAnswer) -> Result<Response, Refusal> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).map_err(Refusal::internal)?;
    if let Some(media_type) = answer.media_type {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_str(&media_type).map_err(Refusal::internal)?);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
