//! The verifier's own key and certificate: what enrolments and verdicts are signed with.

use attested_tls::LocalKey;

/// A key with its chain. Renewed by whoever composes the parts, through a `watch`.
#[derive(Clone)]
pub struct Identity {
    /// The key.
    pub key: LocalKey,
    /// DER certificates, leaf first, root last.
    pub chain: Vec<Vec<u8>>,
}
