//! One admitted request on its way to the app and back, streaming both ways.
//!
//! Invariant: no byte of the client reaches the app as another protocol before the app agreed with 101, and the
//! app's answer is passed on or replaced by a problem, never half of each.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, UPGRADE};
use http::request::Parts;
use http::{Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy;
use hyper_util::rt::TokioIo;
use server::Tasks;
use tokio::time::Instant;
use tracing::debug;

use crate::activity::Activity;
use crate::body::{AnswerBody, BodyError, Companion, Passing, whole};
use crate::headers::{self, HeaderRefusal, Told, Upgrade};
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::tunnel;
use crate::upstream::Upstream;

/// When the app last took something of a request. A body holds it, so that it also moves when the body ends.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Ends when nothing has moved for so long.
    async fn stalled(&self, limit: Duration) {
        loop {
            let deadline = *self.0.lock().unwrap_or_else(PoisonError::into_inner) + limit;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

impl Companion for Progress {
    fn moved(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// The app behind its bounds.
#[derive(Debug)]
pub struct Proxy {
    upstream: Upstream,
    limits: Limits,
    tasks: Tasks,
    activity: Activity,
}

impl Proxy {
    /// Passes requests to this app; tunnels become tasks.
    #[must_use]
    pub fn new(upstream: Upstream, limits: Limits, tasks: Tasks) -> Self {
        Self { upstream, limits, tasks, activity: Activity::default() }
    }

    /// Whether requests and tunnels go through.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Passes one request on. `place` is held until the answer, or the tunnel, has ended.
    ///
    /// # Errors
    /// [`Refusal`], before anything of an answer was sent.
    pub async fn pass<G: Send + Unpin + 'static>(
        &self,
        mut request: Request<Incoming>,
        told: &Told<'_>,
        place: G,
    ) -> Result<Response<AnswerBody>, Refusal> {
        self.activity.mark();
        let upgrade = headers::upgrade(request.method(), request.version(), request.headers());
        let client = match upgrade {
            Upgrade::None => None,
            Upgrade::WebSocket => Some(hyper::upgrade::on(&mut request)),
        };
        let progress = Progress::new();
        let outgoing = self.outgoing(request, told, upgrade, &progress)?;
        let answer = tokio::select! {
            answer = self.upstream.request(outgoing) => answer.map_err(|error| refusal_of(&error))?,
            () = progress.stalled(self.limits.answer) => return Err(Refusal::AppTimeout),
        };
        match (client, answer.status() == StatusCode::SWITCHING_PROTOCOLS) {
            (Some(client), true) => self.tunnel(client, answer, place),
            (None, true) => Err(Refusal::AppBroken),
            (_, false) => Ok(self.incoming(answer, place)),
        }
    }

    fn outgoing(
        &self,
        request: Request<Incoming>,
        told: &Told<'_>,
        upgrade: Upgrade,
        progress: &Progress,
    ) -> Result<Request<Passing<Progress>>, Refusal> {
        let (parts, body) = request.into_parts();
        let headers = headers::to_app(&parts.headers, told, upgrade)?;
        if announced_length(&parts).is_some_and(|length| length > self.limits.request_body) {
            return Err(Refusal::BodyTooLarge);
        }
        let body = Passing::new(body, self.limits.request_body, self.limits.request_idle, progress.clone());
        let mut outgoing = Request::new(body);
        *outgoing.method_mut() = parts.method;
        *outgoing.uri_mut() = target(parts.uri)?;
        *outgoing.version_mut() = Version::HTTP_11;
        *outgoing.headers_mut() = headers;
        Ok(outgoing)
    }

    fn incoming<G: Send + Unpin + 'static>(
        &self,
        answer: Response<Incoming>,
        place: G,
    ) -> Response<AnswerBody> {
        let (parts, body) = answer.into_parts();
        let held = Place(place, self.activity.clone());
        let body = Passing::new(body, u64::MAX, self.limits.answer_idle, held);
        let mut outgoing = Response::new(body.boxed_unsync());
        *outgoing.status_mut() = parts.status;
        *outgoing.headers_mut() = headers::to_client(&parts.headers, Upgrade::None);
        outgoing
    }

    /// Answers 101 and connects both sides once both have switched.
    fn tunnel<G: Send + 'static>(
        &self,
        client: OnUpgrade,
        mut answer: Response<Incoming>,
        place: G,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let agreed =
            answer.headers().get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
        if !agreed {
            return Err(Refusal::AppBroken);
        }
        let app = hyper::upgrade::on(&mut answer);
        let (limits, activity) = (self.limits, self.activity.clone());
        self.tasks.spawn_cancellable(async move {
            let switched = tokio::try_join!(client, app);
            let Ok((client, app)) = switched.inspect_err(|error| debug!(%error, "no tunnel")) else { return };
            tunnel::connect(TokioIo::new(client), TokioIo::new(app), &limits, &activity).await;
            drop(place);
        });
        let mut outgoing = Response::new(whole(bytes::Bytes::new()));
        *outgoing.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *outgoing.headers_mut() = headers::to_client(answer.headers(), Upgrade::WebSocket);
        Ok(outgoing)
    }
}

fn announced_length(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The same path and query, untouched, at the app.
fn target(uri: Uri) -> Result<Uri, Refusal> {
    let refused = Refusal::Headers(HeaderRefusal::Target);
    let path =
        uri.into_parts().path_and_query.filter(|path| path.as_str().starts_with('/')).ok_or(refused)?;
    Uri::builder().scheme("http").authority("app").path_and_query(path).build().map_err(|_| refused)
}

/// Whose fault it is that there is no answer.
fn refusal_of(error: &legacy::Error) -> Refusal {
    if error.is_connect() {
        return Refusal::AppUnreachable;
    }
    let mut cause = error.source();
    while let Some(found) = cause {
        match found.downcast_ref::<BodyError>() {
            Some(BodyError::TooLarge) => return Refusal::BodyTooLarge,
            Some(BodyError::Silent) => return Refusal::BodyTooSlow,
            Some(BodyError::Broken(_)) | None => cause = found.source(),
        }
    }
    debug!(error = %server::telemetry::chain(error), "no answer of the app");
    Refusal::AppBroken
}

/// A place in a bound, given back when the answer has gone through. What goes through is activity.
#[derive(Debug)]
struct Place<G>(#[allow(dead_code, reason = "held for its drop")] G, Activity);

impl<G: Unpin> Companion for Place<G> {
    fn moved(&self) {
        self.1.mark();
    }
}
