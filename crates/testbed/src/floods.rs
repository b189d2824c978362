//! Floods: what many strangers, or one with many connections, can send to a gateway, an edge and an enclave.
//!
//! Invariant: every flood is bounded in time, connections and bytes, and goes to addresses of loopback only. Callers: system
//! tests, which assert that memory stays bounded and another user is served; `bench floods`, which prints the times.

mod line;
mod quiet;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

pub use line::{Answer, Line, LineError};
pub use quiet::{OtherUser, percentile};

use line::dial;

/// Where the floods go.
#[derive(Debug, Clone)]
pub struct Target {
    /// The gateway.
    pub gateway: SocketAddr,
    /// The edge.
    pub edge: SocketAddr,
    /// The server name of an enclave.
    pub enclave: String,
    /// An account, for right passwords.
    pub account: (String, String),
}

/// A kind of flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// Logins with the right password.
    RightLogins,
    /// Logins to accounts that do not exist.
    WrongLogins,
    /// Sign-ups with names of ten megabytes (CVE-2026-54338).
    HugeNames,
    /// Heads of requests that come a byte a second (CVE-2007-6750, "slowloris").
    SlowHeads,
    /// Bodies of requests that come a byte a second.
    SlowBodies,
    /// Connections to the gateway that begin a handshake and stop.
    HalfOpenGateway,
    /// The same to the edge.
    HalfOpenEdge,
    /// Connections to both that say nothing.
    Idle,
    /// Challenges for passkeys that nobody answers (CVE-2026-34052).
    Challenges,
    /// Codes for devices that nobody approves.
    DeviceCodes,
    /// Nonces for evidence, at an enclave that is somebody else's.
    Evidence,
}

/// What became of a flood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were made.
    pub connections: u64,
    /// Requests that got an answer.
    pub answers: u64,
    /// Those that were refused.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    answers: AtomicU64,
    refused: AtomicU64,
}

/// What most floods that ask have open.
const ASKING: usize = 32;
/// Requests that are sent before the first answer is read.
const PIPELINE: usize = 16;
/// Connections that send slowly.
const SLOW: usize = 1000;
/// Connections with half a handshake.
const HALF_OPEN: usize = 2000;
/// Connections that say nothing.
const IDLE: usize = 10_000;
/// Nonces of each kind.
const NONCES: u64 = 100_000;
/// Descriptors that a test needs for itself.
const OWN_DESCRIPTORS: u64 = 512;
/// Bytes of a huge name.
const HUGE: usize = 10_000_000;
/// Connections of one source address.
const PER_SOURCE: usize = 250;
/// A TLS record of a ClientHello that is never finished: type, version, length, and the beginning of a handshake message
/// (RFC 8446, 5.1 and 4).
const HALF_A_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
/// The beginning of a head, and of a body, whose rest comes a byte a second.
const SLOW_HEAD: &[u8] = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
const SLOW_BODY: &[u8] = b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";

