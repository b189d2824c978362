//! Sign-in at another provider: there with a sealed cookie, back by the page's own request, and whose account it opens.
//!
//! The provider sends the browser back by GET, which only shows the page; the page posts what stands in its address (GHSA-m3cr-vc2j-pm27: nothing
//! happens by opening a link). What has to be kept meanwhile is sealed in the browser, so that nobody who only begins takes space here, and only
//! the browser that began can end it. There is no `next=`: after a sign-in the page stays where it is (CVE-2026-33709).

use std::sync::Arc;

use ::oidc::{Identity, Provider, SignInError, Started};
use api::accounts::Tokens;
use api::factors::Proof;
use api::oidc::{Identities, LinkedIdentity, Provider as ProviderView, Providers, SignInReturn, SignInStart};
use api::{Code, Secret};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{delete, get, post};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use store::{Role, SessionId, StoreError, User, UserId};
use subtle::ConstantTimeEq;
use tokio::sync::SemaphorePermit;

use crate::certificate::Peer;
use crate::extract::{Caller, Json, OpenJson};
use crate::factors::prove;
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::seen::Seen;
use crate::shared::{Shared, now, random};
use crate::{page, sessions};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v1/oidc", get(list))
        .route("/v1/oidc/{provider}/start", post(start))
        .route("/v1/oidc/{provider}/callback", get(page::page).post(finish))
        .route("/v1/me/identities", get(identities))
        .route("/v1/me/identities/{provider}/start", post(link))
        .route("/v1/me/identities/{provider}", delete(unlink))
}

/// Only sent over TLS, to this very host and no sibling of it (CVE-2024-28233, cookie tossing), and seen by no script.
const COOKIE_NAME: &str = "__Host-sealwright-oidc";
const COOKIE_RULES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";
/// How long somebody may take at the provider, in seconds.
const LIFE: u64 = 600;
/// Longest cookie and longest code that are looked at.
const COOKIE_BYTES: usize = 4096;
const CODE_BYTES: usize = 4096;
const CONTEXT: &[u8] = b"oidc sign-in, version 1";

/// What the browser keeps for us, sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    provider: String,
    ends_at: u64,
    /// The account that is to be linked, whose owner has proved it; none at a sign-in.
    link: Option<Link>,
    #[serde(flatten)]
    started: Started,
}

/// A link is finished by the session that began it, or not at all: it dies with a change of the password (as CVE-2026-40934 of device codes).
#[derive(Serialize, Deserialize)]
struct Link {
    user: String,
    session: String,
}

impl From<SignInError> for Refusal {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Fetch(_) | SignInError::Metadata(_) | SignInError::Keys(_) => {
                Self::because(Code::OidcUnavailable, "the provider does not answer as it should", error)
            }
            SignInError::Code | SignInError::Token(_) => {
                Self::because(Code::OidcRefused, error.to_string(), error)
            }
            SignInError::Random(_) => Self::internal(error),
        }
    }
}

/// `GET /v1/oidc`
async fn list(State(shared): State<Arc<Shared>>) -> axum::Json<Providers> {
    let view = |provider: &Provider| ProviderView { id: provider.id().into(), name: provider.name().into() };
    axum::Json(Providers { providers: shared.providers.iter().map(view).collect() })
}

/// `POST /v1/oidc/{provider}/start`
async fn start(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    begin(&shared, find(&shared, path)?, None).await
}

/// `POST /v1/me/identities/{provider}/start`: whoever comes back with the cookie of this answer links to this account (CVE-2026-9087: a proof that
/// was bound to less).
async fn link(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    Json(proof): Json<Proof>,
) -> Result<Response, Refusal> {
    let provider = find(&shared, path)?;
    prove(&shared, &caller, proof).await?;
    let link = Link { user: caller.user.to_string(), session: caller.session.to_string() };
    begin(&shared, provider, Some(link)).await
}

