//! gRPC over a Unix socket that only its owner may open: no open port, and the path is the address.

use std::io;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use server::Tasks;
use tokio::net::UnixStream;
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

/// Listens on a socket path with mode 0600, as [`server::unix::listen`] does.
///
/// # Errors
/// What the file system or the kernel says.
pub fn serve_socket(path: &Path) -> io::Result<UnixListenerStream> {
    Ok(UnixListenerStream::new(server::unix::listen(path, 0o600)?))
}

/// Serves until the tasks drain; an end before that is logged under the service's name.
pub fn serve(name: &'static str, router: Router, incoming: UnixListenerStream, tasks: &Tasks) {
    let stopping = tasks.stopping();
    tasks.spawn(async move {
        if let Err(error) = router.serve_with_incoming_shutdown(incoming, stopping).await {
            tracing::error!(name, error = %server::telemetry::chain(&error), "stopped serving");
        }
    });
}
