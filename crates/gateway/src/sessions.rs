//! Sessions: log in, exchange refresh tokens, sign out.

use std::sync::Arc;
use std::time::Duration;

use api::accounts::{Credentials, Refresh, Tokens, User};
use api::bounds::TOKEN_BYTES;
use api::{Code, Secret};
use axum::extract::State;
use axum::routing::{delete, post};
use base64ct::{Base64UrlUnpadded, Encoding};
use http::StatusCode;
use names::Digest;
use server::telemetry::chain;
use store::{NewSession, Rotation, SessionId, UserId};

use crate::certificate::Peer;
use crate::extract::{Caller, Json};
use crate::factors;
use crate::hashing::Checked;
use crate::names::AccountName;
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::shared::{Shared, now, random};
use crate::tokens::SESSION_TOKEN_LIFE;
use crate::users::is_acceptable;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v1/sessions", post(log_in))
        .route("/v1/sessions/refresh", post(refresh))
        .route("/v1/sessions/current", delete(sign_out))
}

/// Life of a session in seconds; refreshing does not make it longer.
const SESSION_LIFE: u64 = 48 * 3600;
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// `POST /v1/sessions`
pub(crate) async fn log_in(
    State(shared): State<Arc<Shared>>,
    peer: Peer,
    Json(credentials): Json<Credentials>,
) -> Result<axum::Json<Tokens>, Refusal> {
    let wrong = || Refusal::new(Code::BadCredentials, "wrong name or password");
    // The same for every name: no account can have such a password.
    if !is_acceptable(&credentials.password) {
        return Err(wrong());
    }
    let user = match credentials.name.parse::<AccountName>() {
        Ok(name) => shared.store.user_by_name(name.as_str()).await?,
        Err(_) => None,
    };
    let stored = user.as_ref().map(|user| user.password_hash.clone());
    let checked = shared.hasher.check(credentials.password, stored).await?;
    let user = user.ok_or_else(wrong)?;
    match checked {
        Checked::Wrong => return Err(wrong()),
        Checked::Right => {}
        Checked::RightAndStale(hash) => shared.store.set_password_hash(&user.id, &hash).await?,
    }
    factors::check(&shared, &user.id, credentials.second_factor).await?;
    let cnf = peer.certificate().map(|certificate| certificate.thumbprint);
    open(&shared, &user, cnf, u64::MAX).await.map(axum::Json)
}

/// A new session of somebody who has proved to be this user, with its first tokens. It ends at `no_later_than` at the latest (unix seconds).
pub(crate) async fn open(
    shared: &Shared,
    user: &store::User,
    cnf: Option<Digest>,
    no_later_than: u64,
) -> Result<Tokens, Refusal> {
    let (refresh_token, refresh_hash) = new_refresh_token()?;
    let session = NewSession {
        id: SessionId::from_bytes(random()?),
        user: user.id,
        refresh_hash,
        cnf,
        created_at: now(),
        expires_at: now().saturating_add(SESSION_LIFE).min(no_later_than),
    };
    shared.store.create_session(&session).await?;
    tracing::info!(user = %user.id, session = %session.id, bound = session.cnf.is_some(), "logged in");
    answer(shared, &user.id, user.name.clone(), &session.id, session.cnf.as_ref(), refresh_token)
}

/// `POST /v1/sessions/refresh`
pub(crate) async fn refresh(
    State(shared): State<Arc<Shared>>,
    peer: Peer,
    Json(request): Json<Refresh>,
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

/// `DELETE /v1/sessions/current`
pub(crate) async fn sign_out(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<StatusCode, Refusal> {
    shared.store.revoke_session(&caller.session, now()).await?;
    tracing::info!(user = %caller.user, session = %caller.session, "signed out");
    Ok(StatusCode::NO_CONTENT)
}

/// Drops sessions that are over, now and then.
pub(crate) async fn prune(shared: Arc<Shared>) {
    loop {
        match shared.store.prune_sessions(now()).await {
            Ok(pruned) => tracing::debug!(pruned, "sessions pruned"),
            Err(error) => tracing::warn!(error = %chain(&error), "prune sessions"),
        }
        tokio::time::sleep(PRUNE_EVERY).await;
    }
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
