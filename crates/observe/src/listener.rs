//! `/metrics`, `/healthz`, `/readyz` over plain HTTP/1.1, for those who watch. Small on purpose: no bodies, no other methods, few
//! connections, each with a deadline.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use server::Tasks;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::{Config, Metrics, Readiness};

/// Connections at one time.
const CONNECTIONS: usize = 32;
/// A whole connection.
const DEADLINE: Duration = Duration::from_secs(30);
const SOCKET_MODE: u32 = 0o600;
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Gauges that are looked up when somebody asks.
pub type Gauges = Arc<dyn Fn(&Metrics) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What is shown.
#[derive(Clone)]
pub struct Shown {
    /// Counted by events.
    pub metrics: Metrics,
    /// Looked up.
    pub gauges: Gauges,
    /// Whether it can work.
    pub readiness: Readiness,
}

/// Bound sockets.
pub struct Listener {
    tcp: Option<TcpListener>,
    unix: Option<UnixListener>,
}

impl Listener {
    /// Binds what the configuration names; nothing is bound by default.
    ///
    /// # Errors
    /// What the system says.
    pub async fn bind(config: &Config) -> io::Result<Self> {
        let tcp = match config.listen {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let unix = config.socket.as_ref().map(|path| server::unix::listen(path, SOCKET_MODE)).transpose()?;
        Ok(Self { tcp, unix })
    }

    /// The bound TCP address.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Answers until the tasks are stopped.
    pub fn serve(self, shown: &Shown, tasks: &Tasks) {
        let free = Arc::new(Semaphore::new(CONNECTIONS));
        if let Some(listener) = self.tcp {
            let (shown, tasks_, free) = (shown.clone(), tasks.clone(), Arc::clone(&free));
            tasks.spawn_cancellable(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => one(stream, &shown, &tasks_, &free),
                        Err(error) => pause(&error).await,
                    }
                }
            });
        }
        if let Some(listener) = self.unix {
            let (shown, tasks_) = (shown.clone(), tasks.clone());
            tasks.spawn_cancellable(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => one(stream, &shown, &tasks_, &free),
                        Err(error) => pause(&error).await,
                    }
                }
            });
        }
    }
}

async fn pause(error: &io::Error) {
    warn!(%error, "accept");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// One connection in a task of its own; above the bound it is closed at once.
fn one<S>(stream: S, shown: &Shown, tasks: &Tasks, free: &Arc<Semaphore>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(permit) = Arc::clone(free).try_acquire_owned() else { return };
    let shown = shown.clone();
    tasks.spawn_cancellable(async move {
        let service = service_fn(move |request| answer(shown.clone(), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(DEADLINE)
            .serve_connection(TokioIo::new(stream), service);
        // Who hangs up or is too slow is no event.
        tokio::time::timeout(DEADLINE, connection).await.ok();
        drop(permit);
    });
}

async fn answer(shown: Shown, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n".into()));
    }
    Ok(match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "text/plain", "ok\n".into()),
        "/readyz" => {
            let report = shown.readiness.report().await;
            let status =
                if report.status == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            text(status, "application/json", serde_json::to_string(&report).unwrap_or_default())
        }
        "/metrics" => {
            (shown.gauges)(&shown.metrics).await;
            text(StatusCode::OK, OPENMETRICS, shown.metrics.text())
        }
        _ => text(StatusCode::NOT_FOUND, "text/plain", "/metrics, /healthz, /readyz\n".into()),
    })
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
