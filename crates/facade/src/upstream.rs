//! The way to the app: HTTP/1.1 over loopback or over a Unix socket in the app's own file system.

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::body::Passing;
use crate::proxy::Progress;

/// An idle connection to the app is kept for less than what common servers wait before they close it.
const POOL_IDLE: Duration = Duration::from_secs(4);
const POOL_SIZE: usize = 64;
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Header bytes of an answer, and the read buffer for its body.
const ANSWER_BUFFER: usize = 128 * 1024;

/// Where the app listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP on 127.0.0.1.
    Port(u16),
    /// A Unix socket in the app's own file system.
    Socket {
        /// The app's root, as the facade sees it.
        root: PathBuf,
        /// The path below it, without a leading slash.
        path: PathBuf,
    },
}

impl Address {
    /// Opens one connection.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn connect(&self) -> io::Result<AppStream> {
        match self {
            Self::Port(port) => {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await?;
                stream.set_nodelay(true)?;
                Ok(AppStream::Tcp(stream))
            }
            Self::Socket { root, path } => connect_unix(root, path).await.map(AppStream::Unix),
        }
    }
}

/// Symlinks end at the app's root, as they do for the app itself: it may write where its socket is, and what it names
/// must never be one of the node's own sockets, where the facade is somebody. The descriptor is the socket that was
/// found, whatever its name means by then, and no path is too long for it.
async fn connect_unix(root: &Path, path: &Path) -> io::Result<UnixStream> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, root, folder, Mode::empty())?;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let socket = openat2(&root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), within)?;
    UnixStream::connect(Path::new("/proc/self/fd").join(socket.as_raw_fd().to_string())).await
}

/// The app as a server of requests.
#[derive(Debug, Clone)]
pub struct Upstream {
    client: Client<Connector, Passing<Progress>>,
}

impl Upstream {
    /// The app at this address; nothing is connected yet.
    #[must_use]
    pub fn new(address: Address) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_SIZE)
            .http1_max_buf_size(ANSWER_BUFFER)
            .set_host(false)
            .build(Connector(address));
        Self { client }
    }

    /// Sends one request; its URI has any authority, the address decides.
    ///
    /// # Errors
    /// Of the connection or of the request's body.
    pub async fn request(&self, request: Request<Passing<Progress>>) -> Result<Response<Incoming>, Error> {
        self.client.request(request).await
    }
}

#[derive(Debug, Clone)]
struct Connector(Address);

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<AppStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let address = self.0.clone();
        Box::pin(async move {
            let connected = tokio::time::timeout(CONNECT_DEADLINE, address.connect()).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(TokioIo::new)
        })
    }
}

/// A connection to the app.
#[derive(Debug)]
pub enum AppStream {
    /// Over loopback.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Connection for AppStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for AppStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for AppStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
