//! Every bound of a facade on what its clients and its app control.

use std::time::Duration;

/// The bounds. Sizes of headers are consts of `headers`, those of HTTP/2 of `front`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time, tunnels included.
    pub connections: usize,
    /// A TLS handshake from its first to its last byte.
    pub handshake: Duration,
    /// The header of an HTTP/1.1 request, and the time between two requests on one connection.
    pub header: Duration,
    /// A connection without a request on it.
    pub connection_idle: Duration,
    /// Requests at the app at one time.
    pub requests: usize,
    /// Bytes of one request body.
    pub request_body: u64,
    /// Silence of a client in the middle of a request body.
    pub request_idle: Duration,
    /// From the last byte that the app took of a request to the beginning of its answer.
    pub answer: Duration,
    /// Silence of the app in the middle of an answer: long, for streams of events.
    pub answer_idle: Duration,
    /// Questions for evidence that wait for the agent at one time: one full batch.
    pub evidence_waiting: usize,
    /// Longest wait for evidence.
    pub evidence: Duration,
    /// Questions for evidence that a connection may ask at once, and per second after that.
    pub evidence_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(60),
            connection_idle: Duration::from_secs(600),
            requests: 1024,
            request_body: 1 << 30,
            request_idle: Duration::from_secs(60),
            answer: Duration::from_secs(120),
            answer_idle: Duration::from_secs(900),
            evidence_waiting: 1024,
            evidence: Duration::from_secs(30),
            evidence_burst: 16,
        }
    }
}
