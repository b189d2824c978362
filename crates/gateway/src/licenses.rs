//! Licences: what their holders and users see and do. What belongs to others is not there: 404, as for an id that nobody has.

mod admin;
mod files;
mod plans;

use std::collections::BTreeSet;
use std::sync::Arc;

use api::Code;
use api::licenses::{
    Heartbeat, License, LicenseEvent, LicenseEvents, LicenseList, Ping, Validate, Validation,
};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::{delete, get, post, put};
use licensing::{EnclaveScope, Facts, LicenseId, Scope, TransitionError, validate};

use crate::enclaves;
use crate::extract::{Caller, Json, Page};
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::seen::Seen;
use crate::shared::{Shared, now};

pub(crate) use files::LicenseSigner;

/// A use is remembered to within this many seconds: not every look is a write.
const USED_EVERY: u64 = 3600;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/.well-known/license-keys.json", get(files::keys))
        .route("/v1/licenses", get(list))
        .route("/v1/licenses/{id}", get(one))
        .route("/v1/licenses/{id}/events", get(events))
        .route("/v1/licenses/{id}/validate", post(validation))
        .route("/v1/licenses/{id}/check-in", post(check_in))
        .route("/v1/licenses/{id}/checkout", post(files::check_out))
        .route("/v1/licenses/{id}/heartbeat", post(heartbeat))
        .route("/v1/admin/plans", post(plans::create).get(plans::list))
        .route("/v1/admin/plans/{code}", get(plans::one))
        .route("/v1/admin/plans/{code}/retire", post(plans::retire))
        .route("/v1/admin/licenses", post(admin::issue).get(admin::list))
        .route("/v1/admin/licenses/{id}", get(admin::one))
        .route("/v1/admin/licenses/{id}/events", get(admin::events))
        .route("/v1/admin/licenses/{id}/suspend", post(admin::suspend))
        .route("/v1/admin/licenses/{id}/reinstate", post(admin::reinstate))
        .route("/v1/admin/licenses/{id}/renew", post(admin::renew))
        .route("/v1/admin/licenses/{id}/revoke", post(admin::revoke))
        .route("/v1/admin/licenses/{id}/node", put(admin::lock).delete(admin::unlock))
        .route("/v1/admin/licenses/{id}/users/{name}", put(admin::attach_user).delete(admin::detach_user))
        .route(
            "/v1/admin/licenses/{id}/entitlements/{app}",
            put(admin::attach_entitlement).delete(admin::detach_entitlement),
        )
        .route("/v1/admin/license-keys/current", delete(files::rotate))
}

type IdPath = Result<Path<String>, PathRejection>;

/// `GET /v1/licenses`
async fn list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    page: Page<String>,
) -> Result<axum::Json<LicenseList>, Refusal> {
    let after = page.after().map_or("", String::as_str);
    let mut rows = shared.store.licenses(Some(&caller.user), after, page.rows()).await?;
    let next_cursor = page.cut(&mut rows, |row| row.license.id.to_string())?;
    let licenses = rows.iter().map(|facts| view(facts, Some(&caller.user.to_string()), now())).collect();
    Ok(axum::Json(LicenseList { licenses, next_cursor }))
}

/// `GET /v1/licenses/{id}`
async fn one(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: IdPath,
) -> Result<axum::Json<License>, Refusal> {
    let facts = find(&shared, &caller, path).await?;
    Ok(axum::Json(view(&facts, Some(&caller.user.to_string()), now())))
}

/// `GET /v1/licenses/{id}/events`: for the holder; others with a seat would learn of each other.
async fn events(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    page: Page<u64>,
    path: IdPath,
) -> Result<axum::Json<LicenseEvents>, Refusal> {
    let facts = held(&shared, &caller, path).await?;
    events_of(&shared, &facts.license.id, &page).await
}

/// `POST /v1/licenses/{id}/validate`
async fn validation(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: IdPath,
    Json(request): Json<Validate>,
) -> Result<axum::Json<Validation>, Refusal> {
    let facts = find(&shared, &caller, path).await?;
    let enclave = match request.enclave {
        Some(name) => Some(lease_of(&shared, &caller, &facts.license.id, name).await?),
        None => None,
    };
    let Validate { plan, node, entitlements, .. } = request;
    let scope = Scope { plan, node, entitlements, enclave, user: Some(caller.user.to_string()) };
    let judged = validate(Some(&facts), &scope, now());
    let used = facts.license.used_at.unwrap_or(0);
    if used.saturating_add(USED_EVERY) <= now() {
        shared.store.use_license(&facts.license.id, None, now()).await?;
    }
    Ok(axum::Json(Validation {
        valid: judged.valid,
        code: judged.code.as_str().into(),
        detail: judged.detail,
    }))
}

