//! The server's side: TLS 1.3 only, no tickets, no early data, exactly the names of its certificate.

use std::sync::{Arc, PoisonError, RwLock};

use pki::Certificate;
use rustls::{
    ServerConfig,
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    HANDSHAKE_DEADLINE, LocalKey, TlsError,
    connection::{self, Connection},
    provider,
    verifiers::AnyClient,
};

/// Whether a client must show a certificate. Self-signed ones are accepted: only the key matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// No certificate, no connection.
    Required,
    /// Asked for, and used when there is one.
    Optional,
}

/// What happens to a client that names no server (one that dialled an address).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoServerName {
    /// Refused: enclaves have one exact name.
    Refuse,
    /// Served: the client checks the certificate in another way.
    Serve,
}

struct Installed {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// Holds the server's certificate and lets it be renewed while connections stay open.
pub struct CertificateSlot {
    installed: RwLock<Option<Installed>>,
    no_server_name: NoServerName,
}

impl CertificateSlot {
    /// An empty slot: every handshake is refused until a certificate is installed.
    pub fn new(no_server_name: NoServerName) -> Arc<Self> {
        Arc::new(Self { installed: RwLock::new(None), no_server_name })
    }

    /// Installs a chain (DER, leaf first) for `key`; new connections use it from now on. The served names are the
    /// leaf's DNS names.
    pub fn install<B: AsRef<[u8]>>(&self, key: &LocalKey, chain: &[B]) -> Result<(), TlsError> {
        let leaf = chain.first().ok_or(TlsError::PeerCertificate)?;
        let leaf = Certificate::from_der(leaf.as_ref()).map_err(|_| TlsError::PeerCertificate)?;
        let installed = Installed { names: leaf.dns_names().to_vec(), key: key.certified_key(chain)? };
        *self.installed.write().unwrap_or_else(PoisonError::into_inner) = Some(installed);
        Ok(())
    }

    /// The leaf that is served now.
    pub fn leaf(&self) -> Option<Certificate> {
        let installed = self.installed.read().unwrap_or_else(PoisonError::into_inner);
        let leaf = installed.as_ref()?.key.cert.first()?.clone();
        drop(installed);
        Certificate::from_der(&leaf).ok()
    }

    fn select(&self, server_name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let installed = self.installed.read().unwrap_or_else(PoisonError::into_inner);
        let installed = installed.as_ref()?;
        let served = match (server_name, self.no_server_name) {
            (Some(name), _) => installed.names.iter().any(|served| served == name),
            (None, NoServerName::Serve) => true,
            (None, NoServerName::Refuse) => false,
        };
        served.then(|| installed.key.clone())
    }
}

impl std::fmt::Debug for CertificateSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateSlot")
            .field("no_server_name", &self.no_server_name)
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for CertificateSlot {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls has lower-cased the name and refused what is no DNS name.
        self.select(hello.server_name())
    }
}

/// Accepts connections.
#[derive(Clone)]
pub struct Acceptor {
    inner: tokio_rustls::TlsAcceptor,
}

impl Acceptor {
    /// Serves the certificate in `slot`; offers HTTP/2 and HTTP/1.1.
    pub fn new(slot: Arc<CertificateSlot>, certificates: ClientCertificates) -> Result<Self, TlsError> {
        let verifier = AnyClient { provider: provider(), certificates };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Configuration)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(slot);
        // A resumed session would have no fresh proof of the client's key, and its exporter no fresh handshake.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { inner: tokio_rustls::TlsAcceptor::from(Arc::new(config)) })
    }

    /// Performs the handshake, within [`HANDSHAKE_DEADLINE`].
    pub async fn accept<S>(&self, io: S) -> Result<Connection<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = tokio::time::timeout(HANDSHAKE_DEADLINE, self.inner.accept(io))
            .await
            .map_err(|_| TlsError::Deadline)?
            .map_err(TlsError::Handshake)?;
        connection::established(stream.into())
    }
}
