//! TLS for attested channels.
//!
//! What it is: private keys that are made here and never leave, TLS 1.3 configurations without resumption and
//! early data, connections that give their exporter value and their peer's certificate.
//!
//! What it is not: a judge. Whether a peer's evidence is good is for `evidence` and `appraisal`; a connection to
//! an attested peer stays [`Unproved`] until the caller has proved it.
//!
//! Callers: facade, gateway, client, and every part that has a key of its own.

mod client;
mod connection;
mod ed25519;
mod key;
mod server;
mod verifiers;

pub use client::{
    AnchoredConnector, Application, AttestedConnector, ServerIdentity, Unproved, pinned_authority,
};
pub use connection::{Channel, Connection, EXPORTER_LABEL, SharedStream};
pub use ed25519::{Ed25519Key, verify_ed25519};
pub use key::{KeyError, LocalKey};
pub use server::{Acceptor, CertificateSlot, ClientCertificates, NoServerName};

use std::time::Duration;

/// A handshake that takes longer is given up, on either side.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no connection, or no configuration for one.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The configuration is not possible: a defect of the caller.
    #[error("TLS configuration is not possible")]
    Configuration(#[source] rustls::Error),
    /// The handshake ended with an error of the transport or of the protocol.
    #[error("TLS handshake did not succeed")]
    Handshake(#[source] std::io::Error),
    /// The handshake took too long.
    #[error("TLS handshake took too long")]
    Deadline,
    /// The peer showed no certificate, or one that we don't read.
    #[error("peer certificate is missing or not readable")]
    PeerCertificate,
    /// The server's name is not one that can be dialled.
    #[error("server name is not valid")]
    ServerName,
    /// The connection gives no exporter value.
    #[error("connection gives no exporter value")]
    Exporter(#[source] rustls::Error),
}

/// Installs the one crypto provider of the process. Calling it again changes nothing.
pub fn install_provider() {
    // An error means that a provider is installed already, by an earlier call: there is only one in the tree.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

pub(crate) fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
