//! gRPC over a Unix socket that only its owner may open: no open port, and the path is the address.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

/// A channel to the service behind a socket. It connects at the first call, and again after a lost connection.
#[must_use]
pub fn connect(socket: &Path) -> Channel {
    let socket: PathBuf = socket.to_path_buf();
    // The URI only fills the :authority header; the connector below decides where the bytes go.
    Endpoint::from_static("http://part.sealwright.internal").connect_with_connector_lazy(service_fn(
        move |_: Uri| {
            let socket = socket.clone();
            async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(socket).await?)) }
        },
    ))
}

/// Listens on a socket path with mode 0600. A stale socket file of a former run is replaced; a path that is
/// anything but a socket is an error.
///
/// # Errors
/// What the file system or the kernel says.
pub fn serve_socket(path: &Path) -> io::Result<UnixListenerStream> {
    use std::os::unix::fs::FileTypeExt;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "path is in use and not a socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(UnixListenerStream::new(listener))
}
