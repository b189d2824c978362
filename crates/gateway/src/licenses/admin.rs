//! Licences, for admins: issue, change, look.

use std::sync::Arc;

use api::Code;
use api::licenses::{IssueLicense, License, LicenseEvents, LicenseList, LockToNode};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use licensing::{AkName, Entitlement, Facts, LicenseId, Plan, Transition};
use store::UserId;

use super::{IdPath, events_of, known, not_found, view};
use crate::extract::{Admin, Json, Page};
use crate::names::AccountName;
use crate::refusal::Refusal;
use crate::seen::Seen;
use crate::shared::{Shared, now, random};

type Answer = Result<axum::Json<License>, Refusal>;
type TwoPath = Result<Path<(String, String)>, PathRejection>;

/// `POST /v1/admin/licenses`
pub(super) async fn issue(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    Json(request): Json<IssueLicense>,
) -> Result<(StatusCode, axum::Json<License>), Refusal> {
    let holder = account(&shared, &request.holder).await?;
    let id = LicenseId::from_bytes(random()?);
    let act = seen.done(&admin.0.user, "license.issue", &id.to_string());
    let issued = shared.store.issue_license(id, &request.plan, &holder, request.node, act).await;
    let facts = issued.map_err(|error| match error {
        store::StoreError::NotFound => Refusal::new(Code::NotFound, "there is no such plan"),
        error => error.into(),
    })?;
    tracing::info!(license = %id, plan = %request.plan, holder = %holder, by = %admin.0.user, "license issued");
    Ok((StatusCode::CREATED, axum::Json(view(&facts, None, now()))))
}

/// `GET /v1/admin/licenses`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    _: Admin,
    page: Page<String>,
) -> Result<axum::Json<LicenseList>, Refusal> {
    let after = page.after().map_or("", String::as_str);
    let mut rows = shared.store.licenses(None, after, page.rows()).await?;
    let next_cursor = page.cut(&mut rows, |row| row.license.id.to_string())?;
    let licenses = rows.iter().map(|facts| view(facts, None, now())).collect();
    Ok(axum::Json(LicenseList { licenses, next_cursor }))
}

/// `GET /v1/admin/licenses/{id}`
pub(super) async fn one(State(shared): State<Arc<Shared>>, _: Admin, path: IdPath) -> Answer {
    Ok(axum::Json(view(&known(&shared, path).await?, None, now())))
}

/// `GET /v1/admin/licenses/{id}/events`
pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    _: Admin,
    page: Page<u64>,
    path: IdPath,
) -> Result<axum::Json<LicenseEvents>, Refusal> {
    let facts = known(&shared, path).await?;
    events_of(&shared, &facts.license.id, &page).await
}

/// `POST /v1/admin/licenses/{id}/suspend`
pub(super) async fn suspend(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    path: IdPath,
) -> Answer {
    change(&shared, (&admin, &seen, "license.suspend"), path, |license, _| license.suspend(now())).await
}

/// `POST /v1/admin/licenses/{id}/reinstate`
pub(super) async fn reinstate(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    path: IdPath,
) -> Answer {
    change(&shared, (&admin, &seen, "license.reinstate"), path, |license, _| license.reinstate()).await
}

/// `POST /v1/admin/licenses/{id}/renew`
pub(super) async fn renew(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    path: IdPath,
) -> Answer {
    change(&shared, (&admin, &seen, "license.renew"), path, |license, plan| license.renew(plan, now())).await
}

/// `POST /v1/admin/licenses/{id}/revoke`
pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    path: IdPath,
) -> Answer {
    change(&shared, (&admin, &seen, "license.revoke"), path, |license, _| Ok(license.revoke(now()))).await
}

/// `PUT /v1/admin/licenses/{id}/node`
pub(super) async fn lock(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    path: IdPath,
    Json(request): Json<LockToNode>,
) -> Answer {
    lock_to(&shared, (&admin, &seen, "license.lock"), path, Some(request.node)).await
}

/// `DELETE /v1/admin/licenses/{id}/node`
pub(super) async fn unlock(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    path: IdPath,
) -> Answer {
    lock_to(&shared, (&admin, &seen, "license.unlock"), path, None).await
}

