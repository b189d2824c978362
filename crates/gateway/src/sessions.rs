//! Sessions: log in, and exchange refresh tokens.
//!
//! Of many exchanges of one refresh token exactly one wins, and every later one ends the session. There is no time of grace in which a second one gets
//! the same answer: a client whose answer was lost logs in again, while a thief gets nothing for being quick.

use std::sync::Arc;
use std::time::Duration;

use api::accounts::{Credentials, Refresh, Tokens, User};
use api::bounds::TOKEN_BYTES;
use api::{Code, Secret};
use axum::extract::State;
use axum::routing::{delete, post};
use base64ct::{Base64UrlUnpadded, Encoding};
use names::Digest;
use passwords::{Checked, Stored};
use server::telemetry::chain;
use store::{NewSession, Proof, Rotation, SessionId, StoreError, UserId};

use crate::certificate::Peer;
use crate::extract::{Json, OpenJson};
use crate::factors;
use crate::names::AccountName;
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::seen::Seen;
use crate::session_list;
use crate::shared::{Shared, now, random};
use crate::tokens::SESSION_TOKEN_LIFE;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v1/sessions", post(log_in).get(session_list::list).delete(session_list::end_others))
        .route("/v1/sessions/refresh", post(refresh))
        .route("/v1/sessions/current", delete(session_list::sign_out))
        .route("/v1/sessions/{id}", delete(session_list::end_one))
}

/// Life of a session in seconds; refreshing does not make it longer.
const SESSION_LIFE: u64 = 48 * 3600;
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// `POST /v1/sessions`
pub(crate) async fn log_in(
    State(shared): State<Arc<Shared>>,
    peer: Peer,
    seen: Seen,
    Json(credentials): OpenJson<Credentials>,
) -> Result<axum::Json<Tokens>, Refusal> {
    let wrong = || Refusal::new(Code::BadCredentials, "wrong name or password");
    let name = credentials.name.parse::<AccountName>().ok();
    let user = match &name {
        Some(name) => shared.store.user_by_name(name.as_str()).await?,
        None => None,
    };
    let id = user.as_ref().map(|user| &user.id);
    let certificate = peer.certificate().map(|certificate| &certificate.thumbprint);
    let attempt = shared.attempt(&seen, name.as_ref(), id, certificate, &credentials.password).await?;
    let stored = match &user {
        Some(user) => Stored::Account(&user.password_hash),
        None => Stored::Nobody(name.as_ref().map_or("", AccountName::as_str)),
    };
    let rehashed = match shared.hasher.check(credentials.password, stored).await? {
        Checked::Right => None,
        Checked::RightAndStale(hash) => Some(hash),
        Checked::Wrong => {
            // A repeat is noted no more than it is counted: a forgotten client sends it for ever.
            if !shared.was_wrong(&attempt).await? {
                refused(&shared, &seen, user.as_ref(), Code::BadCredentials);
            }
            return Err(wrong());
        }
    };
    let user = user.ok_or_else(wrong)?;
    if user.disabled_at.is_some() {
        refused(&shared, &seen, Some(&user), Code::AccountDisabled);
        return Err(Refusal::new(Code::AccountDisabled, "ask the operator"));
    }
    if let Err(refusal) = factors::check(&shared, &user.id, credentials.second_factor).await {
        // The password was right; second factors are counted by themselves.
        shared.store.forgive(attempt.bucket()).await?;
        refused(&shared, &seen, Some(&user), refusal.code());
        return Err(refusal);
    }
    let proof = Proof::Password {
        checked: &user.password_hash,
        rehashed: rehashed.as_deref(),
        bucket: attempt.bucket(),
    };
    open(&shared, &user, proof, &seen, certificate.copied(), u64::MAX).await.map(axum::Json)
}

/// Notes in the audit log that a login to an account was refused; names that nobody has leave nothing there, so that it can't be filled with them.
fn refused(shared: &Shared, seen: &Seen, user: Option<&store::User>, code: Code) {
    if let Some(user) = user {
        let subject = user.id.to_string();
        shared.refused_logins.note(seen.event(None, "session.open", &subject, code.as_str()));
    }
}

