//! gRPC over a Unix socket that only its owner may open: no open port, and the path is the address.
//!
//! Invariant: no process of an enclave is served, also where its user is the owner.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_util::rt::TokioIo;
use server::Tasks;
use tokio::net::UnixStream;
use tokio_stream::Stream;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::transport::server::Router;
use tonic::transport::{Channel as Connection, Endpoint, Uri};
use tower::util::MapRequest;
use tower::{ServiceExt, service_fn};

/// A way to a part that takes the caller's trace along. Cheap to clone.
pub type Channel = MapRequest<Connection, fn(http::Request<Body>) -> http::Request<Body>>;

/// A channel to the service behind a socket. It connects at the first call, and again after a lost connection.
#[must_use]
pub fn connect(socket: &Path) -> Channel {
    let socket: PathBuf = socket.to_path_buf();
    // The URI only fills the :authority header; the connector below decides where the bytes go.
    let endpoint = Endpoint::from_static("http://part.sealwright.internal");
    let connection = endpoint.connect_with_connector_lazy(service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(socket).await?)) }
    }));
    connection.map_request(take_trace_along)
}

fn take_trace_along(mut request: http::Request<Body>) -> http::Request<Body> {
    if let Some(parent) = server::trace::header() {
        request.headers_mut().insert(server::trace::HEADER, parent);
    }
    request
}

/// A gRPC server each of whose calls is a span in its caller's trace.
#[must_use]
pub fn server() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .trace_fn(|request| server::trace::span_for(request.uri().path(), request.headers()))
}

/// The connections of a socket, without those of enclaves.
pub struct Incoming(UnixListenerStream);

impl Stream for Incoming {
    type Item = io::Result<UnixStream>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let next = ready!(Pin::new(&mut self.0).poll_next(context));
            match next.map(|accepted| accepted.map(|stream| (server::unix::no_enclaves(&stream), stream))) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok((Ok(()), stream))) => return Poll::Ready(Some(Ok(stream))),
                Some(Ok((Err(error), _))) => tracing::warn!(%error, "a peer is refused"),
            }
        }
    }
}

/// Listens on a socket path with mode 0600, as [`server::unix::listen`] does.
///
/// # Errors
/// What the file system or the kernel says.
pub fn serve_socket(path: &Path) -> io::Result<Incoming> {
    Ok(Incoming(UnixListenerStream::new(server::unix::listen(path, 0o600)?)))
}

/// Serves until the tasks drain; an end before that is logged under the service's name.
pub fn serve(name: &'static str, router: Router, incoming: Incoming, tasks: &Tasks) {
    let stopping = tasks.stopping();
    tasks.spawn(async move {
        if let Err(error) = router.serve_with_incoming_shutdown(incoming, stopping).await {
            tracing::error!(name, error = %server::telemetry::chain(&error), "stopped serving");
        }
    });
}
