//! One connection: find its name, find its facade, then pass bytes both ways without looking at them.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::hello::{self, ALERT_INTERNAL_ERROR, ALERT_UNRECOGNIZED_NAME, Hello, HelloError, MAX_HELLO};
use crate::routes::Routes;

/// From the accepted connection to the last byte of its ClientHello.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const ALERT_DEADLINE: Duration = Duration::from_secs(1);
/// Bytes held per direction of a tunnel.
const COPY_BUFFER: usize = 16 * 1024;

/// Why a connection did not become a tunnel, or how the tunnel ended.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// What came is not a hello that names a host.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// The name is well-formed and nobody's.
    #[error("unknown name")]
    UnknownName,
    /// The hello did not come in time, or there was no turn to read it.
    #[error("no ClientHello in time")]
    TooSlow,
    /// The facade does not answer.
    #[error("facade out of reach")]
    Upstream(#[source] io::Error),
    /// The client went away before it was routed.
    #[error("client went away")]
    Gone,
    /// The tunnel broke.
    #[error("tunnel broke")]
    Tunnel(#[source] io::Error),
}

impl RelayError {
    /// The reason code for logs and counters.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Hello(HelloError::NotTls) => "not_tls",
            Self::Hello(HelloError::Malformed) => "hello_malformed",
            Self::Hello(HelloError::TooLarge) => "hello_too_large",
            Self::Hello(HelloError::Unnamed) => "name_missing",
            Self::Hello(HelloError::NotExact) => "name_not_exact",
            Self::UnknownName => "name_unknown",
            Self::TooSlow => "hello_too_slow",
            Self::Upstream(_) => "facade_unreachable",
            Self::Gone => "client_gone",
            Self::Tunnel(_) => "tunnel_broken",
        }
    }

    const fn alert(&self) -> Option<u8> {
        match self {
            Self::Hello(error) => error.alert(),
            Self::UnknownName => Some(ALERT_UNRECOGNIZED_NAME),
            Self::Upstream(_) => Some(ALERT_INTERNAL_ERROR),
            Self::TooSlow | Self::Gone | Self::Tunnel(_) => None,
        }
    }
}

/// Relays one connection to its end; bytes up and down.
///
/// # Errors
/// [`RelayError`]; the client was told by an alert where TLS has one.
pub async fn relay(
    mut client: TcpStream,
    routes: &watch::Receiver<Routes>,
    half_open: &Semaphore,
) -> Result<(u64, u64), RelayError> {
    let mut facade = match route(&mut client, routes, half_open).await {
        Ok(facade) => facade,
        Err(error) => {
            refuse(&mut client, &error).await;
            return Err(error);
        }
    };
    tokio::io::copy_bidirectional_with_sizes(&mut client, &mut facade, COPY_BUFFER, COPY_BUFFER)
        .await
        .map_err(RelayError::Tunnel)
}

/// The facade's socket, with the hello already written to it.
async fn route(
    client: &mut TcpStream,
    routes: &watch::Receiver<Routes>,
    half_open: &Semaphore,
) -> Result<UnixStream, RelayError> {
    let (name, hello) = timeout(HELLO_DEADLINE, async {
        let _turn = half_open.acquire().await.map_err(|_| RelayError::TooSlow)?;
        read_hello(client).await
    })
    .await
    .map_err(|_| RelayError::TooSlow)??;
    let socket = routes.borrow().socket(&name).map(ToOwned::to_owned).ok_or(RelayError::UnknownName)?;
    timeout(CONNECT_DEADLINE, async {
        let mut facade = crate::upstream::connect(&socket).await?;
        facade.write_all(&hello).await?;
        Ok(facade)
    })
    .await
    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    .map_err(RelayError::Upstream)
}

async fn read_hello(client: &mut TcpStream) -> Result<(String, Vec<u8>), RelayError> {
    let mut hello = Hello::default();
    let mut piece = [0u8; 2048];
    let mut room = MAX_HELLO;
    loop {
        let want = piece.len().min(room);
        let buffer = piece.get_mut(..want).unwrap_or_default();
        let count = client.read(buffer).await.map_err(|_| RelayError::Gone)?;
        if count == 0 {
            return Err(RelayError::Gone);
        }
        room -= count;
        if let Some(name) = hello.push(buffer.get(..count).unwrap_or_default())? {
            return Ok((name, hello.into_bytes()));
        }
    }
}

/// Says why in the protocol's own words and closes. It makes no difference whether the client still listens.
async fn refuse(client: &mut TcpStream, error: &RelayError) {
    let _ = timeout(ALERT_DEADLINE, async {
        if let Some(alert) = error.alert() {
            client.write_all(&hello::alert_record(alert)).await?;
        }
        client.shutdown().await
    })
    .await;
}
