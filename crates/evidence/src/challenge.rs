//! The question that evidence must answer. Made before the question is asked; consumed by the check, also when it fails.

use names::Digest;

use crate::{Audience, Purpose};

/// What the asker expects of the TLS channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelRule {
    /// The statement must hold this exporter value; `none` is a downgrade and refused.
    Required([u8; 32]),
    /// Evidence from elsewhere: no channel of ours to compare with.
    Unbound,
}

/// What the asker expects beside freshness, by purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// A client that will connect.
    Serve {
        /// SHA-256 of the certificate (DER) that the peer of this connection showed.
        certificate: Digest,
        /// The connection's exporter value.
        channel: ChannelRule,
    },
    /// A CA that was sent a certificate request.
    Issue {
        /// SHA-256 of the CSR (DER).
        csr: Digest,
        /// SHA-256 of the key in the CSR (SPKI).
        spki: Digest,
    },
    /// A verifier that asks a node's agent.
    Node,
}

impl Expectation {
    /// The purpose that the statement must have.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        match self {
            Self::Serve { .. } => Purpose::Serve,
            Self::Issue { .. } => Purpose::Issue,
            Self::Node => Purpose::Node,
        }
    }
}

/// A challenge: single use, short-lived. It is not `Clone`, so that a nonce is checked once.
#[derive(Debug)]
pub struct Challenge {
    pub(crate) nonce: [u8; 32],
    pub(crate) made_at: u64,
    pub(crate) max_age: u64,
    pub(crate) audience: Audience,
    pub(crate) expectation: Expectation,
}

impl Challenge {
    /// A challenge with 32 fresh random bytes, made at `made_at` (unix seconds), good for `max_age` seconds.
    #[must_use]
    pub fn new(
        nonce: [u8; 32],
        made_at: u64,
        max_age: u64,
        audience: Audience,
        expectation: Expectation,
    ) -> Self {
        Self { nonce, made_at, max_age, audience, expectation }
    }

    /// The nonce to send.
    #[must_use]
    pub const fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }
}
