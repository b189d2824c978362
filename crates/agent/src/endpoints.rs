//! The node-local API on two Unix sockets. Who calls is the kernel's word; what is answered is about the caller alone.

use std::sync::Arc;
use std::time::Duration;

use api::node::{
    BindProcess, CertifiedChain, CertifyRequest, EvidenceRequest, NodeDescription, RegisterKey,
    SelfDescription, StartEnclave, StopEnclave,
};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use base64ct::{Base64, Encoding};
use evidence::{Audience, Bytes, Channel, Evidence, NoChannel, Purpose};
use hardware::Lane;
use http::StatusCode;
use logs::enclave::{Event, Reason, Start};
use names::EnclaveId;
use server::unix::Peer;
use server::{Problem, Tasks};
use tokio::net::UnixListener;
use tracing::Instrument;

use crate::certify::Certifier;
use crate::config::Config;
use crate::journal::JournalError;
use crate::node::{Node, lock};
use crate::registry::{BoundProcess, CallerRefused, Enclave};
use crate::sealer::{self, Sealer};

/// Largest request: a CSR or a nonce.
const MAX_BODY: usize = 64 << 10;
/// Longest DNS name.
const MAX_DNS_NAME: usize = 253;

#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) node: Arc<Node>,
    pub(crate) sealer: Sealer,
    pub(crate) certifier: Certifier,
}

/// Serves both sockets until the tasks drain.
pub(crate) fn serve(config: &Config, shared: &Shared, tasks: &Tasks) -> std::io::Result<()> {
    let facades = Router::new()
        .route("/v1/self", get(myself))
        .route("/v1/self/key", put(register_key))
        .route("/v1/self/certificate", post(certify))
        .route("/v1/self/evidence", post(serve_evidence))
        .route("/v1/node", get(describe));
    let admin = Router::new()
        .route("/v1/enclaves", post(start_enclave))
        .route("/v1/enclaves/{id}/process", put(bind_process))
        .route("/v1/enclaves/{id}/stop", post(stop_enclave))
        .route("/v1/node", get(describe))
        .layer(from_fn(no_enclaves));
    // Any local process may open the facades' socket; what it may do there is decided by who it is.
    for (router, path, mode) in [(facades, &config.agent_socket, 0o666), (admin, &config.admin_socket, 0o600)]
    {
        let listener = server::unix::listen(path, mode)?;
        let router = router
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(from_fn(in_callers_trace))
            .fallback(no_route)
            .with_state(shared.clone());
        let service = router.into_make_service_with_connect_info::<Caller>();
        let stopping = tasks.stopping();
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stopping).await {
                tracing::error!(%error, "the agent's socket ended");
            }
        });
    }
    Ok(())
}

/// Announcements are the controller's. A facade may be the same user as it, and is refused as what it is.
async fn no_enclaves(ConnectInfo(caller): ConnectInfo<Caller>, request: Request, next: Next) -> Response {
    match caller.0.map(|peer| server::unix::is_below(peer.pid)) {
        Some(Ok(false)) => next.run(request).await,
        Some(Ok(true) | Err(_)) | None => {
            tracing::warn!(pid = caller.0.map(|peer| peer.pid), "announcement refused");
            Problem::new(StatusCode::FORBIDDEN, "caller_refused", "an enclave announces nothing")
                .into_response()
        }
    }
}

/// Each call is a span in its caller's trace.
async fn in_callers_trace(request: Request, next: Next) -> Response {
    let span = server::trace::span_for(request.uri().path(), request.headers());
    next.run(request).instrument(span).await
}

/// The peer of a connection, if the kernel knows it.
#[derive(Debug, Clone, Copy)]
struct Caller(Option<Peer>);

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(server::unix::peer(stream.io()).ok())
    }
}

/// JSON of a known shape, or a problem.
struct Body<T>(T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(value) = Json::<T>::from_request(request, state)
            .await
            .map_err(|rejection| malformed(rejection.body_text()))?;
        Ok(Self(value))
    }
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
}

async fn no_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_route", "the agent has no such resource")
}

/// How long a facade may be ahead of the controller's word about it.
const BIND_PATIENCE: Duration = Duration::from_secs(2);

