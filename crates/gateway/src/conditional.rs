//! `ETag` and `If-None-Match` (RFC 9110, 8.8.3 and 13.1.2): a JSON answer to a GET that the caller has already is a 304 without a body.
//!
//! The tag is the hash of the body, so it changes exactly when what was read changes.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use names::Digest;

use crate::extract::media_type;

/// Answers up to this size are tagged.
const ANSWER_BYTES: usize = 32 << 20;
/// May be stored by the one who asked, who asks again each time.
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The layer around all routes.
pub(crate) async fn tag(request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect::<Vec<_>>();
    let response = next.run(request).await;
    let is_json = media_type(response.headers()).is_some_and(|media| media.ends_with("json"));
    if response.status() != StatusCode::OK || !is_json {
        return response;
    }
    let Some((mut parts, body, tag)) = tagged(response).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let is_known = known.iter().any(|header| names(header, &tag));
    set(&mut parts.headers, &tag);
    if !is_known {
        return Response::from_parts(parts, Body::from(body));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}

/// An answer in its parts, with the tag of its body.
pub(crate) async fn tagged(response: Response) -> Option<(Parts, Bytes, String)> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES).collect().await.ok()?.to_bytes();
    let tag = format!("\"{}\"", Digest::of(&body));
    Some((parts, body, tag))
}

/// The weak comparison (RFC 9110, 13.1.2).
fn names(header: &HeaderValue, tag: &str) -> bool {
    let Ok(text) = header.to_str() else { return false };
    text.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

fn set(headers: &mut HeaderMap, tag: &str) {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
        headers.insert(header::CACHE_CONTROL, REVALIDATE);
    }
}
