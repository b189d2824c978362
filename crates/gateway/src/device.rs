//! Devices that sign in by a code which a person types (RFC 8628).
//!
//! Starting and asking need no account; deciding does. Nothing is decided by opening a link: the person sees which device asks, and says so
//! with a request of its own.

use std::sync::Arc;

use api::bounds::TOKEN_BYTES;
use api::device::{
    CLIENT_ID, DeviceAuthorization, DeviceCode, DeviceError, DeviceProblem, DeviceTokenRequest, DeviceTokens,
    GRANT_TYPE, UserCode, WaitingDevice,
};
use api::{Code, Secret};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64ct::{Base64UrlUnpadded, Encoding};
use http::{HeaderMap, StatusCode, header};
use names::Digest;
use store::{Begun, Decision, Event, NewDevice, Poll, Proof, SessionId, StoreError};

use crate::certificate::Peer;
use crate::extract::{Caller, Form, Json};
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::seen::Seen;
use crate::sessions;
use crate::shared::{Shared, now, random};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/v1/device/authorization", post(begin))
        .route("/v1/device/token", post(token))
        .route("/v1/device/lookup", post(look_up))
        .route("/v1/device/approve", post(approve))
        .route("/v1/device/deny", post(deny))
}

/// Life of the codes in seconds.
const LIFE: u64 = 600;
/// RFC 8628, 3.2: what is taken where nothing is said.
const INTERVAL: u64 = 5;
/// Letters of what a device calls itself.
const AGENT: usize = 120;
/// User codes that are drawn until one is free.
const DRAWS: u32 = 8;
/// When too many devices wait: seconds until some are over.
const FULL: u64 = 60;

/// What is answered to a device: an error of OAuth, or ours as everywhere.
pub(crate) enum Refused {
    OAuth(DeviceError, &'static str),
    Ours(Refusal),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Ours(refusal)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Ours(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Ours(refusal) => refusal.into_response(),
            Self::OAuth(error, description) => {
                tracing::info!(code = error.as_str(), "refused");
                let problem =
                    DeviceProblem { error: error.as_str().into(), error_description: description.into() };
                (StatusCode::BAD_REQUEST, axum::Json(problem)).into_response()
            }
        }
    }
}

/// `POST /v1/device/authorization`
async fn begin(
    State(shared): State<Arc<Shared>>,
    peer: Peer,
    seen: Seen,
    headers: HeaderMap,
    form: Result<Form<DeviceAuthorization>, Refusal>,
) -> Result<axum::Json<DeviceCode>, Refused> {
    let Form(request) = form.map_err(unreadable)?;
    known_client(&request.client_id)?;
    let device_code = Secret::new(Base64UrlUnpadded::encode_string(&random::<32>().map_err(Refusal::from)?));
    let mut device = NewDevice {
        device_hash: Digest::of(device_code.expose().as_bytes()),
        user_code_hash: Digest::from_bytes([0; 32]),
        cnf: peer.certificate().map(|certificate| certificate.thumbprint),
        address: seen.mark,
        agent: agent(&headers),
        interval: INTERVAL,
        created_at: now(),
        expires_at: now().saturating_add(LIFE),
    };
    for _ in 0..DRAWS {
        let user_code = ::factors::user_code::generate().map_err(Refusal::internal)?;
        let Some(hash) = ::factors::user_code::hash(&user_code) else { continue };
        device.user_code_hash = hash;
        match shared.store.begin_device(&device).await? {
            Begun::Waiting => return Ok(axum::Json(answer(&shared, device_code, user_code))),
            Begun::Again => {}
            Begun::TooMany => {
                let full = Refusal::new(Code::TooManyAttempts, "too many devices wait to be let in");
                return Err(full.retry_after(FULL).into());
            }
        }
    }
    Err(Refusal::new(Code::Busy, "no code is free").into())
}

fn answer(shared: &Shared, device_code: Secret, user_code: String) -> DeviceCode {
    let verification_uri = format!("{}/device", shared.origin);
    DeviceCode {
        device_code,
        // A fragment: it is sent to no server and stands in no log.
        verification_uri_complete: format!("{verification_uri}#{user_code}"),
        verification_uri,
        user_code,
        expires_in: LIFE,
        interval: INTERVAL,
    }
}

/// `POST /v1/device/token`
async fn token(
    State(shared): State<Arc<Shared>>,
    peer: Peer,
    seen: Seen,
    form: Result<Form<DeviceTokenRequest>, Refusal>,
) -> Result<axum::Json<DeviceTokens>, Refused> {
    let Form(request) = form.map_err(unreadable)?;
    known_client(&request.client_id)?;
    if request.grant_type != GRANT_TYPE {
        return Err(Refused::OAuth(
            DeviceError::UnsupportedGrantType,
            "only device codes are exchanged here",
        ));
    }
    let unknown = Refused::OAuth(
        DeviceError::InvalidGrant,
        "there is no such code, or it was used, or another client certificate asks",
    );
    if request.device_code.expose().len() > TOKEN_BYTES {
        return Err(unknown);
    }
    let code = Digest::of(request.device_code.expose().as_bytes());
    let certificate = peer.certificate().map(|certificate| &certificate.thumbprint);
    match shared.store.poll_device(&code, certificate, now()).await? {
        Poll::Pending => {
            Err(Refused::OAuth(DeviceError::AuthorizationPending, "nobody has typed the code yet"))
        }
        Poll::SlowDown => Err(Refused::OAuth(DeviceError::SlowDown, "ask five seconds later from now on")),
        Poll::Denied => Err(denied()),
        Poll::Expired => Err(Refused::OAuth(DeviceError::ExpiredToken, "nobody has typed the code in time")),
        Poll::Unknown => Err(unknown),
        Poll::Approved { by, cnf } => redeem(&shared, &by, &seen, cnf).await,
    }
}

