//! One connection after its handshake: who is at the other end, and what this connection was granted so far.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use attested_tls::{Channel, Connection, SharedStream, TlsError};
use names::Digest;
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::tokens::Accepted;

/// Who is at the other end. TLS proved possession of the certificate's key, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// SHA-256 of its certificate: what tokens are bound to.
    pub certificate: Digest,
    /// SHA-256 of its key (SPKI): what owners and audiences are.
    pub key: Digest,
}

/// The protocol that the client chose by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, or nothing said.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What all requests of one connection share.
pub struct Session {
    channel: Channel<UnixStream>,
    client: Client,
    served: Digest,
    accepted: Mutex<Option<Accepted>>,
    evidence: Mutex<Bucket>,
    running: watch::Sender<usize>,
}

impl Session {
    /// Takes a connection over, with the certificate (SHA-256) that its client saw.
    ///
    /// # Errors
    /// Where there is no client certificate, which the acceptor has ruled out.
    pub fn open(
        connection: Connection<UnixStream>,
        served: Digest,
        evidence_burst: u32,
    ) -> Result<(Arc<Self>, SharedStream<UnixStream>, Protocol), TlsError> {
        let peer = connection.peer.ok_or(TlsError::PeerCertificate)?;
        let client = Client {
            certificate: Digest::from_bytes(peer.sha256()),
            key: Digest::from_bytes(peer.spki_sha256()),
        };
        let protocol = match connection.application.as_deref() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let session = Self {
            channel: connection.channel,
            client,
            served,
            accepted: Mutex::new(None),
            evidence: Mutex::new(Bucket::full(evidence_burst, Instant::now())),
            running: watch::Sender::new(0),
        };
        Ok((Arc::new(session), connection.stream, protocol))
    }

    /// The client.
    #[must_use]
    pub const fn client(&self) -> Client {
        self.client
    }

    /// SHA-256 of the certificate that the client saw.
    #[must_use]
    pub const fn served(&self) -> Digest {
        self.served
    }

    /// The exporter value of this connection, computed now.
    ///
    /// # Errors
    /// [`TlsError::Exporter`].
    pub fn exporter(&self, nonce: &[u8; 32]) -> Result<[u8; 32], TlsError> {
        self.channel.evidence_exporter(nonce)
    }

    /// What was accepted last on this connection.
    #[must_use]
    pub fn accepted(&self) -> Option<Accepted> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers an accepted token.
    pub fn accept(&self, accepted: Accepted) {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepted);
    }

    /// Whether this connection may ask for evidence once more now.
    #[must_use]
    pub fn may_ask_for_evidence(&self) -> bool {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
    }

    /// Counts a request as running until the value is dropped.
    #[must_use]
    pub fn running(self: &Arc<Self>) -> Running {
        self.running.send_modify(|count| *count += 1);
        Running(Arc::clone(self))
    }

    /// Ends when no request has been running for so long.
    pub async fn idle_for(&self, limit: Duration) {
        let mut running = self.running.subscribe();
        loop {
            // The sender lives in self: an error can't come.
            if running.wait_for(|count| *count == 0).await.is_err() {
                return;
            }
            if tokio::time::timeout(limit, running.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// A request that runs.
pub struct Running(Arc<Session>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// A bucket of `size` tokens that gets one more per second.
#[derive(Debug)]
struct Bucket {
    size: u32,
    tokens: u32,
    filled: Instant,
}

impl Bucket {
    const fn full(size: u32, now: Instant) -> Self {
        Self { size, tokens: size, filled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.filled).as_secs();
        if seconds > 0 {
            self.tokens =
                self.size.min(self.tokens.saturating_add(u32::try_from(seconds).unwrap_or(u32::MAX)));
            self.filled += Duration::from_secs(seconds);
        }
        let taken = self.tokens.checked_sub(1);
        self.tokens = taken.unwrap_or(0);
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_per_second() {
        let start = Instant::now();
        let mut bucket = Bucket::full(2, start);
        let at = |millis| start + Duration::from_millis(millis);
        assert!(bucket.take(at(0)) && bucket.take(at(0)) && !bucket.take(at(0)));
        assert!(!bucket.take(at(999)));
        assert!(bucket.take(at(1000)) && !bucket.take(at(1999)));
        assert!(bucket.take(at(2100)) && !bucket.take(at(2200)));
        assert!(bucket.take(at(60_000)) && bucket.take(at(60_000)) && !bucket.take(at(60_000)));
    }
}