/// The caller's enclave, decided anew for each request. A facade that is faster than the controller's word waits for it.
async fn caller(shared: &Shared, caller: Caller) -> Result<Enclave, Problem> {
    let refused = |code: &str, detail: String| {
        tracing::warn!(code, pid = caller.0.map(|peer| peer.pid), "caller refused");
        Problem::new(StatusCode::FORBIDDEN, code, detail)
    };
    let peer =
        caller.0.ok_or_else(|| refused("caller_unknown", "the kernel does not say who calls".into()))?;
    let identify = async {
        loop {
            // Listening before looking, so that no word is missed.
            let bound = shared.node.bound.notified();
            let found = shared.node.registry().caller(&peer).cloned();
            match found {
                Err(CallerRefused::NotAFacade) => bound.await,
                decided => return decided,
            }
        }
    };
    let decided = tokio::time::timeout(BIND_PATIENCE, identify).await;
    let enclave = decided.unwrap_or(Err(CallerRefused::NotAFacade));
    enclave.map_err(|error| refused("caller_refused", error.to_string()))
}

async fn myself(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Caller>,
) -> Result<Json<SelfDescription>, Problem> {
    let enclave = caller(&shared, peer).await?;
    let enrolment = shared.node.enrolled().ok_or_else(not_enrolled)?;
    Ok(Json(SelfDescription {
        enclave_id: enclave.start.enclave_id,
        spiffe_id: shared.node.trust_domain.enclave(&enclave.start.enclave_id),
        incarnation: enclave.start.incarnation,
        owner: enclave.start.owner,
        dns_name: enclave.start.dns_name,
        node: enrolment.node,
    }))
}

async fn register_key(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Caller>,
    Body(request): Body<RegisterKey>,
) -> Result<StatusCode, Problem> {
    let enclave = caller(&shared, peer).await?;
    let spki = Base64::decode_vec(&request.spki).map_err(|_| malformed("spki is not base64"))?;
    pki::PublicKey::from_spki(&spki).map_err(|_| malformed("spki is not a key"))?;
    let (id, incarnation) = (enclave.start.enclave_id, enclave.start.incarnation);
    let known = enclave.spki.is_some();
    if !shared.node.registry().pin_key(&id, incarnation, &spki) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "key_pinned",
            "the enclave was born with another key",
        ));
    }
    if !known {
        let event = Event::Key { enclave: id, incarnation, spki: names::Digest::of(&spki) };
        announce(&shared, event).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn certify(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Caller>,
    Body(request): Body<CertifyRequest>,
) -> Result<Json<CertifiedChain>, Problem> {
    let enclave = caller(&shared, peer).await?;
    let csr = Base64::decode_vec(&request.csr).map_err(|_| malformed("csr is not base64"))?;
    let parsed = pki::csr::Csr::from_der(&csr).map_err(|_| malformed("csr is not a signed request"))?;
    if enclave.spki.as_deref() != Some(parsed.spki()) {
        return Err(Problem::new(StatusCode::CONFLICT, "key_pinned", "the request is for another key"));
    }
    let start = &enclave.start;
    let subject = (start.enclave_id, start.incarnation);
    let chain = shared.certifier.certify(&shared.node, &shared.sealer, subject, &start.dns_name, csr).await;
    let chain = chain.map_err(|error| {
        tracing::warn!(enclave = %start.enclave_id, error = %server::telemetry::chain(&error), "not certified");
        Problem::new(StatusCode::BAD_GATEWAY, error.code(), error.to_string())
    })?;
    Ok(Json(CertifiedChain { chain: chain.iter().map(|der| Base64::encode_string(der)).collect() }))
}

async fn serve_evidence(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Caller>,
    Body(request): Body<EvidenceRequest>,
) -> Result<Response, Problem> {
    let enclave = caller(&shared, peer).await?;
    let (id, incarnation) = (enclave.start.enclave_id, enclave.start.incarnation);
    let certificate = shared.node.registry().certificate(&id, &request.certificate);
    let certificate = certificate.ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            "certificate_unknown",
            "no such certificate was made for the enclave",
        )
    })?;
    let channel = match &request.channel {
        Some(value) => Channel::Exporter(bytes32(value)?),
        None => Channel::None(NoChannel::Recorded),
    };
    let sealed = shared.sealer.seal(sealer::Request {
        purpose: Purpose::Serve,
        audience: request.audience.map_or(Audience::Anonymous, Audience::Key),
        nonce: bytes32(&request.nonce)?,
        request: None,
        enclave: Some((id, incarnation)),
        certificate: Some(request.certificate),
        channel,
    });
    let evidence = sealed
        .await
        .map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.to_string()))?;
    let evidence = Evidence { certificate: Some(Bytes(certificate)), ..evidence };
    Ok(([(http::header::CONTENT_TYPE, "application/json")], evidence.to_json()).into_response())
}

