//! The page on which a person lets a device in: files of ours, under a policy that lets the browser load and run nothing else.
//!
//! It is opened by GET and changes nothing by that; what it does, it does by the API's routes with a token that it keeps in memory.

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, header};

use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/device", get(page))
        .route("/device/page.css", get(style))
        .route("/device/page.js", get(script))
        .route("/device/seal.svg", get(seal))
}

/// Nothing inline, nothing from elsewhere, no frame around it, no form that is sent by the browser itself.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
);

/// `GET /device`
pub(crate) async fn page() -> Response {
    file("text/html; charset=utf-8", include_str!("page/device.html"))
}

async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("page/page.css"))
}

async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("page/page.js"))
}

async fn seal() -> Response {
    file("image/svg+xml", include_str!("page/seal.svg"))
}

fn file(media: &'static str, text: &'static str) -> Response {
    let name = HeaderName::from_static;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (name("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (name("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ];
    (headers, text).into_response()
}
