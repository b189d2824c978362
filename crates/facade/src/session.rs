//! One connection after its handshake: who is at the other end, and what this connection was granted so far.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use attested_tls::{Channel, Connection, SharedStream, TlsError};
use names::Digest;
use tokio::net::UnixStream;

use crate::tokens::Accepted;

/// Who is at the other end. TLS proved possession of the certificate's key, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// SHA-256 of its certificate: what tokens are bound to.
    pub certificate: Digest,
    /// SHA-256 of its key (SPKI): what owners and audiences are.
    pub key: Digest,
}

/// What a client is to this enclave. Everybody may ask for evidence, so strangers have bounds of their own: they can't
/// take the owner's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Holds the owner's key.
    Owner,
    /// Holds another key.
    Stranger,
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
    standing: Standing,
    served: Digest,
    accepted: Mutex<Option<Accepted>>,
    evidence: Mutex<Bucket>,
    activity: Activity,
}

/// Cheap enough for every request: two atomics, no waking.
struct Activity {
    began: Instant,
    running: AtomicUsize,
    /// Milliseconds after `began` at which the last request ended.
    ended: AtomicU64,
}

impl Session {
    /// Takes a connection over, with the certificate (SHA-256) that its client saw.
    ///
    /// # Errors
    /// Where there is no client certificate, which the acceptor has ruled out.
    pub fn open(
        connection: Connection<UnixStream>,
        served: Digest,
        owner: &Digest,
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
            standing: if client.key == *owner { Standing::Owner } else { Standing::Stranger },
            served,
            accepted: Mutex::new(None),
            evidence: Mutex::new(Bucket::full(evidence_burst, Instant::now())),
            activity: Activity {
                began: Instant::now(),
                running: AtomicUsize::new(0),
                ended: AtomicU64::new(0),
            },
        };
        Ok((Arc::new(session), connection.stream, protocol))
    }

    /// The client.
    #[must_use]
    pub const fn client(&self) -> Client {
        self.client
    }

    /// What the client is to this enclave.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
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
        self.activity.running.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(self))
    }

    /// Ends when no request has been running for so long.
    pub async fn idle_for(&self, limit: Duration) {
        loop {
            let left = self.activity.left(limit);
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

impl Activity {
    /// How much of the limit is left, were no request to come.
    fn left(&self, limit: Duration) -> Duration {
        if self.running.load(Ordering::Acquire) > 0 {
            return limit;
        }
        let ended = Duration::from_millis(self.ended.load(Ordering::Acquire));
        (ended + limit).saturating_sub(self.began.elapsed())
    }

    fn ended(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ended.store(now, Ordering::Release);
        self.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request that runs.
pub struct Running(Arc<Session>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.activity.ended();
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
