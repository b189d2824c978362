//! Client certificates: anyone may present one that they signed themselves. Only its key and its bytes matter; tokens are bound to them.

use names::Digest;
use pki::Certificate;

/// The certificate whose key the peer of a connection has proved to hold. Made only from an established connection's peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// SHA-256 of its DER: what tokens are bound to (RFC 8705, 3.1).
    pub(crate) thumbprint: Digest,
    /// SHA-256 of its SPKI: who owns an enclave.
    pub(crate) key: Digest,
}

/// Who opened a connection; in the extensions of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// With a certificate.
    Certified(ClientCertificate),
    /// Without one.
    Anonymous,
}

impl Peer {
    /// The peer of a connection whose handshake is done.
    pub(crate) fn of(certificate: Option<&Certificate>) -> Self {
        certificate.map_or(Self::Anonymous, |certificate| {
            Self::Certified(ClientCertificate {
                thumbprint: Digest::from_bytes(certificate.sha256()),
                key: Digest::from_bytes(certificate.spki_sha256()),
            })
        })
    }

    /// The certificate, if there is one.
    pub(crate) const fn certificate(&self) -> Option<&ClientCertificate> {
        match self {
            Self::Certified(certificate) => Some(certificate),
            Self::Anonymous => None,
        }
    }
}
