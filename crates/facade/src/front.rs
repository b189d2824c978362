//! From a connection on the facade's socket to an answer: handshake, owner, token, then the app; or evidence.
//!
//! Invariant: nothing reaches the app but requests of the enclave's owner with a token that is valid at that moment.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use names::Digest;
use server::Tasks;
use server::telemetry::chain;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{debug, info, warn};

use crate::body::{AnswerBody, whole};
use crate::evidence::{self, Desk};
use crate::headers::{self, MAX_BYTES, MAX_LINES, REQUEST_ID, Told};
use crate::identity::{Identity, now};
use crate::limits::Limits;
use crate::original::{self, Door};
use crate::proxy::Proxy;
use crate::refusal::Refusal;
use crate::session::{Client, Protocol, Session, Standing};
use crate::tokens::{Accepted, Tokens};

/// Paths of ours; the app never sees them.
const RESERVED: &str = "/.well-known/sealwright/";
/// After an accept that failed (out of descriptors, mostly) the next one waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Read buffer of an HTTP/1.1 connection; header bytes are bounded by `headers::MAX_BYTES`.
const HTTP1_BUFFER: usize = 2 * MAX_BYTES;
// HTTP/2 (RFC 9113 5.1.2, 6.9.2, 10.5; CVE-2023-44487 and its kin).
const STREAMS: u32 = 128;
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
const RESET_STREAMS: usize = 20;
const LOCAL_RESETS: usize = 64;
const SEND_BUFFER: usize = 256 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_DEADLINE: Duration = Duration::from_secs(20);

/// The facade's front side.
#[derive(Debug)]
pub struct Front {
    dns_name: String,
    owner: Digest,
    tokens: Tokens,
    desk: Desk,
    proxy: Proxy,
    limits: Limits,
    places: Arc<Semaphore>,
    strangers: Semaphore,
    requests: Arc<Semaphore>,
    tasks: Tasks,
    /// Random start and count of request ids.
    ids: (u64, AtomicU64),
}

impl Front {
    /// A front for one name and one owner.
    #[must_use]
    pub fn new(
        (dns_name, owner): (String, Digest),
        (tokens, desk, proxy): (Tokens, Desk, Proxy),
        limits: Limits,
        tasks: Tasks,
    ) -> Self {
        // An id only has to be another one after each start; without random bytes it starts from the clock.
        let start = getrandom::u64().unwrap_or_else(|_| now());
        Self {
            dns_name,
            owner,
            tokens,
            desk,
            proxy,
            limits,
            places: Arc::new(Semaphore::new(limits.connections)),
            strangers: Semaphore::new(limits.strangers),
            requests: Arc::new(Semaphore::new(limits.requests)),
            tasks,
            ids: (start, AtomicU64::new(0)),
        }
    }

