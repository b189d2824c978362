//! The two routes of the original's client operations, with its field names: `POST /signup` and `POST /login`, which provisions the user's
//! enclave of the default app.
//!
//! Two things differ. A wrong password is a 401 with the original's body, which it sent with 200. And a client certificate is needed: the
//! original's bearer token could be used by whoever had seen it, ours is bound to the certificate, whose key owns the enclave.
//!
//! The quote that is asked for by a nonce comes from the enclave. It is passed on and not judged: that is the client's part, and only the
//! client's own connection to the enclave tells it who is at the other end.

use std::sync::Arc;
use std::time::Duration;

use api::accounts::Credentials;
use api::enclaves::{CreateEnclave, State as EnclaveState};
use api::original::{self, Failed, LoggedIn, Login, SignedUp, Who, WrongPassword};
use api::{Code, Secret};
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use crate::certificate::Peer;
use crate::extract::{Caller, Json, OpenJson};
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::seen::Seen;
use crate::shared::Shared;
use crate::{enclaves, sessions, users};

pub(crate) fn routes() -> Routes {
    Routes::new().route("/signup", post(sign_up)).route("/login", post(log_in))
}

/// How long a login waits for the enclave, and how often it looks.
const START: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(200);

fn credentials(username: String, password: Secret) -> Credentials {
    Credentials { name: username, password, second_factor: None }
}

/// `POST /signup`
async fn sign_up(
    state: State<Arc<Shared>>,
    seen: Seen,
    Json(who): OpenJson<Who>,
) -> Result<Response, Refusal> {
    match users::sign_up(state, seen, Json(credentials(who.username, who.password))).await {
        Ok(_) => {
            let answer = SignedUp { success: true, message: "Signed up successfully".into() };
            Ok(axum::Json(answer).into_response())
        }
        Err(refusal) if matches!(refusal.code().status(), 400 | 409) => {
            let answer = Failed { error: refusal.detail().to_owned() };
            Ok((StatusCode::BAD_REQUEST, axum::Json(answer)).into_response())
        }
        Err(refusal) => Err(refusal),
    }
}

/// `POST /login`
async fn log_in(
    State(shared): State<Arc<Shared>>,
    peer: Peer,
    seen: Seen,
    request: Request,
) -> Result<Response, Refusal> {
    let app = shared.default_app.clone();
    let app = app.ok_or_else(|| Refusal::new(Code::NotFound, "this cell has no default app"))?;
    if peer.certificate().is_none() {
        return Err(Refusal::new(Code::CertificateRequired, "its key becomes the owner of the enclave"));
    }
    let (mut parts, body) = request.into_parts();
    let request = Request::from_parts(parts.clone(), body);
    let Json(login) = OpenJson::<Login>::from_request(request, &shared).await?;
    let nonce = login.nonce.as_deref().map(nonce).transpose()?;
    let state = State(Arc::clone(&shared));
    let tokens =
        match sessions::log_in(state, peer, seen, Json(credentials(login.username, login.password))).await {
            Ok(axum::Json(tokens)) => tokens,
            Err(refusal) if refusal.code() == Code::BadCredentials => {
                let answer = WrongPassword { message: "Invalid credentials".into() };
                return Ok((StatusCode::UNAUTHORIZED, axum::Json(answer)).into_response());
            }
            Err(refusal) => return Err(refusal),
        };
    authorize(&mut parts, &tokens.access_token)?;
    let name = app.to_string();
    provision(
        &shared,
        &mut parts,
        &name,
        CreateEnclave { name: name.clone(), app, version: None, idle_timeout: None, max_age: None },
    )
    .await?;
    let enclave = running(&shared, &mut parts, &name).await?;
    let caller = Caller::from_request_parts(&mut parts, &shared).await?;
    let path = Ok(Path(name.clone()));
    let axum::Json(token) = enclaves::token(State(Arc::clone(&shared)), caller, path).await?;
    let quoted = match nonce {
        Some(nonce) => Some(shared.witness.quoted(&enclave.host, &nonce).await?),
        None => None,
    };
    let port = shared.edge.rsplit(':').next().unwrap_or_default();
    Ok(axum::Json(LoggedIn {
        success: true,
        message: "Authentication successful".into(),
        enclave_name: name,
        access_point: format!("https://{}:{port}", enclave.host),
        token: token.token,
        quoted,
    })
    .into_response())
}

fn nonce(text: &str) -> Result<[u8; 32], Refusal> {
    let malformed = || Refusal::new(Code::Malformed, "a nonce is 32 bytes in hex or base64url");
    original::nonce(text).ok_or_else(malformed)
}

/// What follows is asked with the session that has just begun, as its owner would.
fn authorize(parts: &mut Parts, token: &Secret) -> Result<(), Refusal> {
    let value = format!("Bearer {}", token.expose());
    let value = HeaderValue::from_str(&value).map_err(Refusal::internal)?;
    parts.headers.insert(header::AUTHORIZATION, value);
    Ok(())
}

/// Creates the enclave, or starts the one that there is; one that runs is left alone.
async fn provision(
    shared: &Arc<Shared>,
    parts: &mut Parts,
    name: &str,
    wanted: CreateEnclave,
) -> Result<(), Refusal> {
    let caller = Caller::from_request_parts(parts, shared).await?;
    let present = shared.store.enclave_of(&caller.user, name).await?;
    let state = State(Arc::clone(shared));
    if present.is_some() {
        return enclaves::start(state, caller, Ok(Path(name.to_owned()))).await.map(drop);
    }
    let seen = Seen::from_request_parts(parts, shared).await?;
    match enclaves::create(state, caller, seen, Json(wanted)).await {
        Ok(_) => Ok(()),
        // Another login of the same user was faster.
        Err(refusal) if refusal.code() == Code::NameTaken => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

async fn running(shared: &Arc<Shared>, parts: &mut Parts, name: &str) -> Result<store::Enclave, Refusal> {
    let user = Caller::from_request_parts(parts, shared).await?.user;
    let gone = || Refusal::new(Code::NotFound, "the enclave was deleted meanwhile");
    let look = async {
        loop {
            let enclave = shared.store.enclave_of(&user, name).await?.ok_or_else(gone)?;
            match enclave.state {
                EnclaveState::Running => return Ok(enclave),
                EnclaveState::Failed => {
                    return Err(Refusal::new(Code::WrongState, "the enclave could not be started"));
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    };
    let late = |_| Refusal::new(Code::ServerTimeout, "the enclave is still on its way: log in again");
    tokio::time::timeout(START, look).await.map_err(late)?
}
