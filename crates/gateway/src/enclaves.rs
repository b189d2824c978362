//! Enclaves of the caller. What belongs to somebody else is not there: 404, as for a name that nobody has.

use std::sync::Arc;

use api::bounds::LOG_BYTES;
use api::enclaves::{CreateEnclave, Enclave, EnclaveList, EnclaveToken, State as EnclaveState};
use api::{Code, Secret};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use names::{EnclaveId, enclave_host};
use serde::Deserialize;
use store::{By, Desired, NewEnclave, StoreError};

use crate::controller::{ControllerError, no_capacity};
use crate::extract::{Caller, Json, Page};
use crate::names::EnclaveName;
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::seen::Seen;
use crate::shared::{Shared, now, random};
use crate::tokens::ENCLAVE_TOKEN_LIFE;
use crate::{apps, stages};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v1/enclaves", post(create).get(list))
        .route("/v1/enclaves/{name}", get(one).delete(remove))
        .route("/v1/enclaves/{name}/start", post(start))
        .route("/v1/enclaves/{name}/stop", post(stop))
        .route("/v1/enclaves/{name}/cancel", post(stop))
        .route("/v1/enclaves/{name}/token", post(token))
        .route("/v1/enclaves/{name}/logs", get(logs))
        .route("/v1/enclaves/{name}/stages", get(stages::follow))
}

type NamePath = Result<Path<String>, PathRejection>;

/// `POST /v1/enclaves`. The audit log is told in a write of its own: what the database refused is not in it.
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    Json(request): Json<CreateEnclave>,
) -> Result<(StatusCode, axum::Json<Enclave>), Refusal> {
    let name: EnclaveName = request.name.parse().map_err(|_| {
        Refusal::new(
            Code::InvalidName,
            "an enclave's name has 1 to 63 lower-case letters, digits and inner hyphens",
        )
    })?;
    let owner = caller.certificate()?.key;
    let idle_timeout = shared.lives.idle_timeout.choose(request.idle_timeout, "idle_timeout")?;
    let max_age = shared.lives.max_age.choose(request.max_age, "max_age")?;
    let app = apps::find(&shared, &request.app, request.version.as_ref()).await?;
    let id = EnclaveId::from_bytes(random()?);
    let enclave = NewEnclave {
        id,
        user: caller.user,
        user_name: caller.name.clone(),
        name: name.as_str().to_owned(),
        app: app.name,
        version: app.version,
        version_digest: app.digest,
        owner,
        host: enclave_host(name.as_str(), &caller.name),
        idle_timeout,
        max_age,
        trace: server::trace::parent(),
        created_at: now(),
    };
    refuse_when_full(&shared).await?;
    shared.store.count_start(&caller.user, None, &shared.lives.rates(), now()).await?;
    shared.store.create_enclave(&enclave, shared.quota).await?;
    tracing::info!(enclave = %id, user = %caller.user, digest = %app.digest, "enclave asked for");
    stages::bring_up(&shared, id);
    shared.store.audit(seen.done(&caller.user, "enclave.create", &id.to_string())).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(read(&shared, &id).await?)))
}

/// `GET /v1/enclaves`
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    page: Page<(u64, EnclaveId)>,
) -> Result<axum::Json<EnclaveList>, Refusal> {
    let mut rows = shared.store.enclaves_of(&caller.user, page.after(), page.rows()).await?;
    let next_cursor = page.cut(&mut rows, |row| (row.created_at, row.id))?;
    let queue = match rows.iter().any(|row| row.state == EnclaveState::Pending) {
        true => shared.controller.queue().await,
        false => None,
    };
    let enclaves = rows.into_iter().map(|row| {
        let place = queue.as_ref().and_then(|waiting| waiting.place(&row.id));
        view(&shared, row, place)
    });
    let enclaves = enclaves.collect();
    Ok(axum::Json(EnclaveList { enclaves, next_cursor }))
}

/// `GET /v1/enclaves/{name}`
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: NamePath,
) -> Result<axum::Json<Enclave>, Refusal> {
    let enclave = find(&shared, &caller, path).await?;
    Ok(axum::Json(shown(&shared, enclave).await))
}

/// `POST /v1/enclaves/{name}/start`; on one that runs or is on its way nothing changes.
pub(crate) async fn start(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: NamePath,
) -> Result<(StatusCode, axum::Json<Enclave>), Refusal> {
    let enclave = find(&shared, &caller, path).await?;
    let up = matches!(enclave.state, EnclaveState::Pending | EnclaveState::Starting | EnclaveState::Running);
    if up && enclave.desired == Desired::Running {
        return Ok((StatusCode::OK, axum::Json(shown(&shared, enclave).await)));
    }
    refuse_when_full(&shared).await?;
    shared.store.count_start(&caller.user, Some(&enclave.id), &shared.lives.rates(), now()).await?;
    shared.store.set_trace(&enclave.id, server::trace::parent().as_deref()).await?;
    shared.store.want_running(&enclave.id, shared.quota, now()).await?;
    tracing::info!(enclave = %enclave.id, user = %caller.user, "start asked for");
    stages::bring_up(&shared, enclave.id);
    Ok((StatusCode::ACCEPTED, axum::Json(read(&shared, &enclave.id).await?)))
}

