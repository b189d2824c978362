//! The client's side: TLS 1.3 only, its own certificate, and a peer that is either anchored or still to be proved.

use std::sync::{Arc, OnceLock};

use names::SpiffeId;
use pki::Certificate;
use rustls::{
    ClientConfig,
    client::{Resumption, danger::ServerCertVerifier},
    pki_types::ServerName,
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::{
    HANDSHAKE_DEADLINE, TlsError,
    connection::{self, Channel, Connection, SharedStream},
    provider,
    verifiers::{AnchoredServer, PinnedServer, ProvedLater},
};

/// What is spoken inside: offered by ALPN (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Application {
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
    /// HTTP/2, or HTTP/1.1 where the server has nothing better.
    Http2OrHttp1,
}

/// Who an anchored server must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerIdentity {
    /// The DNS name that was dialled.
    DialledName,
    /// This SPIFFE id, whatever name or address was dialled.
    Spiffe(SpiffeId),
}

/// Connects to servers that a certificate authority vouches for: the parts of the control plane.
#[derive(Clone)]
pub struct AnchoredConnector {
    inner: TlsConnector,
}

impl AnchoredConnector {
    /// Trusts `roots`, shows `client` if there is one.
    pub fn new(
        roots: Vec<Certificate>,
        identity: ServerIdentity,
        client: Option<Arc<CertifiedKey>>,
        application: Application,
    ) -> Result<Self, TlsError> {
        let verifier = AnchoredServer { provider: provider(), roots, identity };
        Ok(Self { inner: connector(Arc::new(verifier), client, application)? })
    }

    /// Performs the handshake; `name` is a DNS name or an address.
    pub async fn connect<S>(&self, name: &str, io: S) -> Result<Connection<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        handshake(&self.inner, name, io).await
    }
}

/// The authority of a server, known by nothing but the SHA-256 of its certificate: the server has to show it, and to be certified by
/// it with this identity. Nothing is sent on the connection, which ends here.
///
/// # Errors
/// [`TlsError::Handshake`] where the server shows another authority, or is somebody else.
pub async fn pinned_authority<S>(
    fingerprint: [u8; 32],
    identity: ServerIdentity,
    name: &str,
    io: S,
) -> Result<Certificate, TlsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let root = Arc::new(OnceLock::new());
    let verifier = PinnedServer { provider: provider(), fingerprint, identity, root: Arc::clone(&root) };
    let connector = connector(Arc::new(verifier), None, Application::Http1)?;
    drop(handshake(&connector, name, io).await?);
    root.get().cloned().ok_or(TlsError::PeerCertificate)
}

/// Connects to enclaves: nobody vouches for them, the peer is proved afterwards by its evidence.
#[derive(Clone)]
pub struct AttestedConnector {
    inner: TlsConnector,
}

impl AttestedConnector {
    /// Shows `client`: an enclave wants to know whom it talks to, and evidence is addressed to its key.
    pub fn new(client: Arc<CertifiedKey>, application: Application) -> Result<Self, TlsError> {
        let verifier = ProvedLater { provider: provider() };
        Ok(Self { inner: connector(Arc::new(verifier), Some(client), application)? })
    }

    /// Performs the handshake. What comes back may carry the question for evidence and nothing else.
    pub async fn connect<S>(&self, name: &str, io: S) -> Result<Unproved<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connection = handshake(&self.inner, name, io).await?;
        let certificate = connection.peer.ok_or(TlsError::PeerCertificate)?;
        Ok(Unproved { stream: connection.stream, channel: connection.channel, certificate })
    }
}

/// A connection whose peer holds the key of the certificate that it showed, and of which nothing else is known.
/// Nothing but the question for evidence may be sent until the evidence for exactly this certificate and this
/// channel was judged; the type that says so is the caller's.
pub struct Unproved<S> {
    stream: SharedStream<S>,
    channel: Channel<S>,
    certificate: Certificate,
}

impl<S> Unproved<S> {
    /// The certificate that the peer showed; its evidence must name it.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The exporter value that the peer's evidence must hold for `nonce`.
    pub fn evidence_exporter(&self, nonce: &[u8; 32]) -> Result<[u8; 32], TlsError> {
        self.channel.evidence_exporter(nonce)
    }

    /// The stream to ask for evidence with, the channel to prove it again later, and the peer's certificate.
    pub fn into_evidence_stream(self) -> (SharedStream<S>, Channel<S>, Certificate) {
        (self.stream, self.channel, self.certificate)
    }
}

fn connector(
    verifier: Arc<dyn ServerCertVerifier>,
    client: Option<Arc<CertifiedKey>>,
    application: Application,
) -> Result<TlsConnector, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Configuration)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match client {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.alpn_protocols = match application {
        Application::Http1 => vec![b"http/1.1".to_vec()],
        Application::Http2 => vec![b"h2".to_vec()],
        Application::Http2OrHttp1 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn handshake<S>(connector: &TlsConnector, name: &str, io: S) -> Result<Connection<S>, TlsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName)?;
    let stream = tokio::time::timeout(HANDSHAKE_DEADLINE, connector.connect(name, io))
        .await
        .map_err(|_| TlsError::Deadline)?
        .map_err(TlsError::Handshake)?;
    connection::established(stream.into())
}
