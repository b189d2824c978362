//! What admins do: see accounts, disable and enable them. No route gives a role, so that nobody becomes more than they are (CVE-2024-41942); and
//! admins can't lock themselves out.

use std::sync::Arc;

use api::Code;
use api::accounts::{Account, Accounts};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use store::User;

use crate::extract::{Admin, Page};
use crate::names::AccountName;
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::seen::Seen;
use crate::shared::{Shared, now};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v1/admin/users", get(list))
        .route("/v1/admin/users/{name}/disable", post(disable))
        .route("/v1/admin/users/{name}/enable", post(enable))
}

/// `GET /v1/admin/users`
async fn list(
    State(shared): State<Arc<Shared>>,
    _admin: Admin,
    page: Page<String>,
) -> Result<axum::Json<Accounts>, Refusal> {
    let mut users = shared.store.users(page.after().map_or("", String::as_str), page.rows()).await?;
    let next_cursor = page.cut(&mut users, |user| user.name.clone())?;
    Ok(axum::Json(Accounts { users: users.into_iter().map(account).collect(), next_cursor }))
}

/// `POST /v1/admin/users/{name}/disable`: every session of the account ends at once.
async fn disable(
    State(shared): State<Arc<Shared>>,
    Admin(admin): Admin,
    seen: Seen,
    name: Result<Path<String>, PathRejection>,
) -> Result<axum::Json<Account>, Refusal> {
    let user = named(&shared, name).await?;
    if user.id == admin.user {
        return Err(Refusal::new(Code::OwnAccount, "another admin has to do this"));
    }
    let event = seen.done(&admin.user, "user.disable", &user.id.to_string());
    shared.store.disable_user(&user.id, now(), event).await?;
    tracing::info!(admin = %admin.user, user = %user.id, "account disabled");
    changed(&shared, &user).await
}

/// `POST /v1/admin/users/{name}/enable`
async fn enable(
    State(shared): State<Arc<Shared>>,
    Admin(admin): Admin,
    seen: Seen,
    name: Result<Path<String>, PathRejection>,
) -> Result<axum::Json<Account>, Refusal> {
    let user = named(&shared, name).await?;
    let event = seen.done(&admin.user, "user.enable", &user.id.to_string());
    shared.store.enable_user(&user.id, event).await?;
    tracing::info!(admin = %admin.user, user = %user.id, "account enabled");
    changed(&shared, &user).await
}

async fn named(shared: &Shared, name: Result<Path<String>, PathRejection>) -> Result<User, Refusal> {
    let missing = || Refusal::new(Code::NotFound, "there is no such account");
    let name: Option<AccountName> = name.ok().and_then(|Path(name)| name.parse().ok());
    shared.store.user_by_name(name.ok_or_else(missing)?.as_str()).await?.ok_or_else(missing)
}

async fn changed(shared: &Shared, user: &User) -> Result<axum::Json<Account>, Refusal> {
    let missing = || Refusal::new(Code::NotFound, "there is no such account");
    shared.store.user(&user.id).await?.map(account).map(axum::Json).ok_or_else(missing)
}

fn account(user: User) -> Account {
    Account {
        id: user.id.to_string(),
        name: user.name,
        role: user.role.as_str().to_owned(),
        created_at: user.created_at,
        disabled_at: user.disabled_at,
    }
}
