//! What rustls asks during a handshake. Possession of the key is always checked; who the peer is, only where
//! there is somebody to vouch for it (anchored) - an attested peer is proved afterwards.

use std::sync::{Arc, OnceLock};

use pki::{Certificate, Oid, PublicKey, path};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use crate::{client::ServerIdentity, server::ClientCertificates};

/// Reads an end entity's certificate: strict DER, and a P-256 key, because all our keys are.
fn read_peer(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    let certificate = Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    match certificate.public_key() {
        Ok(PublicKey::P256(_)) => Ok(certificate),
        Ok(PublicKey::P384(_) | PublicKey::Rsa(_)) | Err(_) => Err(CertificateError::BadEncoding.into()),
    }
}

/// TLS 1.3 and P-256 only: the one scheme of our keys.
fn schemes() -> Vec<SignatureScheme> {
    vec![SignatureScheme::ECDSA_NISTP256_SHA256]
}

fn no_tls12<T>() -> Result<T, Error> {
    Err(Error::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic))
}

macro_rules! handshake_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _certificate: &CertificateDer<'_>,
            _signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            no_tls12()
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signature, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            schemes()
        }
    };
}

/// Accepts any client certificate, self-signed too: only possession of its key is checked. Tokens are bound to it.
#[derive(Debug)]
pub(crate) struct AnyClient {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) certificates: ClientCertificates,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        match self.certificates {
            ClientCertificates::Required => true,
            ClientCertificates::Optional => false,
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        read_peer(end_entity).map(|_| ClientCertVerified::assertion())
    }

    handshake_signatures!();
}

/// Accepts any server certificate for the handshake; the caller proves the peer afterwards.
#[derive(Debug)]
pub(crate) struct ProvedLater {
    pub(crate) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ProvedLater {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        read_peer(end_entity).map(|_| ServerCertVerified::assertion())
    }

    handshake_signatures!();
}

/// Accepts a server that shows, in its chain, the authority with this SHA-256, and is certified by it with the expected identity.
#[derive(Debug)]
pub(crate) struct PinnedServer {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) identity: ServerIdentity,
    /// The authority, once it has been seen and has vouched.
    pub(crate) root: Arc<OnceLock<Certificate>>,
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut shown = intermediates.iter().filter_map(|der| Certificate::from_der(der).ok());
        let root = shown.find(|certificate| certificate.sha256() == self.fingerprint);
        let root = root.ok_or(CertificateError::UnknownIssuer)?;
        let anchored = AnchoredServer {
            provider: Arc::clone(&self.provider),
            roots: vec![root.clone()],
            identity: self.identity.clone(),
        };
        let verified =
            anchored.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        // One handshake, one authority.
        let _ = self.root.set(root);
        Ok(verified)
    }

    handshake_signatures!();
}

/// Accepts a server whose chain leads to one of the roots and whose certificate has the expected identity.
#[derive(Debug)]
pub(crate) struct AnchoredServer {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) roots: Vec<Certificate>,
    pub(crate) identity: ServerIdentity,
}

impl ServerCertVerifier for AnchoredServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        read_peer(end_entity)?;
        let chain: Vec<&[u8]> = std::iter::once(end_entity).chain(intermediates).map(AsRef::as_ref).collect();
        let verified = path::verify(&chain, &self.roots, now.as_secs(), Oid::SERVER_AUTH)
            .map_err(|error| CertificateError::Other(rustls::OtherError(Arc::new(error))))?;
        let named = match (&self.identity, server_name) {
            (ServerIdentity::DialledName, ServerName::DnsName(dialled)) => {
                verified.leaf().dns_names().iter().any(|name| name == dialled.as_ref())
            }
            (ServerIdentity::DialledName, _) => false,
            (ServerIdentity::Spiffe(id), _) => verified.leaf().uris() == [id.to_string()],
        };
        if named {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::NotValidForName.into())
        }
    }

    handshake_signatures!();
}