impl Flood {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::RightLogins,
        Self::WrongLogins,
        Self::HugeNames,
        Self::SlowHeads,
        Self::SlowBodies,
        Self::HalfOpenGateway,
        Self::HalfOpenEdge,
        Self::Idle,
        Self::Challenges,
        Self::DeviceCodes,
        Self::Evidence,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RightLogins => "logins with the right password",
            Self::WrongLogins => "logins to nobody",
            Self::HugeNames => "sign-ups with names of 10 MB",
            Self::SlowHeads => "slow heads",
            Self::SlowBodies => "slow bodies",
            Self::HalfOpenGateway => "half-open handshakes at the gateway",
            Self::HalfOpenEdge => "half-open handshakes at the edge",
            Self::Idle => "idle connections",
            Self::Challenges => "passkey challenges",
            Self::DeviceCodes => "device codes",
            Self::Evidence => "nonces for evidence",
        }
    }

    /// Floods for this long, or until it has asked as often as it may.
    pub async fn run(self, target: &Target, time: Duration) -> Tally {
        let (until, counters) = (Instant::now() + time, Arc::new(Counters::default()));
        let mut tasks = JoinSet::new();
        for number in 0..self.connections() {
            let (target, counters) = (target.clone(), Arc::clone(&counters));
            tasks.spawn(async move {
                while Instant::now() < until {
                    // What ends a connection is what the other side does against floods: the next one, please.
                    let done =
                        tokio::time::timeout_at(until, self.one(number, &target, &counters, until)).await;
                    if matches!(done, Ok(Ok(()))) {
                        return;
                    }
                    sleep(RETRY).await;
                }
            });
        }
        while tasks.join_next().await.is_some() {}
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            connections: read(&counters.connections),
            answers: read(&counters.answers),
            refused: read(&counters.refused),
        }
    }

    /// How many connections it has at one time: as many as it wants, as far as descriptors go.
    #[must_use]
    pub fn connections(self) -> usize {
        self.wanted().min(descriptors())
    }

    /// How many connections it wants at one time.
    #[must_use]
    pub const fn wanted(self) -> usize {
        match self {
            Self::RightLogins | Self::WrongLogins | Self::Challenges | Self::DeviceCodes | Self::Evidence => {
                ASKING
            }
            Self::HugeNames => ASKING / 2,
            Self::SlowHeads | Self::SlowBodies => SLOW,
            Self::HalfOpenGateway | Self::HalfOpenEdge => HALF_OPEN,
            Self::Idle => IDLE,
        }
    }

    async fn one(
        self,
        number: usize,
        target: &Target,
        counters: &Counters,
        until: Instant,
    ) -> Result<(), LineError> {
        let source = u8::try_from(2 + number / PER_SOURCE % 250).unwrap_or(2);
        match self {
            Self::HalfOpenGateway => half_open(target.gateway, source, counters, until).await,
            Self::HalfOpenEdge => half_open(target.edge, source, counters, until).await,
            Self::Idle => {
                let address = if number.is_multiple_of(2) { target.gateway } else { target.edge };
                silent(address, source, counters, until).await
            }
            Self::Evidence => {
                let line = Line::to_enclave(target.edge, &target.enclave, source).await?;
                self.ask(line, number, target, counters).await
            }
            Self::SlowHeads => slowly(target, source, SLOW_HEAD, counters).await,
            Self::SlowBodies => slowly(target, source, SLOW_BODY, counters).await,
            Self::RightLogins
            | Self::WrongLogins
            | Self::HugeNames
            | Self::Challenges
            | Self::DeviceCodes => {
                let line = Line::to_gateway(target.gateway, source).await?;
                self.ask(line, number, target, counters).await
            }
        }
    }

    /// Asks and asks over one connection.
    async fn ask(
        self,
        mut line: Line,
        number: usize,
        target: &Target,
        counters: &Counters,
    ) -> Result<(), LineError> {
        counters.connections.fetch_add(1, Ordering::Relaxed);
        // Logins and large bodies one by one; small questions many at once.
        let at_once = match self {
            Self::Challenges | Self::DeviceCodes | Self::Evidence => PIPELINE,
            _ => 1,
        };
        loop {
            let asked = counters.answers.load(Ordering::Relaxed);
            if at_once == PIPELINE && asked >= NONCES {
                return Ok(());
            }
            for _ in 0..at_once {
                line.send(&self.question(target, number, asked)).await?;
            }
            for _ in 0..at_once {
                let answer = line.answer().await?;
                counters.answers.fetch_add(1, Ordering::Relaxed);
                counters.refused.fetch_add(u64::from(answer.status >= 400), Ordering::Relaxed);
                if answer.closes {
                    return Err(LineError::Closed);
                }
            }
        }
    }

    fn question(self, target: &Target, number: usize, asked: u64) -> Vec<u8> {
        let (name, password) = &target.account;
        let login = |name: &str| {
            let body = format!(r#"{{"name":"{name}","password":"{password}"}}"#);
            line::post("/v1/sessions", "application/json", body.as_bytes())
        };
        match self {
            Self::RightLogins => login(name),
            Self::HugeNames => {
                let mut body = br#"{"name":""#.to_vec();
                body.resize(HUGE, b'a');
                body.extend_from_slice(br#"","password":"a password of many words"}"#);
                line::post("/v1/users", "application/json", &body)
            }
            Self::Challenges => line::post("/v1/sessions/passkey-challenge", "application/json", b"{}"),
            Self::DeviceCodes => line::post(
                "/v1/device/authorization",
                "application/x-www-form-urlencoded",
                b"client_id=sealwright",
            ),
            Self::Evidence => {
                let nonce = format!("{asked:032x}{number:032x}");
                let path = format!("/.well-known/sealwright/evidence?nonce={nonce}");
                line::get(&path, &target.enclave, "")
            }
            _ => login(&format!("nobody-{number}-{asked}")),
        }
    }
}

/// Before a connection that was ended is made again.
const RETRY: Duration = Duration::from_millis(200);
/// Between two bytes of what is sent slowly.
const SLOW_PAUSE: Duration = Duration::from_secs(1);

async fn slowly(target: &Target, source: u8, begin: &[u8], counters: &Counters) -> Result<(), LineError> {
    let mut line = Line::to_gateway(target.gateway, source).await?;
    counters.connections.fetch_add(1, Ordering::Relaxed);
    line.send(begin).await?;
    loop {
        sleep(SLOW_PAUSE).await;
        line.send(b"a").await?;
    }
}

async fn half_open(to: SocketAddr, source: u8, counters: &Counters, until: Instant) -> Result<(), LineError> {
    let mut stream = dial(to, source).await?;
    counters.connections.fetch_add(1, Ordering::Relaxed);
    stream.write_all(HALF_A_HELLO).await?;
    held(&stream, until).await
}

async fn silent(to: SocketAddr, source: u8, counters: &Counters, until: Instant) -> Result<(), LineError> {
    let stream = dial(to, source).await?;
    counters.connections.fetch_add(1, Ordering::Relaxed);
    held(&stream, until).await
}

/// Until the end, or an error where the other side ends it.
async fn held(stream: &TcpStream, until: Instant) -> Result<(), LineError> {
    tokio::select! {
        () = sleep_until(until) => Ok(()),
        ended = stream.readable() => Err(ended.err().map_or(LineError::Closed, LineError::Io)),
    }
}

/// How many connections this process may have: the hard limit of open files, which becomes the soft one.
fn descriptors() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it may not be raised, it is what it was.
    setrlimit(Resource::Nofile, limit).ok();
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(most.saturating_sub(OWN_DESCRIPTORS)).unwrap_or(usize::MAX)
}