async fn lock_to(shared: &Shared, act: Act<'_>, path: IdPath, node: Option<AkName>) -> Answer {
    change(shared, act, path, move |license, _| license.lock_to(node)).await
}

/// `PUT /v1/admin/licenses/{id}/users/{name}`
pub(super) async fn attach_user(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    path: TwoPath,
) -> Answer {
    let (id, user) = seat(&shared, path).await?;
    let act = seen.done(&admin.0.user, "license.seat.give", &id.to_string());
    let facts = shared.store.attach_user(&id, &user, act).await?;
    tracing::info!(license = %id, %user, by = %admin.0.user, "seat given");
    Ok(axum::Json(view(&facts, None, now())))
}

/// `DELETE /v1/admin/licenses/{id}/users/{name}`
pub(super) async fn detach_user(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    path: TwoPath,
) -> Answer {
    let (id, user) = seat(&shared, path).await?;
    let act = seen.done(&admin.0.user, "license.seat.take", &id.to_string());
    let facts = shared.store.detach_user(&id, &user, act).await?;
    tracing::info!(license = %id, %user, by = %admin.0.user, "seat taken");
    Ok(axum::Json(view(&facts, None, now())))
}

/// `PUT /v1/admin/licenses/{id}/entitlements/{app}`
pub(super) async fn attach_entitlement(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    path: TwoPath,
) -> Answer {
    let (id, entitlement) = entitlement(path)?;
    let act = seen.done(&admin.0.user, "license.entitlement.attach", &id.to_string());
    let facts = shared.store.attach_entitlement(&id, &entitlement, act).await?;
    tracing::info!(license = %id, %entitlement, by = %admin.0.user, "entitlement attached");
    Ok(axum::Json(view(&facts, None, now())))
}

/// `DELETE /v1/admin/licenses/{id}/entitlements/{app}`
pub(super) async fn detach_entitlement(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    path: TwoPath,
) -> Answer {
    let (id, entitlement) = entitlement(path)?;
    let act = seen.done(&admin.0.user, "license.entitlement.detach", &id.to_string());
    let facts = shared.store.detach_entitlement(&id, &entitlement, act).await?;
    tracing::info!(license = %id, %entitlement, by = %admin.0.user, "entitlement detached");
    Ok(axum::Json(view(&facts, None, now())))
}

/// Who does what, as the audit log will say.
type Act<'a> = (&'a Admin, &'a Seen, &'static str);

async fn change(
    shared: &Shared,
    (admin, seen, action): Act<'_>,
    path: IdPath,
    transition: impl FnOnce(licensing::License, &Plan) -> Transition + Send,
) -> Answer {
    let id: LicenseId = path.ok().and_then(|Path(text)| text.parse().ok()).ok_or_else(not_found)?;
    let act = seen.done(&admin.0.user, action, &id.to_string());
    let facts: Facts = shared.store.change_license(&id, act, transition).await?;
    tracing::info!(license = %id, by = %admin.0.user, action, "license changed");
    Ok(axum::Json(view(&facts, None, now())))
}

async fn seat(shared: &Shared, path: TwoPath) -> Result<(LicenseId, UserId), Refusal> {
    let Path((id, name)) = path.map_err(|_| not_found())?;
    let id = id.parse().map_err(|_| not_found())?;
    Ok((id, account(shared, &name).await?))
}

fn entitlement(path: TwoPath) -> Result<(LicenseId, Entitlement), Refusal> {
    let Path((id, app)) = path.map_err(|_| not_found())?;
    let unnamed = |_| Refusal::new(Code::NotFound, "an entitlement is an app's name, or *");
    Ok((id.parse().map_err(|_| not_found())?, app.parse().map_err(unnamed)?))
}

async fn account(shared: &Shared, name: &str) -> Result<UserId, Refusal> {
    let unknown = || Refusal::new(Code::NotFound, "there is no such account");
    let name: AccountName = name.parse().map_err(|_| unknown())?;
    Ok(shared.store.user_by_name(name.as_str()).await?.ok_or_else(unknown)?.id)
}
