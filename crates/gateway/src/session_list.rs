//! A user's own sessions: listed, and ended one by one or all but this one. What is somebody else's is not there.

use std::sync::Arc;

use api::Code;
use api::accounts::{SessionEntry, Sessions, SessionsEnded};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use store::{SessionId, StoreError};

use crate::extract::Caller;
use crate::refusal::Refusal;
use crate::seen::Seen;
use crate::shared::{Shared, now};

/// `GET /v1/sessions`
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<axum::Json<Sessions>, Refusal> {
    let sessions = shared.store.sessions(&caller.user, now()).await?;
    let entry = |session: store::Session| SessionEntry {
        id: session.id.to_string(),
        client: session.client,
        bound: session.cnf.is_some(),
        current: session.id == caller.session,
        created_at: session.created_at,
        used_at: session.used_at,
        expires_at: session.expires_at,
    };
    Ok(axum::Json(Sessions { sessions: sessions.into_iter().map(entry).collect() }))
}

/// `DELETE /v1/sessions/{id}`
pub(crate) async fn end_one(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Refusal> {
    let id: Option<SessionId> = id.ok().and_then(|Path(id)| id.parse().ok());
    let id = id.ok_or_else(|| Refusal::new(Code::NotFound, "there is no such session"))?;
    let event = seen.done(&caller.user, "session.end", &id.to_string());
    shared.store.end_session(&caller.user, &id, now(), event).await?;
    tracing::info!(user = %caller.user, session = %id, "session ended");
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/sessions`: all but the one that asks.
pub(crate) async fn end_others(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
) -> Result<axum::Json<SessionsEnded>, Refusal> {
    let event = seen.done(&caller.user, "session.end_others", &caller.user.to_string());
    let ended = shared.store.end_other_sessions(&caller.user, &caller.session, now(), event).await?;
    tracing::info!(user = %caller.user, ended, "other sessions ended");
    Ok(axum::Json(SessionsEnded { ended }))
}

/// `DELETE /v1/sessions/current`: every token of the session ends with it, at once.
pub(crate) async fn sign_out(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
) -> Result<StatusCode, Refusal> {
    let event = seen.done(&caller.user, "session.end", &caller.session.to_string());
    match shared.store.end_session(&caller.user, &caller.session, now(), event).await {
        // Ended by another request meanwhile.
        Ok(()) | Err(StoreError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    tracing::info!(user = %caller.user, session = %caller.session, "signed out");
    Ok(StatusCode::NO_CONTENT)
}
