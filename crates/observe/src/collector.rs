//! Traces to an OpenTelemetry collector: OTLP over HTTP in JSON (OpenTelemetry Protocol 1.x, "OTLP/HTTP"; opentelemetry-proto's JSON
//! mapping: ids in hex, 64-bit numbers as text).
//!
//! Written out here because the SDK would bring a second `rand` and `getrandom` and can't be in the facade; the format is some forty
//! lines. Nothing waits for the collector: what it does not take in time is dropped and counted.

mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use server::trace::{Record, Sink};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tracing::warn;

use crate::config::Traces;

/// Finished spans that may wait.
const WAITING: usize = 4096;
/// Spans in one request.
const BATCH: usize = 512;
/// A batch is sent when this much time has passed, or when it is full.
const EVERY: Duration = Duration::from_secs(2);
/// One export.
const DEADLINE: Duration = Duration::from_secs(5);

/// The end at which spans go in.
pub struct Outgoing {
    queue: mpsc::Sender<Record>,
    dropped: Arc<AtomicU64>,
}

/// The end at which they go out.
pub struct Exporter {
    collector: SocketAddr,
    queue: mpsc::Receiver<Record>,
    dropped: Arc<AtomicU64>,
}

/// Why a batch did not arrive.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("connect to the collector")]
    Connect(#[from] std::io::Error),
    #[error("talk to the collector")]
    Http(#[from] hyper::Error),
    #[error("make the request")]
    Request(#[from] http::Error),
    #[error("write the batch")]
    Json(#[from] serde_json::Error),
    #[error("the collector answered {0}")]
    Refused(StatusCode),
    #[error("the collector did not answer in time")]
    Deadline,
}

/// Both ends.
#[must_use]
pub fn channel(traces: &Traces) -> (Outgoing, Exporter) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let dropped = Arc::new(AtomicU64::new(0));
    let exporter = Exporter { collector: traces.collector, queue: receiver, dropped: Arc::clone(&dropped) };
    (Outgoing { queue: sender, dropped }, exporter)
}

impl Sink for Outgoing {
    fn take(&self, record: Record) {
        if self.queue.try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Exporter {
    /// Sends until nothing can come any more, or the task is dropped.
    pub async fn run(mut self) {
        let mut batch = Vec::new();
        while self.queue.recv_many(&mut batch, BATCH).await > 0 {
            let more = async {
                while batch.len() < BATCH {
                    let room = BATCH - batch.len();
                    if self.queue.recv_many(&mut batch, room).await == 0 {
                        return;
                    }
                }
            };
            tokio::time::timeout(EVERY, more).await.ok();
            let sent = match tokio::time::timeout(DEADLINE, send(self.collector, &batch)).await {
                Ok(sent) => sent,
                Err(_) => Err(ExportError::Deadline),
            };
            let lost = self.dropped.swap(0, Ordering::Relaxed);
            if let Err(error) = sent {
                let lost = lost + batch.len() as u64;
                warn!(lost, error = %server::telemetry::chain(&error), "traces lost");
            } else if lost > 0 {
                warn!(lost, "traces lost: too many at once");
            }
            batch.clear();
        }
    }
}

async fn send(collector: SocketAddr, batch: &[Record]) -> Result<(), ExportError> {
    let body = serde_json::to_vec(&wire::request(batch))?;
    let stream = TcpStream::connect(collector).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post("/v1/traces")
        .header(HOST, collector.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        if answer.status().is_success() { Ok(()) } else { Err(ExportError::Refused(answer.status())) }
    };
    tokio::pin!(exchange);
    tokio::pin!(connection);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => { ended?; exchange.await }
    }
}
