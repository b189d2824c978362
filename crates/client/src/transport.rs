//! TCP and TLS: to the gateway, which an anchor vouches for, and to an enclave, which is still to be proved.

use ::names::{Digest, Part, TrustDomain};
use attested_tls::{
    AnchoredConnector, Application, AttestedConnector, ServerIdentity, SharedStream, Unproved,
    pinned_authority,
};
use pki::Certificate;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::context::{Context, Endpoint};
use crate::error::Error;
use crate::http::{CONNECT_TIME, ExchangeError};
use crate::profile::Profile;

/// The way to the gateway: a certificate of the part `gateway`, from an anchor of the context.
pub(crate) struct GatewayTls {
    connector: AnchoredConnector,
    endpoint: Endpoint,
}

impl GatewayTls {
    pub(crate) fn new(context: &Context, profile: &Profile) -> Result<Self, Error> {
        let anchors = context.roots()?.certificates().to_vec();
        let identity = ServerIdentity::Spiffe(context.trust_domain.part(Part::Gateway));
        let connector =
            AnchoredConnector::new(anchors, identity, Some(profile.certified_key()?), Application::Http1)
                .map_err(|error| profile.unusable(error.into()))?;
        Ok(Self { connector, endpoint: context.gateway.clone() })
    }

    pub(crate) async fn connect(&self) -> Result<SharedStream<TcpStream>, ExchangeError> {
        let stream = dial(&self.endpoint).await?;
        let connection =
            self.connector.connect(self.endpoint.host(), stream).await.map_err(ExchangeError::Tls)?;
        Ok(connection.stream)
    }
}

/// The CA of a gateway of which nothing is known but the SHA-256 of its CA's certificate: it has to show that one, and to be
/// certified by it as the gateway of this trust domain.
///
/// # Errors
/// [`ExchangeError`]; where it shows another CA, [`ExchangeError::Tls`].
pub async fn ca_by_fingerprint(
    gateway: &Endpoint,
    trust_domain: &TrustDomain,
    fingerprint: &Digest,
) -> Result<Certificate, ExchangeError> {
    let stream = dial(gateway).await?;
    let identity = ServerIdentity::Spiffe(trust_domain.part(Part::Gateway));
    let shown = pinned_authority(*fingerprint.as_bytes(), identity, gateway.host(), stream);
    shown.await.map_err(ExchangeError::Tls)
}

/// Connects to an enclave through the edge: the host is only the TLS server name and is never resolved.
pub(crate) async fn connect_enclave(
    edge: &Endpoint,
    host: &str,
    connector: &AttestedConnector,
) -> Result<Unproved<TcpStream>, ExchangeError> {
    let stream = dial(edge).await?;
    connector.connect(host, stream).await.map_err(ExchangeError::Tls)
}

async fn dial(endpoint: &Endpoint) -> Result<TcpStream, ExchangeError> {
    let connecting = TcpStream::connect((endpoint.host(), endpoint.port()));
    let slow = ExchangeError::Slow { what: "connection", after: CONNECT_TIME };
    let stream =
        timeout(CONNECT_TIME, connecting).await.map_err(|_| slow)?.map_err(ExchangeError::Connect)?;
    // Small requests should not wait for more. Where it can't be set they only do.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}