/// Each provider has places of its own: one that hangs takes none of the others'.
fn turn<'s>(shared: &'s Shared, provider: &Provider) -> Result<SemaphorePermit<'s>, Refusal> {
    let busy = || Refusal::new(Code::Busy, "too many sign-ins at once");
    shared.outward.get(provider.id()).ok_or_else(busy)?.try_acquire().map_err(|_| busy())
}

async fn begin(shared: &Shared, provider: &Provider, link: Option<Link>) -> Result<Response, Refusal> {
    let _turn = turn(shared, provider)?;
    let (authorization_url, started) = provider.start(&redirect_uri(shared, provider)).await?;
    let kept = Kept { provider: provider.id().into(), ends_at: now().saturating_add(LIFE), link, started };
    let json = serde_json::to_vec(&kept).map_err(Refusal::internal)?;
    let sealed = shared.sealing.seal(CONTEXT, &json).map_err(Refusal::internal)?;
    let cookie = format!("{COOKIE_NAME}={sealed}; Max-Age={LIFE}; {COOKIE_RULES}");
    with_cookie(axum::Json(SignInStart { authorization_url }), &cookie)
}

/// `POST /v1/oidc/{provider}/callback`
async fn finish(
    State(shared): State<Arc<Shared>>,
    peer: Peer,
    seen: Seen,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    Json(back): OpenJson<SignInReturn>,
) -> Result<Response, Refusal> {
    let provider = find(&shared, path)?;
    let kept = kept(&shared, &headers, provider, &back)?;
    let _turn = turn(&shared, provider)?;
    let redirect_uri = redirect_uri(&shared, provider);
    let identity = provider.finish(&back.code, &redirect_uri, &kept.started, now()).await?;
    let (user, proof) = match kept.link {
        Some(link) => {
            let (user, session) = link_to(&shared, provider, &identity, &link, &seen).await?;
            (user, Some(session))
        }
        None => (account(&shared, provider, &identity, &seen).await?, None),
    };
    let proof = proof.as_ref().map_or(store::Proof::Provider, store::Proof::Session);
    let cnf = peer.certificate().map(|certificate| certificate.thumbprint);
    // GHSA-3rw9-wmc8-8948: we keep no refresh token of the provider, so its word ends our session too.
    let tokens: Tokens = sessions::open(&shared, &user, proof, &seen, cnf, identity.expires_at()).await?;
    with_cookie(axum::Json(tokens), &format!("{COOKIE_NAME}=; Max-Age=0; {COOKIE_RULES}"))
}

/// What this browser began, for this provider and this very answer.
fn kept(
    shared: &Shared,
    headers: &HeaderMap,
    provider: &Provider,
    back: &SignInReturn,
) -> Result<Kept, Refusal> {
    let refused = |why: &'static str| Refusal::new(Code::OidcRefused, why);
    let another = || refused("this browser has not begun this sign-in, or too long ago: begin anew");
    let sealed = cookie(headers).ok_or_else(another)?;
    let opened = shared.sealing.open(CONTEXT, sealed).map_err(|_| another())?;
    let kept: Kept = serde_json::from_slice(&opened).map_err(|_| another())?;
    let same = bool::from(kept.started.state.as_bytes().ct_eq(back.state.as_bytes()));
    if !same || kept.provider != provider.id() || kept.ends_at <= now() {
        return Err(another());
    }
    if !provider.is_issuer(back.iss.as_deref()) {
        return Err(refused("the answer is another provider's"));
    }
    if back.error.is_some() || back.code.is_empty() || back.code.len() > CODE_BYTES {
        return Err(refused("the provider has not let you in"));
    }
    Ok(kept)
}

