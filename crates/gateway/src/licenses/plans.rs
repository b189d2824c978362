//! Plans, for admins. They never change: other terms are another plan.

use std::sync::Arc;

use api::Code;
use api::licenses::{CreatePlan, Plan, PlanList};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use licensing::PlanCode;

use crate::extract::{Admin, Json, Page};
use crate::refusal::Refusal;
use crate::seen::Seen;
use crate::shared::{Shared, now};

type CodePath = Result<Path<String>, PathRejection>;

/// `POST /v1/admin/plans`
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    Json(request): Json<CreatePlan>,
) -> Result<(StatusCode, axum::Json<Plan>), Refusal> {
    request.terms.check().map_err(|error| Refusal::new(Code::InvalidTerms, error.to_string()))?;
    let plan =
        licensing::Plan { code: request.code, terms: request.terms, created_at: now(), retired_at: None };
    let act = seen.done(&admin.0.user, "plan.create", plan.code.as_str());
    shared.store.create_plan(&plan, act).await?;
    tracing::info!(plan = %plan.code, by = %admin.0.user, "plan made");
    Ok((StatusCode::CREATED, axum::Json(view(plan))))
}

/// `GET /v1/admin/plans`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    _: Admin,
    page: Page<String>,
) -> Result<axum::Json<PlanList>, Refusal> {
    let after = page.after().map_or("", String::as_str);
    let mut rows = shared.store.plans(after, page.rows()).await?;
    let next_cursor = page.cut(&mut rows, |plan| plan.code.to_string())?;
    Ok(axum::Json(PlanList { plans: rows.into_iter().map(view).collect(), next_cursor }))
}

/// `GET /v1/admin/plans/{code}`
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    _: Admin,
    path: CodePath,
) -> Result<axum::Json<Plan>, Refusal> {
    let plan = shared.store.plan(&code(path)?).await?.ok_or_else(not_found)?;
    Ok(axum::Json(view(plan)))
}

/// `POST /v1/admin/plans/{code}/retire`
pub(super) async fn retire(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
    path: CodePath,
) -> Result<axum::Json<Plan>, Refusal> {
    let code = code(path)?;
    let act = seen.done(&admin.0.user, "plan.retire", code.as_str());
    let plan = shared.store.retire_plan(&code, act).await?;
    tracing::info!(plan = %plan.code, by = %admin.0.user, "plan retired");
    Ok(axum::Json(view(plan)))
}

fn code(path: CodePath) -> Result<PlanCode, Refusal> {
    path.ok().and_then(|Path(text)| text.parse().ok()).ok_or_else(not_found)
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such plan")
}

fn view(plan: licensing::Plan) -> Plan {
    let licensing::Plan { code, terms, created_at, retired_at } = plan;
    Plan { code, terms, created_at, retired_at }
}
