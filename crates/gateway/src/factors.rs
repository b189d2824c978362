//! Second factors: what a login asks for besides the password, and what a change of them needs.
//!
//! Every attempt is counted in the database before it is judged (CVE-2026-27801), whichever gateway it comes to, and whatever is right works once.

mod passkeys;
mod recovery;
mod totp;

use std::sync::Arc;

use api::factors::{Factors, Proof, SecondFactor};
use api::{Code, Secret};
use axum::extract::State;
use axum::routing::{delete, get, post};
use names::Digest;
use passwords::{Checked, Stored};
use store::{Attempt, UserId};

use crate::extract::Caller;
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::shared::{Shared, now};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v1/me/factors", get(list))
        .route("/v1/me/totp", post(totp::begin).put(totp::confirm).delete(totp::remove))
        .route("/v1/me/recovery-codes", post(recovery::renew))
        .route("/v1/me/passkeys/challenge", post(passkeys::begin))
        .route("/v1/me/passkeys", post(passkeys::add))
        .route("/v1/me/passkeys/{id}", delete(passkeys::remove))
        .route("/v1/sessions/passkey-challenge", post(passkeys::challenge))
        .route("/v1/sessions/passkey", post(passkeys::sign_in))
}

/// Longest text that is compared with a one-time code.
const TOTP_BYTES: usize = 16;

/// `GET /v1/me/factors`
async fn list(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<axum::Json<Factors>, Refusal> {
    let factors = shared.store.factors(&caller.user).await?;
    Ok(axum::Json(Factors {
        totp_since: shared.store.totp_since(&caller.user).await?,
        passkeys: shared.store.passkeys(&caller.user).await?.iter().map(passkeys::view).collect(),
        recovery_codes: factors.recovery_codes,
    }))
}

/// At a login, after the password was right: whether a second factor is needed, and whether it is right.
pub(crate) async fn check(
    shared: &Shared,
    user: &UserId,
    presented: Option<SecondFactor>,
) -> Result<(), Refusal> {
    let factors = shared.store.factors(user).await?;
    match presented {
        None if !factors.required() => Ok(()),
        None => Err(Refusal::new(Code::SecondFactorRequired, "send one of the account's second factors too")
            .factors(names_of(factors))),
        Some(presented) => {
            count_factor(shared, user, &presented).await?;
            judge(shared, user, factors, presented).await?;
            shared.store.factor_right(user).await?;
            Ok(())
        }
    }
}

/// Before a change of how the account is opened: the password or a second factor, given with this very request. A stolen session is not enough.
pub(crate) async fn prove(shared: &Shared, caller: &Caller, proof: Proof) -> Result<(), Refusal> {
    let needed = || {
        Refusal::new(Code::ProofRequired, "send the account's password or a second factor with the request")
    };
    match (proof.password, proof.second_factor) {
        (Some(password), None) => {
            count(shared, &caller.user).await?;
            let user = shared.store.user(&caller.user).await?.ok_or_else(needed)?;
            match shared.hasher.check(password, Stored::Account(&user.password_hash)).await? {
                Checked::Right | Checked::RightAndStale(_) => {}
                Checked::Wrong => return Err(needed()),
            }
        }
        (None, Some(presented)) => {
            let factors = shared.store.factors(&caller.user).await?;
            count_factor(shared, &caller.user, &presented).await?;
            judge(shared, &caller.user, factors, presented).await?;
        }
        (None, None) => return Err(needed()),
        (Some(_), Some(_)) => {
            return Err(Refusal::new(Code::Malformed, "send the password or a second factor, not both"));
        }
    }
    shared.store.factor_right(&caller.user).await?;
    Ok(())
}

fn names_of(factors: store::Factors) -> Vec<String> {
    let there = [
        (factors.totp, "totp"),
        (factors.passkeys > 0, "passkey"),
        (factors.recovery_codes > 0, "recovery_code"),
    ];
    there.into_iter().filter(|(there, _)| *there).map(|(_, name)| name.to_owned()).collect()
}

/// Counts an attempt, unless it is a recovery code: those are too long to be guessed, and whoever knows the password must not be able to keep
/// the owner out of them by wrong codes.
async fn count_factor(shared: &Shared, user: &UserId, presented: &SecondFactor) -> Result<(), Refusal> {
    match presented {
        SecondFactor::RecoveryCode(_) => Ok(()),
        SecondFactor::Totp(_) | SecondFactor::Passkey(_) => count(shared, user).await,
    }
}

/// The attempt counts as wrong until it was right.
async fn count(shared: &Shared, user: &UserId) -> Result<(), Refusal> {
    match shared.store.attempt_factor(user, now()).await? {
        Attempt::Allowed => Ok(()),
        Attempt::Blocked { until } => {
            tracing::warn!(%user, until, "second factors are blocked");
            Err(Refusal::new(Code::TooManyAttempts, "too many wrong second factors")
                .retry_after(until.saturating_sub(now()).max(1)))
        }
    }
}

async fn judge(
    shared: &Shared,
    user: &UserId,
    factors: store::Factors,
    presented: SecondFactor,
) -> Result<(), Refusal> {
    let right = match &presented {
        SecondFactor::Totp(code) => totp::is_right(shared, user, code).await?,
        // They stand in for a factor that the account has.
        SecondFactor::RecoveryCode(code) => {
            factors.required() && recovery::use_up(shared, user, code).await?
        }
        SecondFactor::Passkey(assertion) => passkeys::owner(shared, assertion).await? == Some(*user),
    };
    if right { Ok(()) } else { Err(invalid()) }
}

/// The same for a wrong code, a used one, and a kind that the account does not have.
pub(crate) fn invalid() -> Refusal {
    Refusal::new(Code::SecondFactorInvalid, "the second factor is not valid, or was used before")
}

fn hash_of(code: &Secret) -> Option<Digest> {
    ::factors::recovery::hash(code.expose())
}