    /// Accepts connections until the tasks are stopped.
    pub async fn serve(self: Arc<Self>, listener: UnixListener, identity: watch::Receiver<Identity>) {
        let stopping = self.tasks.stopping();
        tokio::pin!(stopping);
        loop {
            let accepted = tokio::select! {
                () = &mut stopping => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.take(stream, identity.borrow().clone()),
                Err(error) => {
                    warn!(%error, "accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn take(self: &Arc<Self>, stream: UnixStream, identity: Identity) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            debug!("too many connections");
            return;
        };
        let front = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(error) = front.connection(stream, &identity, Arc::new(place)).await {
                debug!(error = %chain(error.as_ref()), "connection ended");
            }
        });
    }

    async fn connection(
        self: Arc<Self>,
        stream: UnixStream,
        identity: &Identity,
        place: Arc<OwnedSemaphorePermit>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let handshake = tokio::time::timeout(self.limits.handshake, identity.acceptor().accept(stream));
        let connection = tokio::select! {
            connection = handshake => connection??,
            () = self.tasks.stopping() => return Ok(()),
        };
        let (session, stream, protocol) =
            Session::open(connection, identity.certificate(), &self.owner, self.limits.evidence_burst)?;
        let _strangers_place = match session.standing() {
            Standing::Owner => None,
            Standing::Stranger => Some(self.strangers.try_acquire()?),
        };
        let io = TokioIo::new(stream);
        let (front, of) = (Arc::clone(&self), Arc::clone(&session));
        let service = service_fn(move |request| {
            let (front, session, place) = (Arc::clone(&front), Arc::clone(&of), Arc::clone(&place));
            async move { Ok::<_, Infallible>(front.answer(&session, place, request).await) }
        });
        match protocol {
            Protocol::Http1 => {
                let connection = http1(self.limits.header).serve_connection(io, service).with_upgrades();
                self.drive(connection, http1::UpgradeableConnection::graceful_shutdown, &session).await?;
            }
            Protocol::Http2 => {
                let connection = http2().serve_connection(io, service);
                self.drive(connection, http2::Connection::graceful_shutdown, &session).await?;
            }
        }
        Ok(())
    }

    /// Drives a connection to its end; asks it to end when it is idle for too long or the facade stops.
    async fn drive<C: Future<Output = hyper::Result<()>>>(
        &self,
        connection: C,
        ask_to_end: fn(Pin<&mut C>),
        session: &Session,
    ) -> hyper::Result<()> {
        tokio::pin!(connection);
        let idle = match session.standing() {
            Standing::Owner => self.limits.connection_idle,
            Standing::Stranger => self.limits.stranger_idle,
        };
        tokio::select! {
            ended = &mut connection => return ended,
            () = self.tasks.stopping() => {}
            () = session.idle_for(idle) => {}
        }
        ask_to_end(connection.as_mut());
        connection.await
    }

    /// Answers one request, always.
    async fn answer(
        &self,
        session: &Arc<Session>,
        place: Arc<OwnedSemaphorePermit>,
        request: Request<Incoming>,
    ) -> Response<AnswerBody> {
        let id = self.next_id();
        let (method, version) = (request.method().clone(), request.version());
        let answered = self.dispatch(session, place, request, &id).await;
        let mut response = match answered {
            Ok(response) => {
                debug!(request = %id, %method, ?version, status = response.status().as_u16(), "answered");
                response
            }
            Err(refusal) => {
                let client = session.client().key;
                info!(request = %id, %method, ?version, code = refusal.code(), reason = %refusal, %client, "refused");
                refusal.answer(&id).map(whole)
            }
        };
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    async fn dispatch(
        &self,
        session: &Arc<Session>,
        place: Arc<OwnedSemaphorePermit>,
        request: Request<Incoming>,
        id: &str,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let authority = headers::authority(request.uri(), request.headers(), &self.dns_name)?.to_owned();
        let running = session.running();
        if request.uri().path().starts_with(RESERVED) {
            return self.own(session, &request).await;
        }
        if original::is(&request) {
            let admitted = self.admit(session, &request);
            let door = Door { desk: &self.desk, limits: &self.limits };
            return door.answer(session, admitted, request).await.map(|response| response.map(whole));
        }
        let admitted = self.admit(session, &request)?;
        let at_app = Arc::clone(&self.requests).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let user = admitted.user();
        let told = Told { authority: &authority, user, request_id: id, version: request.version() };
        self.proxy.pass(request, &told, (running, at_app, place)).await
    }

    /// Our own endpoints: for every client, since evidence is what they decide by.
    async fn own(
        &self,
        session: &Session,
        request: &Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Refusal> {
        if request.uri().path() != evidence::PATH {
            return Err(Refusal::UnknownEndpoint);
        }
        if *request.method() != Method::GET {
            return Err(Refusal::Method);
        }
        let response = self.desk.answer(session, request.uri().query()).await?;
        Ok(response.map(whole))
    }

    /// The owner, with a token for this enclave and this certificate.
    fn admit(&self, session: &Session, request: &Request<Incoming>) -> Result<Accepted, Refusal> {
        let client: Client = session.client();
        if session.standing() != Standing::Owner {
            return Err(Refusal::NotOwner);
        }
        // CONNECT asks for a tunnel to anywhere; TRACE would echo what we add (RFC 9110 9.3.6, 9.3.8).
        if [Method::CONNECT, Method::TRACE].contains(request.method()) {
            return Err(Refusal::Method);
        }
        let token = headers::bearer(request.headers())?.ok_or(Refusal::TokenMissing)?;
        let accepted =
            self.tokens.check(token, &client, session.accepted(), now()).map_err(Refusal::Token)?;
        session.accept(accepted.clone());
        Ok(accepted)
    }

    fn next_id(&self) -> String {
        let count = self.ids.1.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}", self.ids.0.wrapping_add(count))
    }
}

fn http1(header: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .max_headers(MAX_LINES)
        .max_buf_size(HTTP1_BUFFER);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(MAX_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_DEADLINE);
    builder
}
