//! Every bound of a facade on what its clients and its app control.

use std::time::Duration;

/// The bounds. Sizes of headers are consts of `headers`, those of HTTP/2 of `front`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time, tunnels included.
    pub connections: usize,
    /// How many of them may be of others than the owner.
    pub strangers: usize,
    /// A TLS handshake from its first to its last byte.
    pub handshake: Duration,
    /// The header of an HTTP/1.1 request, and the time between two requests on one connection.
    pub header: Duration,
    /// A connection without a request on it.
    pub connection_idle: Duration,
    /// The same for others than the owner, who have nothing to do but to ask for evidence.
    pub stranger_idle: Duration,
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
    /// How long a tunnel may be open: it carries no later token than the one it was opened with.
    pub tunnel_life: Duration,
    /// A tunnel without a byte in either direction.
    pub tunnel_idle: Duration,
    /// Questions for evidence that wait for the agent at one time: one full batch of the owner's, one of others.
    pub evidence_waiting: usize,
    /// Longest wait for evidence.
    pub evidence: Duration,
    /// Questions for evidence that a connection may ask at once, and per second after that.
    pub evidence_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2048,
            strangers: 1024,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(60),
            connection_idle: Duration::from_secs(600),
            stranger_idle: Duration::from_secs(30),
            requests: 1024,
            request_body: 1 << 30,
            request_idle: Duration::from_secs(60),
            answer: Duration::from_secs(120),
            answer_idle: Duration::from_secs(900),
            tunnel_life: Duration::from_secs(8 * 3600),
            tunnel_idle: Duration::from_secs(900),
            evidence_waiting: 1024,
            evidence: Duration::from_secs(30),
            evidence_burst: 16,
        }
    }
}
