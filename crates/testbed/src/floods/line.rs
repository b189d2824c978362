//! HTTP/1.1 over TLS as a flood speaks it: raw bytes, and of an answer no more than its status and length.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use attested_tls::{Application, AttestedConnector, LocalKey, SharedStream, TlsError};
use pki::profile::User;
use pki::{Serial, Validity};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// Longest wait for an answer: a password is hashed behind all others.
const ANSWER: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const BODY: usize = 4 << 20;

/// Why a line is no more.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The other side has closed it.
    #[error("closed")]
    Closed,
    /// The network.
    #[error("the network")]
    Io(#[from] std::io::Error),
    /// TLS.
    #[error("TLS")]
    Tls(#[from] TlsError),
    /// No answer in time.
    #[error("no answer in time")]
    Slow,
    /// It is no answer.
    #[error("no answer of HTTP")]
    Malformed,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the connection ends with it.
    pub closes: bool,
}

/// A connection. Nobody checks whom it leads to: it only ever carries what a flood makes up.
pub struct Line {
    stream: BufReader<SharedStream<TcpStream>>,
}

/// A TCP connection from `127.0.0.SOURCE`.
pub(super) async fn dial(to: SocketAddr, source: u8) -> Result<TcpStream, LineError> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, source), 0)))?;
    let stream = tokio::time::timeout(ANSWER, socket.connect(to)).await.map_err(|_| LineError::Slow)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Line {
    /// To the gateway.
    ///
    /// # Errors
    /// [`LineError`].
    pub async fn to_gateway(gateway: SocketAddr, source: u8) -> Result<Self, LineError> {
        Self::open(gateway, "localhost", source).await
    }

    /// To an enclave, as a stranger.
    ///
    /// # Errors
    /// [`LineError`].
    pub async fn to_enclave(edge: SocketAddr, host: &str, source: u8) -> Result<Self, LineError> {
        Self::open(edge, host, source).await
    }

    async fn open(to: SocketAddr, name: &str, source: u8) -> Result<Self, LineError> {
        let stream = dial(to, source).await?;
        let (stream, _, _) = connector().connect(name, stream).await?.into_evidence_stream();
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// [`LineError`].
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Reads the next answer.
    ///
    /// # Errors
    /// [`LineError`].
    pub async fn answer(&mut self) -> Result<Answer, LineError> {
        tokio::time::timeout(ANSWER, self.read()).await.map_err(|_| LineError::Slow)?
    }

    async fn read(&mut self) -> Result<Answer, LineError> {
        let first = self.header().await?;
        let status =
            first.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or(LineError::Malformed)?;
        let (mut length, mut closes) = (0, false);
        loop {
            let header = self.header().await?.to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(text) = header.strip_prefix("content-length:") {
                length = text.trim().parse().map_err(|_| LineError::Malformed)?;
            }
            closes |= header == "connection: close";
        }
        if length > BODY {
            return Err(LineError::Malformed);
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(Answer { status, body, closes })
    }

    async fn header(&mut self) -> Result<String, LineError> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(LineError::Closed);
        }
        Ok(line.trim_end().to_owned())
    }
}

/// One key and connector for all: a flood has many connections and no identity.
fn connector() -> AttestedConnector {
    static MADE: OnceLock<AttestedConnector> = OnceLock::new();
    let make = || {
        attested_tls::install_provider();
        let key = LocalKey::generate().expect("the system gives random bytes");
        let mut serial = [0; 16];
        getrandom::fill(&mut serial).expect("the system gives random bytes");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let validity = Validity::starting(now, 86_400);
        let certificate = User { common_name: "a flood" }.issue(&key, validity, Serial::from_random(serial));
        let certificate = certificate.expect("a key signs its own certificate");
        let certified = key.certified_key(&[certificate.der()]).expect("it is for this key");
        AttestedConnector::new(certified, Application::Http1).expect("TLS 1.3 is there")
    };
    MADE.get_or_init(make).clone()
}

/// A request with a body.
pub(super) fn post(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// A request without one; `more` are whole header lines.
pub(super) fn get(path: &str, host: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").into_bytes()
}
