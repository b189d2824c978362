//! Accounts.

use std::sync::Arc;

use api::accounts::{Credentials, User};
use api::bounds::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};
use api::{Code, Secret};
use axum::extract::State;
use axum::routing::{get, post};
use http::StatusCode;
use store::UserId;

use crate::extract::{Caller, Json};
use crate::names::AccountName;
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::shared::{Shared, now, random};

pub(crate) fn routes() -> Routes {
    Routes::new().route("/v1/users", post(sign_up)).route("/v1/me", get(me))
}

/// `POST /v1/users`
pub(crate) async fn sign_up(
    State(shared): State<Arc<Shared>>,
    Json(credentials): Json<Credentials>,
) -> Result<(StatusCode, axum::Json<User>), Refusal> {
    let name: AccountName = credentials.name.parse().map_err(|_| {
        Refusal::new(
            Code::InvalidName,
            "a name has 1 to 64 of a-z, 0-9, dot, underscore and hyphen, begins with a letter or a digit, and may hold one @",
        )
    })?;
    if !is_acceptable(&credentials.password) {
        let text = format!(
            "a password has at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes"
        );
        return Err(Refusal::new(Code::InvalidPassword, text));
    }
    // Hashed before the name is looked at: the answer for a taken name takes as long.
    let password_hash = shared.hasher.hash(credentials.password).await?;
    let id = UserId::from_bytes(random()?);
    let user = store::User { id, name: name.as_str().to_owned(), password_hash, created_at: now() };
    shared.store.create_user(&user).await?;
    tracing::info!(user = %id, "signed up");
    Ok((StatusCode::CREATED, axum::Json(User { id: id.to_string(), name: user.name })))
}

/// `GET /v1/me`
pub(crate) async fn me(caller: Caller) -> axum::Json<User> {
    axum::Json(User { id: caller.user.to_string(), name: caller.name })
}

/// NIST SP 800-63B-4: a minimum in characters, a maximum, nothing about which characters.
pub(crate) fn is_acceptable(password: &Secret) -> bool {
    let text = password.expose();
    text.len() <= PASSWORD_BYTES_MAX && text.chars().count() >= PASSWORD_CHARS_MIN
}
