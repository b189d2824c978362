//! An established connection: its bytes, and beside them, for as long as it lives, its exporter value. The bytes
//! usually move into an HTTP stack, so the TLS state is shared between the two.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use pki::Certificate;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::TlsError;

/// Label of the exporter (RFC 8446, 7.5); the context is the nonce.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-sealwright-evidence-v1";

/// A connection after its handshake.
pub struct Connection<S> {
    /// The bytes.
    pub stream: SharedStream<S>,
    /// The exporter of the same connection.
    pub channel: Channel<S>,
    /// The peer's certificate; only possession of its key was checked, unless the connector was anchored.
    pub peer: Option<Certificate>,
    /// The name that the client asked for (server side only).
    pub server_name: Option<String>,
    /// The application protocol that was agreed.
    pub application: Option<Vec<u8>>,
}

type Shared<S> = Arc<Mutex<TlsStream<S>>>;

/// The bytes of a connection.
pub struct SharedStream<S>(Shared<S>);

/// The exporter of a connection; stays usable while the stream is in use elsewhere.
pub struct Channel<S>(Shared<S>);

impl<S> Clone for Channel<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> Channel<S> {
    /// The value that ties evidence to this connection, for one nonce.
    pub fn evidence_exporter(&self, nonce: &[u8; 32]) -> Result<[u8; 32], TlsError> {
        let stream = lock(&self.0);
        let output = [0u8; 32];
        match &*stream {
            TlsStream::Client(client) => {
                client.get_ref().1.export_keying_material(output, EXPORTER_LABEL, Some(nonce))
            }
            TlsStream::Server(server) => {
                server.get_ref().1.export_keying_material(output, EXPORTER_LABEL, Some(nonce))
            }
        }
        .map_err(TlsError::Exporter)
    }
}

/// Takes a connection apart after its handshake.
pub(crate) fn established<S>(stream: TlsStream<S>) -> Result<Connection<S>, TlsError> {
    let (_, state) = stream.get_ref();
    let peer = match state.peer_certificates().and_then(|chain| chain.first()) {
        Some(leaf) => Some(Certificate::from_der(leaf).map_err(|_| TlsError::PeerCertificate)?),
        None => None,
    };
    let application = state.alpn_protocol().map(<[u8]>::to_vec);
    let server_name = match &stream {
        TlsStream::Server(server) => server.get_ref().1.server_name().map(str::to_owned),
        TlsStream::Client(_) => None,
    };
    let shared = Arc::new(Mutex::new(stream));
    Ok(Connection {
        stream: SharedStream(shared.clone()),
        channel: Channel(shared),
        peer,
        server_name,
        application,
    })
}

fn lock<S>(shared: &Shared<S>) -> MutexGuard<'_, TlsStream<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for SharedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for SharedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.0)).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.0)).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.0).is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_shutdown(cx)
    }
}