fn bytes32(text: &str) -> Result<[u8; 32], Problem> {
    let mut bytes = [0; 32];
    let decoded = Base64::decode(text, &mut bytes).map_err(|_| malformed("not base64 of 32 bytes"))?;
    if decoded.len() == 32 { Ok(bytes) } else { Err(malformed("not base64 of 32 bytes")) }
}

async fn describe(State(shared): State<Shared>) -> Result<Json<NodeDescription>, Problem> {
    let enrolment = shared.node.enrolled().ok_or_else(not_enrolled)?;
    let ak_name = names::hex(shared.node.keys.enclave.name().as_bytes()).parse().map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the attestation key has another hash")
    })?;
    Ok(Json(NodeDescription {
        node: enrolment.node,
        level: enrolment.level,
        ak_name,
        log_events: lock(&shared.node.journal).log().count(),
        verdict_expires: shared.node.current_verdict().map(|verdict| verdict.expires),
    }))
}

fn not_enrolled() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "node_not_enrolled", "the node is not enrolled yet")
}

async fn start_enclave(
    State(shared): State<Shared>,
    Body(request): Body<StartEnclave>,
) -> Result<StatusCode, Problem> {
    let name_is_sane = (1..=MAX_DNS_NAME).contains(&request.dns_name.len());
    if request.incarnation == 0 || !name_is_sane {
        return Err(malformed("incarnation or dns_name is out of range"));
    }
    if lock(&shared.node.journal).log().is_nearly_full() {
        tracing::error!("the enclave log is nearly full: restart the node to begin a new one");
        let detail = "the enclave log is nearly full; nothing new is started before the node is";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "log_full", detail));
    }
    let event = Event::Start(Start {
        enclave: request.enclave_id,
        incarnation: request.incarnation,
        version: request.version,
        instance: request.instance,
        owner: Some(request.owner),
        facade: request.facade,
    });
    announce(&shared, event).await?;
    if shared.node.registry().start(request) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "node_full",
            "the node has no room for another enclave",
        ))
    }
}

async fn bind_process(
    State(shared): State<Shared>,
    Path(id): Path<EnclaveId>,
    Body(request): Body<BindProcess>,
) -> Result<StatusCode, Problem> {
    let process = BoundProcess { pid: request.pid, start_time: request.start_time };
    if shared.node.registry().bind(&id, request.incarnation, process) {
        shared.node.bound.notify_waiters();
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::new(
            StatusCode::CONFLICT,
            "not_announced",
            "no such start was announced, or it has a process",
        ))
    }
}

async fn stop_enclave(
    State(shared): State<Shared>,
    Path(id): Path<EnclaveId>,
    Body(request): Body<StopEnclave>,
) -> Result<StatusCode, Problem> {
    let reason =
        Reason::new(&request.reason).map_err(|_| malformed("reason is empty, too long or not printable"))?;
    // First no more evidence, then the event.
    if shared.node.registry().stop(&id, request.incarnation) {
        announce(&shared, Event::Stop { enclave: id, incarnation: request.incarnation, reason }).await?;
        shared.node.registry().stop_logged(&id, request.incarnation);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Logs an event ahead of what it announces.
async fn announce(shared: &Shared, event: Event) -> Result<(), Problem> {
    let journal = Arc::clone(&shared.node.journal);
    let append = move |tpm: &mut hardware::Tpm| lock(&journal).append(tpm, event);
    let refused = |code: &str, detail: String| {
        tracing::error!(code, detail, "the enclave log was not written");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    };
    match shared.node.tpm.run(Lane::Log, append).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error @ JournalError::Log(_))) => Err(refused("log_full", error.to_string())),
        Ok(Err(error)) => Err(refused("log_failed", error.to_string())),
        Err(error) => Err(refused("tpm_failed", error.to_string())),
    }
}
