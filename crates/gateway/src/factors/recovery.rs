//! Recovery codes: a new set, shown once.

use std::sync::Arc;

use api::Secret;
use api::factors::{Proof, RecoveryCodes};
use axum::extract::State;
use names::Digest;
use store::UserId;

use super::{hash_of, prove};
use crate::extract::{Caller, Json};
use crate::refusal::Refusal;
use crate::seen::Seen;
use crate::shared::Shared;

/// `POST /v1/me/recovery-codes`: ten new ones; the older ones are void.
pub(super) async fn renew(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    Json(proof): Json<Proof>,
) -> Result<axum::Json<RecoveryCodes>, Refusal> {
    prove(&shared, &caller, proof).await?;
    let codes: Vec<Secret> = (0..::factors::recovery::CODES)
        .map(|_| Ok(Secret::new(::factors::recovery::generate()?.to_string())))
        .collect::<Result<_, ::factors::NoRandom>>()
        .map_err(Refusal::internal)?;
    let hashes: Vec<Digest> = codes.iter().filter_map(hash_of).collect();
    let act = seen.done(&caller.user, "recovery-codes.renew", &caller.user.to_string());
    shared.store.set_recovery_codes(&caller.user, &hashes, act).await?;
    tracing::info!(user = %caller.user, "recovery codes made");
    Ok(axum::Json(RecoveryCodes { codes }))
}

/// Whether it is one of the account's codes; it is none any more.
pub(super) async fn use_up(shared: &Shared, user: &UserId, code: &Secret) -> Result<bool, Refusal> {
    let Some(hash) = hash_of(code) else { return Ok(false) };
    let used = shared.store.use_recovery_code(user, &hash).await?;
    if used {
        tracing::info!(%user, "recovery code used");
    }
    Ok(used)
}
