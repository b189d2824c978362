//! Authenticator apps: offered, confirmed by a first code, removed.

use std::sync::Arc;

use ::factors::totp::Secret as TotpSecret;
use api::factors::{Proof, TotpCode, TotpOffer};
use api::{Code, Secret};
use axum::extract::State;
use http::StatusCode;
use store::UserId;

use super::{TOTP_BYTES, count, invalid, prove};
use crate::extract::{Caller, Json};
use crate::refusal::Refusal;
use crate::seen::Seen;
use crate::shared::{Shared, now};

/// How long a shown secret waits for its first code, in seconds.
const OFFER_LIFE: u64 = 900;
/// What authenticator apps show beside the account's name.
const ISSUER: &str = "Sealwright";

/// `POST /v1/me/totp`: a secret to be put into an app. The one in use stays until this one is confirmed.
pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Json(proof): Json<Proof>,
) -> Result<axum::Json<TotpOffer>, Refusal> {
    prove(&shared, &caller, proof).await?;
    let secret = TotpSecret::generate().map_err(Refusal::internal)?;
    let sealed = shared.sealing.seal(&context(&caller.user), secret.expose()).map_err(Refusal::internal)?;
    let expires_at = now().saturating_add(OFFER_LIFE);
    shared.store.offer_totp(&caller.user, &sealed, expires_at).await?;
    Ok(axum::Json(TotpOffer {
        secret: Secret::new(secret.spelled().to_string()),
        uri: Secret::new(secret.uri(ISSUER, &caller.name).to_string()),
        expires_at,
    }))
}

/// `PUT /v1/me/totp`: the first code; from now on a login needs one.
pub(super) async fn confirm(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    Json(request): Json<TotpCode>,
) -> Result<StatusCode, Refusal> {
    let none = || Refusal::new(Code::NotFound, "no secret waits for its first code: begin anew");
    let sealed = shared.store.offered_totp(&caller.user, now()).await?.ok_or_else(none)?;
    count(&shared, &caller.user).await?;
    let step = step(&shared, &caller.user, &sealed, &request.code)?.ok_or_else(invalid)?;
    let act = seen.done(&caller.user, "totp.add", &caller.user.to_string());
    if !shared.store.confirm_totp(&caller.user, &sealed, step, act).await? {
        return Err(none());
    }
    shared.store.factor_right(&caller.user).await?;
    tracing::info!(user = %caller.user, "authenticator app added");
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/me/totp`
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    Json(proof): Json<Proof>,
) -> Result<StatusCode, Refusal> {
    prove(&shared, &caller, proof).await?;
    let act = seen.done(&caller.user, "totp.remove", &caller.user.to_string());
    if !shared.store.remove_totp(&caller.user, act).await? {
        return Err(Refusal::new(Code::NotFound, "the account has no authenticator app"));
    }
    tracing::info!(user = %caller.user, "authenticator app removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Whether it is the app's code of about now, and the first time that it comes.
pub(super) async fn is_right(shared: &Shared, user: &UserId, code: &Secret) -> Result<bool, Refusal> {
    let Some(sealed) = shared.store.totp_secret(user).await? else { return Ok(false) };
    let Some(step) = step(shared, user, &sealed, code)? else { return Ok(false) };
    Ok(shared.store.use_totp_step(user, &sealed, step).await?)
}

fn step(shared: &Shared, user: &UserId, sealed: &str, code: &Secret) -> Result<Option<u64>, Refusal> {
    let opened = shared.sealing.open(&context(user), sealed).map_err(Refusal::internal)?;
    let secret = TotpSecret::from_bytes(&opened)
        .ok_or_else(|| Refusal::internal(store::StoreError::Corrupt { column: "secret" }))?;
    let code = code.expose();
    Ok(if code.len() <= TOTP_BYTES { secret.step_of(code, now()) } else { None })
}

fn context(user: &UserId) -> Vec<u8> {
    format!("totp, version 1: {user}").into_bytes()
}
