//! Accounts.

use std::sync::Arc;

use api::Code;
use api::accounts::{Credentials, PasswordChange, User};
use axum::extract::State;
use axum::routing::{get, post, put};
use http::StatusCode;
use passwords::{Checked, Stored};
use store::{NewPassword, Role, StoreError, UserId};

use crate::certificate::Peer;
use crate::extract::{Caller, Json, OpenJson};
use crate::names::AccountName;
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::seen::Seen;
use crate::shared::{Shared, now, random};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v1/users", post(sign_up))
        .route("/v1/me", get(me))
        .route("/v1/me/password", put(change_password))
}

/// `POST /v1/users`
pub(crate) async fn sign_up(
    State(shared): State<Arc<Shared>>,
    seen: Seen,
    Json(credentials): OpenJson<Credentials>,
) -> Result<(StatusCode, axum::Json<User>), Refusal> {
    if credentials.second_factor.is_some() {
        return Err(Refusal::new(Code::Malformed, "a new account has no second factor"));
    }
    let name: AccountName = credentials.name.parse().map_err(|_| {
        Refusal::new(
            Code::InvalidName,
            "a name has 1 to 64 of a-z, 0-9, dot, underscore and hyphen, begins with a letter or a digit, and may hold one @",
        )
    })?;
    shared.count_sign_up(&seen).await?;
    // Hashed before the name is looked at: the answer for a taken name takes as long.
    let password_hash = shared.hasher.hash_new(credentials.password, name.as_str()).await?;
    let id = UserId::from_bytes(random()?);
    let name = name.as_str().to_owned();
    let user =
        store::User { id, name, password_hash, role: Role::User, disabled_at: None, created_at: now() };
    shared.store.sign_up(&user, seen.done(&id, "user.sign_up", &id.to_string())).await?;
    tracing::info!(user = %id, "signed up");
    Ok((StatusCode::CREATED, axum::Json(User { id: id.to_string(), name: user.name })))
}

/// `GET /v1/me`
pub(crate) async fn me(caller: Caller) -> axum::Json<User> {
    axum::Json(User { id: caller.user.to_string(), name: caller.name })
}

/// `PUT /v1/me/password`: with the old one, which is counted as a login is. Every other session ends, with its refresh token, so that whoever had the
/// old password is out (CVE-2026-40934, CVE-2026-43911).
pub(crate) async fn change_password(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    peer: Peer,
    seen: Seen,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode, Refusal> {
    let gone = || Refusal::new(Code::SessionRevoked, "log in again");
    let user = shared.store.user(&caller.user).await?.ok_or_else(gone)?;
    let name = user.name.parse::<AccountName>().ok();
    let certificate = peer.certificate().map(|certificate| &certificate.thumbprint);
    let attempt =
        shared.attempt(&seen, name.as_ref(), Some(&user.id), certificate, &change.old_password).await?;
    let subject = user.id.to_string();
    match shared.hasher.check(change.old_password, Stored::Account(&user.password_hash)).await? {
        Checked::Right | Checked::RightAndStale(_) => {}
        Checked::Wrong => {
            shared.was_wrong(&attempt).await?;
            let code = Code::WrongPassword;
            shared
                .store
                .audit(seen.event(Some(&user.id), "password.change", &subject, code.as_str()))
                .await?;
            return Err(Refusal::new(code, "the old password is wrong"));
        }
    }
    let hash = shared.hasher.hash_new(change.new_password, &user.name).await?;
    let new =
        NewPassword { user: &user.id, checked: &user.password_hash, hash: &hash, keep: &caller.session };
    match shared.store.change_password(&new, now(), seen.done(&user.id, "password.change", &subject)).await {
        Ok(()) => {}
        // Changed by somebody else a moment ago, who has ended this session.
        Err(StoreError::WrongState) => return Err(gone()),
        Err(error) => return Err(error.into()),
    }
    shared.store.forgive(attempt.bucket()).await?;
    tracing::info!(user = %user.id, "password changed");
    Ok(StatusCode::NO_CONTENT)
}
