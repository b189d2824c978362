//! What is there without an account: health, the key set, the API's document, and the answers to paths and methods that there are not.

use std::sync::Arc;

use api::Code;
use api::accounts::Health;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::CONTENT_TYPE;

use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::shared::Shared;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v1/health", get(health))
        .route("/v1/openapi.json", get(document))
        .route("/.well-known/jwks.json", get(key_set))
}

/// What this API promises; made by `cargo xtask codegen`.
const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json"));

pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok".into() })
}

pub(crate) async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}

/// RFC 7517, 8.5.2
pub(crate) async fn key_set(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/jwk-set+json")], shared.tokens.key_set())
}

pub(crate) async fn no_such_route() -> Refusal {
    Refusal::new(Code::NoSuchRoute, "there is no such path")
}

pub(crate) async fn method_not_allowed() -> Refusal {
    Refusal::new(Code::MethodNotAllowed, "see the Allow header")
}