/// A new session of somebody who has proved to be this user, with its first tokens. It ends at `no_later_than` at the latest (unix seconds).
pub(crate) async fn open(
    shared: &Shared,
    user: &store::User,
    proof: Proof<'_>,
    seen: &Seen,
    cnf: Option<Digest>,
    no_later_than: u64,
) -> Result<Tokens, Refusal> {
    let (refresh_token, refresh_hash) = new_refresh_token()?;
    let session = NewSession {
        id: SessionId::from_bytes(random()?),
        user: user.id,
        refresh_hash,
        cnf,
        client: seen.client.clone(),
        created_at: now(),
        expires_at: now().saturating_add(SESSION_LIFE).min(no_later_than),
    };
    let event = seen.done(&user.id, "session.open", &session.id.to_string());
    match shared.store.open_session(&session, proof, event).await {
        Ok(()) => {}
        // Between the check and now the password was changed, or the account disabled.
        Err(StoreError::WrongState) => {
            return Err(Refusal::new(Code::BadCredentials, "wrong name or password"));
        }
        Err(error) => return Err(error.into()),
    }
    tracing::info!(user = %user.id, session = %session.id, bound = session.cnf.is_some(), "logged in");
    answer(shared, &user.id, user.name.clone(), &session.id, session.cnf.as_ref(), refresh_token)
}

/// `POST /v1/sessions/refresh`
pub(crate) async fn refresh(
    State(shared): State<Arc<Shared>>,
    peer: Peer,
    Json(request): OpenJson<Refresh>,
) -> Result<axum::Json<Tokens>, Refusal> {
    let presented = request.refresh_token.expose();
    if presented.len() > TOKEN_BYTES {
        return Err(Refusal::new(Code::TokenInvalid, "this is no refresh token"));
    }
    let old = Digest::of(presented.as_bytes());
    let (refresh_token, new) = new_refresh_token()?;
    let certificate = peer.certificate().map(|certificate| &certificate.thumbprint);
    match shared.store.rotate_refresh(&old, &new, certificate, now()).await? {
        Rotation::Rotated(session) => {
            let user = shared.store.user(&session.user).await?;
            let user = user.ok_or_else(|| Refusal::new(Code::SessionRevoked, "log in again"))?;
            answer(&shared, &user.id, user.name, &session.id, session.cnf.as_ref(), refresh_token)
                .map(axum::Json)
        }
        Rotation::Reused(session) => {
            tracing::warn!(%session, "a refresh token came twice: session ended");
            Err(Refusal::new(Code::RefreshReused, "log in again"))
        }
        Rotation::WrongCertificate => {
            Err(Refusal::new(Code::TokenInvalid, "the refresh token is bound to another client certificate"))
        }
        Rotation::Ended => Err(Refusal::new(Code::SessionRevoked, "log in again")),
        Rotation::Unknown => Err(Refusal::new(Code::TokenInvalid, "this is no refresh token of ours")),
    }
}

/// Drops what is over, now and then, and tells the hasher what kinds of hash there are.
pub(crate) async fn prune(shared: Arc<Shared>) {
    loop {
        match pruned(&shared).await {
            Ok(pruned) => tracing::debug!(pruned, "sessions and limits pruned"),
            Err(error) => tracing::warn!(error = %chain(&error), "prune sessions and limits"),
        }
        if let Err(error) = shared.store.prune_factors(now()).await {
            tracing::warn!(error = %chain(&error), "prune factors");
        }
        tokio::time::sleep(PRUNE_EVERY).await;
    }
}

async fn pruned(shared: &Shared) -> Result<u64, StoreError> {
    let (users, old) = shared.store.count_users().await?;
    shared.hasher.accounts_are(users, old);
    Ok(shared.store.prune_sessions(now()).await? + shared.store.prune_limits(now()).await?)
}

fn answer(
    shared: &Shared,
    user: &UserId,
    name: String,
    session: &SessionId,
    certificate: Option<&Digest>,
    refresh_token: Secret,
) -> Result<Tokens, Refusal> {
    let access_token = shared.tokens.for_session(user, session, certificate, now())?;
    Ok(Tokens {
        access_token: Secret::new(access_token),
        refresh_token,
        expires_in: SESSION_TOKEN_LIFE,
        user: User { id: user.to_string(), name },
    })
}

/// 32 random bytes, and the hash under which they are stored: with so many random bits a plain hash is enough.
fn new_refresh_token() -> Result<(Secret, Digest), Refusal> {
    let text = Base64UrlUnpadded::encode_string(&random::<32>()?);
    let hash = Digest::of(text.as_bytes());
    Ok((Secret::new(text), hash))
}