fn denied() -> Refused {
    Refused::OAuth(DeviceError::AccessDenied, "it was not allowed")
}

/// The device's own session. It ends with the one that said yes at the latest, and does not begin when that one has ended
/// (CVE-2026-40934, CVE-2026-43911: tokens that outlived a change of the password).
async fn redeem(
    shared: &Shared,
    by: &SessionId,
    seen: &Seen,
    cnf: Option<Digest>,
) -> Result<axum::Json<DeviceTokens>, Refused> {
    let approver = shared.store.session(by).await?.ok_or_else(denied)?;
    if approver.revoked_at.is_some() || approver.expires_at <= now() {
        return Err(denied());
    }
    let user = shared.store.user(&approver.user).await?.ok_or_else(denied)?;
    let tokens = sessions::open(shared, &user, Proof::Session(by), seen, cnf, approver.expires_at).await?;
    Ok(axum::Json(DeviceTokens {
        access_token: tokens.access_token,
        token_type: "Bearer".into(),
        refresh_token: tokens.refresh_token,
        expires_in: tokens.expires_in,
        user: tokens.user,
    }))
}

/// `POST /v1/device/lookup`
async fn look_up(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    Json(request): Json<UserCode>,
) -> Result<axum::Json<WaitingDevice>, Refusal> {
    let code = attempt(&shared, &caller, &request).await?;
    let device = shared.store.waiting_device(&code, now()).await?.ok_or_else(no_device)?;
    shared.store.user_code_right(&caller.user).await?;
    Ok(axum::Json(WaitingDevice {
        // Of a device that began before midnight (UTC) it says no: the key that could tell is gone.
        same_address: device.address == seen.mark,
        agent: device.agent,
        address: device.address,
        bound: device.bound,
        created_at: device.created_at,
        expires_at: device.expires_at,
    }))
}

/// `POST /v1/device/approve`
async fn approve(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    Json(request): Json<UserCode>,
) -> Result<StatusCode, Refusal> {
    let event = seen.done(&caller.user, "device.approve", "");
    decide(&shared, &caller, &request, Decision::Approve, event).await
}

/// `POST /v1/device/deny`
async fn deny(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    Json(request): Json<UserCode>,
) -> Result<StatusCode, Refusal> {
    let event = seen.done(&caller.user, "device.deny", "");
    decide(&shared, &caller, &request, Decision::Deny, event).await
}

async fn decide(
    shared: &Shared,
    caller: &Caller,
    request: &UserCode,
    decision: Decision,
    event: Event,
) -> Result<StatusCode, Refusal> {
    let code = attempt(shared, caller, request).await?;
    if !shared.store.decide_device(&code, decision, &caller.session, event).await? {
        return Err(no_device());
    }
    shared.store.user_code_right(&caller.user).await?;
    tracing::info!(user = %caller.user, session = %caller.session, ?decision, "device decided");
    Ok(StatusCode::NO_CONTENT)
}

/// The code has 34 bits and people type it: wrong ones are counted for each account.
async fn attempt(shared: &Shared, caller: &Caller, request: &UserCode) -> Result<Digest, Refusal> {
    if !shared.store.attempt_user_code(&caller.user, now()).await? {
        return Err(Refusal::new(Code::TooManyAttempts, "too many wrong codes").retry_after(FULL));
    }
    ::factors::user_code::hash(&request.user_code).ok_or_else(no_device)
}

fn no_device() -> Refusal {
    Refusal::new(Code::NotFound, "no device waits under this code")
}

fn known_client(client_id: &str) -> Result<(), Refused> {
    if client_id == CLIENT_ID {
        return Ok(());
    }
    Err(Refused::OAuth(DeviceError::InvalidClient, "this client id is not known"))
}

fn unreadable(refusal: Refusal) -> Refused {
    match refusal.code() {
        Code::Malformed | Code::UnsupportedMediaType => Refused::OAuth(
            DeviceError::InvalidRequest,
            "send the parameters once each as application/x-www-form-urlencoded",
        ),
        _ => Refused::Ours(refusal),
    }
}

/// What the device says of itself, in letters that are safe to show.
fn agent(headers: &HeaderMap) -> String {
    let said = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.chars().filter(|letter| *letter == ' ' || letter.is_ascii_graphic()).take(AGENT).collect()
}