/// `POST /v1/licenses/{id}/check-in`
async fn check_in(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    path: IdPath,
) -> Result<axum::Json<License>, Refusal> {
    let facts = held(&shared, &caller, path).await?;
    let act = seen.done(&caller.user, "license.check-in", &facts.license.id.to_string());
    let done =
        shared.store.change_license(&facts.license.id, act, |license, _| license.check_in(now())).await?;
    Ok(axum::Json(view(&done, Some(&caller.user.to_string()), now())))
}

/// `POST /v1/licenses/{id}/heartbeat`
async fn heartbeat(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: IdPath,
    Json(request): Json<Ping>,
) -> Result<axum::Json<Heartbeat>, Refusal> {
    let facts = find(&shared, &caller, path).await?;
    let enclave = enclaves::find(&shared, &caller, Ok(Path(request.enclave))).await?;
    let pinged = shared.store.ping_lease(&facts.license.id, &enclave.id, now()).await?;
    let next_by = pinged.rule.zip(pinged.pinged_at).map(|(rule, at)| at.saturating_add(rule.interval));
    Ok(axum::Json(Heartbeat { status: pinged.status, next_by }))
}

async fn lease_of(
    shared: &Shared,
    caller: &Caller,
    license: &LicenseId,
    enclave: String,
) -> Result<EnclaveScope, Refusal> {
    let enclave = enclaves::find(shared, caller, Ok(Path(enclave))).await?;
    let lease = shared.store.lease(&enclave.id).await?.filter(|lease| lease.license == *license);
    Ok(lease.map_or(EnclaveScope::Elsewhere, |lease| EnclaveScope::Here(lease.life)))
}

/// The licence of this id that the caller holds or has a seat on.
async fn find(shared: &Shared, caller: &Caller, path: IdPath) -> Result<Facts, Refusal> {
    let user = caller.user.to_string();
    let facts = known(shared, path).await?;
    let visible = facts.license.holder == user || facts.seats.contains(&user);
    if visible { Ok(facts) } else { Err(not_found()) }
}

/// The licence of this id that the caller holds.
async fn held(shared: &Shared, caller: &Caller, path: IdPath) -> Result<Facts, Refusal> {
    let facts = known(shared, path).await?;
    if facts.license.holder == caller.user.to_string() { Ok(facts) } else { Err(not_found()) }
}

async fn known(shared: &Shared, path: IdPath) -> Result<Facts, Refusal> {
    let id: Option<LicenseId> = path.ok().and_then(|Path(text)| text.parse().ok());
    let facts = match id {
        Some(id) => shared.store.license(&id).await?,
        None => None,
    };
    facts.ok_or_else(not_found)
}

async fn events_of(
    shared: &Shared,
    id: &LicenseId,
    page: &Page<u64>,
) -> Result<axum::Json<LicenseEvents>, Refusal> {
    let mut rows = shared.store.license_events(id, page.after().copied().unwrap_or(0), page.rows()).await?;
    let next_cursor = page.cut(&mut rows, |row| row.seq)?;
    let event = |row: store::LicenseEvent| LicenseEvent {
        seq: row.seq,
        at: row.at,
        event: row.event,
        subject: row.subject,
    };
    Ok(axum::Json(LicenseEvents { events: rows.into_iter().map(event).collect(), next_cursor }))
}

/// A licence as `viewer` sees it; `None` is an admin.
fn view(facts: &Facts, viewer: Option<&str>, now: u64) -> License {
    let Facts { license, plan, seats, .. } = facts;
    let all = viewer.is_none_or(|viewer| viewer == license.holder);
    let users: BTreeSet<String> =
        seats.iter().filter(|seat| all || viewer == Some(seat.as_str())).cloned().collect();
    License {
        id: license.id,
        plan: plan.code.clone(),
        status: license.status(plan, now),
        holder: license.holder.clone(),
        users,
        seats_used: u32::try_from(seats.len()).unwrap_or(u32::MAX),
        seats: plan.terms.seats,
        enclaves_used: facts.enclaves,
        enclaves: plan.terms.enclaves,
        entitlements: facts.all_entitlements().cloned().collect(),
        node: license.node,
        issued_at: license.issued_at,
        expires_at: license.expires_at,
        ends_at: license.ends_at(plan),
        check_in_by: plan.terms.check_in.map(|interval| license.checked_in_at.saturating_add(interval)),
        heartbeat_interval: plan.terms.heartbeat.map(|rule| rule.interval),
    }
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such license")
}

impl From<TransitionError> for Refusal {
    fn from(error: TransitionError) -> Self {
        Self::new(Code::LicenseState, error.to_string())
    }
}
