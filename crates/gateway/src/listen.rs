//! Connections: accepted, shaken hands with (TLS 1.3 by `attested-tls`, or nothing), bounded and drained.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use attested_tls::{Acceptor, Connection};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use server::Tasks;
use server::telemetry::chain;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::certificate::Peer;
use crate::door::{Door, Place, Places};
use crate::extract::Address;
use crate::proxied::{self, Network};
use crate::tokens::LastToken;

const HEAD_BYTES: usize = 32 << 10;
const HEADERS: usize = 100;
const STREAMS_PER_CONNECTION: u32 = 64;
/// Streams that were reset by us or by the peer (CVE-2023-44487, CVE-2025-8671) and are not done with.
const RESET_STREAMS: usize = 32;
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a peer may not read what it has asked for.
const WRITE: Duration = Duration::from_secs(30);
/// Requests may finish for this long when the service stops, or another connection needs the place.
const GRACE: Duration = Duration::from_secs(5);
/// After an accept that failed (out of descriptors, mostly) the next one waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const ALPN_HTTP2: &[u8] = b"h2";

/// What a peer may take of us.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// Connections at one time.
    pub(crate) places: Places,
    /// Peers that speak for others.
    pub(crate) proxies: Vec<Network>,
    /// For the head of a request, from its first byte or since the last answer.
    pub(crate) head: Duration,
}

/// Accepts until the tasks are stopped.
pub(crate) async fn serve(
    listener: TcpListener,
    acceptor: Acceptor,
    router: Router,
    bounds: Bounds,
    tasks: &Tasks,
) {
    let door = Door::new(bounds.places);
    let proxies: Arc<[Network]> = bounds.proxies.into();
    let stopping = tasks.stopping();
    tokio::pin!(stopping);
    loop {
        let accepted = tokio::select! {
            () = &mut stopping => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let Some(place) = door.admit(address.ip()) else {
                    debug!("no place for a connection");
                    continue;
                };
                let connection = one_connection(
                    (stream, address.ip(), Arc::clone(&proxies)),
                    acceptor.clone(),
                    router.clone(),
                    bounds.head,
                    tasks.stopping(),
                    place,
                );
                tasks.spawn(connection);
            }
            Err(error) => {
                warn!(%error, "accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn one_connection(
    (stream, peer, proxies): (TcpStream, IpAddr, Arc<[Network]>),
    acceptor: Acceptor,
    router: Router,
    head: Duration,
    stopping: impl Future<Output = ()>,
    place: Arc<Place>,
) {
    tokio::pin!(stopping);
    let shaken = tokio::select! {
        () = &mut stopping => return,
        () = place.left() => return,
        shaken = shake_hands(stream, peer, &proxies, acceptor) => shaken,
    };
    match shaken {
        Ok((connection, address)) => answer(connection, address, router, head, &place, stopping).await,
        Err(error) => debug!(error = %chain(error.as_ref()), "no connection"),
    }
}

async fn shake_hands(
    mut stream: TcpStream,
    peer: IpAddr,
    proxies: &[Network],
    acceptor: Acceptor,
) -> Result<(Connection<TcpStream>, Address), Box<dyn Error + Send + Sync>> {
    let address = of_client(&mut stream, peer, proxies).await.inspect_err(|error| {
        warn!(error = %chain(error), "a proxy's connection is refused");
    })?;
    Ok((acceptor.accept(stream).await?, address))
}

/// Where a connection comes from: what a listed proxy says, and for all others what the kernel says.
async fn of_client(
    stream: &mut TcpStream,
    peer: IpAddr,
    proxies: &[Network],
) -> Result<Address, proxied::HeaderError> {
    if !proxies.iter().any(|network| network.contains(peer)) {
        return Ok(Address(peer));
    }
    Ok(Address(proxied::read(stream).await?.unwrap_or(peer)))
}

async fn answer(
    connection: Connection<TcpStream>,
    address: Address,
    router: Router,
    head: Duration,
    place: &Arc<Place>,
    stopping: impl Future<Output = ()>,
) {
    let peer = Peer::of(connection.peer.as_ref());
    let last = LastToken::default();
    let builder = http(connection.application.as_deref() == Some(ALPN_HTTP2), head);
    let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(address);
        request.extensions_mut().insert(last.clone());
        let (under_way, answer) = (place.request(), router.clone().oneshot(request));
        async move { answer.await.map(|answer| answer.map(|body| under_way.until_the_end_of(body))) }
    });
    let mut stream = Box::pin(TimeoutStream::new(connection.stream));
    stream.as_mut().set_write_timeout_pinned(Some(WRITE));
    let exchange = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(exchange, stopping);
    let ended = tokio::select! {
        ended = exchange.as_mut() => ended,
        () = async { tokio::select! { () = &mut stopping => {}, () = place.left() => {} } } => {
            exchange.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, exchange).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}

/// The protocol is what ALPN chose; nothing is guessed from the first bytes.
fn http(http2: bool, head: Duration) -> auto::Builder<TokioExecutor> {
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .max_header_list_size(HEAD_BYTES as u32)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(RESET_STREAMS)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