/// Lets the provider's account open the one of the session that asked for it; both.
async fn link_to(
    shared: &Shared,
    provider: &Provider,
    identity: &Identity,
    link: &Link,
    seen: &Seen,
) -> Result<(User, SessionId), Refusal> {
    let ended = || Refusal::new(Code::SessionRevoked, "the session that began this has ended: log in again");
    let user: UserId = link.user.parse().map_err(|_| ended())?;
    let session: SessionId = link.session.parse().map_err(|_| ended())?;
    let event = seen.done(&user, "identity.link", provider.id());
    let whose = (&user, &session);
    match shared.store.link_identity(whose, identity.issuer(), identity.subject(), event).await {
        Ok(true) => {}
        Ok(false) => return Err(Refusal::new(Code::IdentityTaken, "this sign-in opens another account")),
        Err(StoreError::WrongState) => return Err(ended()),
        Err(error) => return Err(error.into()),
    }
    let user = shared.store.user(&user).await?.ok_or_else(ended)?;
    Ok((user, session))
}

/// Whose account it is: by issuer and subject alone.
async fn account(
    shared: &Shared,
    provider: &Provider,
    identity: &Identity,
    seen: &Seen,
) -> Result<User, Refusal> {
    let gone = || Refusal::new(Code::IdentityUnknown, "no account here belongs to this sign-in");
    let (issuer, subject) = (identity.issuer(), identity.subject());
    if let Some(id) = shared.store.identity_owner(issuer, subject).await? {
        return shared.store.user(&id).await?.ok_or_else(gone);
    }
    if !provider.signs_up() {
        return Err(gone());
    }
    // A name that says nothing of who it is and that nobody can take before, and a password that nobody knows.
    let name = format!("{}-{}", provider.id(), names::hex(&random::<8>()?));
    let nobody = Secret::new(names::hex(&random::<32>()?));
    let password_hash = shared.hasher.hash_new(nobody, &name).await?;
    let id = UserId::from_bytes(random()?);
    let user = User { id, name, password_hash, role: Role::User, disabled_at: None, created_at: now() };
    let event = seen.done(&id, "user.sign_up", &id.to_string());
    shared.store.sign_up_identity(&user, issuer, subject, event).await?;
    Ok(user)
}

/// `GET /v1/me/identities`
async fn identities(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<axum::Json<Identities>, Refusal> {
    let linked = shared.store.identities(&caller.user).await?;
    let view = |linked: store::LinkedIdentity| LinkedIdentity {
        issuer: linked.issuer,
        created_at: linked.created_at,
    };
    Ok(axum::Json(Identities { identities: linked.into_iter().map(view).collect() }))
}

/// `DELETE /v1/me/identities/{provider}`
async fn unlink(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    path: Result<Path<String>, PathRejection>,
    Json(proof): Json<Proof>,
) -> Result<StatusCode, Refusal> {
    let provider = find(&shared, path)?;
    prove(&shared, &caller, proof).await?;
    let event = seen.done(&caller.user, "identity.unlink", provider.id());
    if !shared.store.unlink_identities(&caller.user, provider.issuer(), event).await? {
        return Err(Refusal::new(Code::NotFound, "this provider does not open the account"));
    }
    Ok(StatusCode::NO_CONTENT)
}

fn find(shared: &Shared, path: Result<Path<String>, PathRejection>) -> Result<&Provider, Refusal> {
    let missing = || Refusal::new(Code::NotFound, "there is no such provider");
    let Path(id) = path.map_err(|_| missing())?;
    shared.providers.iter().find(|provider| provider.id() == id).ok_or_else(missing)
}

fn redirect_uri(shared: &Shared, provider: &Provider) -> String {
    format!("{}/v1/oidc/{}/callback", shared.origin, provider.id())
}

/// Our cookie, where it comes exactly once.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'));
    let mut ours =
        pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(name, _)| *name == COOKIE_NAME);
    match (ours.next(), ours.next()) {
        (Some((_, value)), None) if value.len() <= COOKIE_BYTES => Some(value),
        _ => None,
    }
}

fn with_cookie(body: impl axum::response::IntoResponse, cookie: &str) -> Result<Response, Refusal> {
    let mut answer = body.into_response();
    let mut value =
        HeaderValue::from_str(cookie).map_err(|error| Refusal::internal(http::Error::from(error)))?;
    value.set_sensitive(true);
    answer.headers_mut().insert(SET_COOKIE, value);
    Ok(answer)
}