/// `POST /v1/enclaves/{name}/stop` and `…/cancel`: the same, from every state and as often as one likes; answers when it has
/// stopped.
pub(crate) async fn stop(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: NamePath,
) -> Result<axum::Json<Enclave>, Refusal> {
    let enclave = find(&shared, &caller, path).await?;
    let (before, after) = shared.store.want_stopped(&enclave.id, now()).await?;
    tracing::info!(enclave = %enclave.id, user = %caller.user, "stop asked for");
    // What no controller ever had needs none to stop.
    let is_down = after.state == EnclaveState::Stopped && before.controller.is_none();
    if !is_down && after.state != EnclaveState::Deleting {
        shared.controller.stop(&enclave.id).await?;
    }
    Ok(axum::Json(read(&shared, &enclave.id).await?))
}

/// `?orphan=true`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removal {
    #[serde(default)]
    orphan: bool,
}

/// `DELETE /v1/enclaves/{name}`: 204 when it is gone, 202 when it will be and is `deleting` until then. With `orphan` its user
/// does not wait for that: the name is free at once, and what is left is removed when its controller is there again.
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    path: NamePath,
    query: Result<Query<Removal>, QueryRejection>,
) -> Result<StatusCode, Refusal> {
    let Query(removal) = query.map_err(|error| Refusal::new(Code::Malformed, error.body_text()))?;
    let enclave = find(&shared, &caller, path).await?;
    shared.store.want_deleted(&enclave.id, now()).await?;
    tracing::info!(enclave = %enclave.id, user = %caller.user, orphan = removal.orphan, "deletion asked for");
    let told = |action| seen.done(&caller.user, action, &enclave.id.to_string());
    shared.store.audit(told("enclave.delete")).await?;
    if !shared.store.remove_enclave(&enclave.id, By::User).await? {
        match shared.controller.delete(&enclave.id).await {
            Ok(()) | Err(ControllerError::NotFound | ControllerError::Unavailable(_)) => {}
            Err(ControllerError::Deadline | ControllerError::NoCapacity) => {}
            Err(error @ (ControllerError::WrongState(_) | ControllerError::Refused(_))) => {
                return Err(error.into());
            }
        }
    }
    if shared.store.enclave(&enclave.id).await?.is_none() {
        return Ok(StatusCode::NO_CONTENT);
    }
    if removal.orphan {
        match shared.store.orphan(&enclave.id, now()).await {
            Ok(()) => shared.store.audit(told("enclave.orphan")).await?,
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        return Ok(StatusCode::NO_CONTENT);
    }
    Ok(StatusCode::ACCEPTED)
}

/// `GET /v1/enclaves/{name}/logs`: the app's own output, as text whatever it is.
pub(crate) async fn logs(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: NamePath,
) -> Result<impl IntoResponse, Refusal> {
    let enclave = find(&shared, &caller, path).await?;
    let output = shared.controller.logs(&enclave.id, LOG_BYTES).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], output))
}

/// `POST /v1/enclaves/{name}/token`: only for the owner's key, because the enclave lets nobody else in.
pub(crate) async fn token(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: NamePath,
) -> Result<axum::Json<EnclaveToken>, Refusal> {
    let enclave = find(&shared, &caller, path).await?;
    let certificate = caller.certificate()?;
    if certificate.key != enclave.owner {
        return Err(Refusal::new(Code::NotTheOwner, "the enclave was created with another key"));
    }
    let user = (&caller.user, caller.name.as_str());
    let token = shared.tokens.for_enclave(user, &enclave.id, &certificate.thumbprint, now())?;
    Ok(axum::Json(EnclaveToken { token: Secret::new(token), expires_in: ENCLAVE_TOKEN_LIFE }))
}

/// The caller's enclave of this name. Every route that names an enclave goes through here.
pub(crate) async fn find(
    shared: &Shared,
    caller: &Caller,
    path: NamePath,
) -> Result<store::Enclave, Refusal> {
    let name: Option<EnclaveName> = path.ok().and_then(|Path(text)| text.parse().ok());
    let enclave = match name {
        Some(name) => shared.store.enclave_of(&caller.user, name.as_str()).await?,
        None => None,
    };
    enclave.ok_or_else(not_found)
}

async fn read(shared: &Shared, id: &EnclaveId) -> Result<Enclave, Refusal> {
    let enclave = shared.store.enclave(id).await?.ok_or_else(not_found)?;
    Ok(shown(shared, enclave).await)
}

/// The enclave with its place in the queue, while it waits there.
async fn shown(shared: &Shared, enclave: store::Enclave) -> Enclave {
    let place = match enclave.state {
        EnclaveState::Pending => shared.controller.place(&enclave.id).await,
        _ => None,
    };
    view(shared, enclave, place)
}

pub(crate) fn view(shared: &Shared, enclave: store::Enclave, place: Option<(u64, u64)>) -> Enclave {
    Enclave {
        id: enclave.id,
        name: enclave.name,
        app: enclave.app,
        version: enclave.version,
        version_digest: enclave.version_digest,
        state: enclave.state,
        reason: enclave.reason,
        cause: enclave.cause,
        message: enclave.message,
        queue_position: place.map(|(position, _)| position),
        queue_size: place.map(|(_, size)| size),
        stops_at: enclave.stops_at,
        stop_reason: enclave.stop_reason,
        idle_timeout: enclave.idle_timeout,
        max_age: enclave.max_age,
        incarnation: enclave.incarnation,
        host: enclave.host,
        edge: shared.edge.clone(),
        owner: enclave.owner,
        created_at: enclave.created_at,
    }
}

/// A full node says so before anything is written; a controller that does not answer is another matter.
async fn refuse_when_full(shared: &Shared) -> Result<(), Refusal> {
    match shared.controller.queue().await {
        Some(waiting) if waiting.is_full => Err(no_capacity()),
        Some(_) | None => Ok(()),
    }
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such enclave")
}
