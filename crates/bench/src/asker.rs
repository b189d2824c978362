//! The asker's process: reads its plan from standard input, asks, and says what it saw.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use attested_tls::{Application, AttestedConnector, LocalKey};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::asking::{Answered, Ask, BEGAN, ENDED, Plan, Protocol, Span, Way};
use crate::stats::{ms, percentile};

/// The argument that makes this program an asker.
pub(crate) const ARGUMENT: &str = "ask";

/// One way to send requests; those of HTTP/2 share a connection.
enum Stream {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

struct Shared {
    plan: Plan,
    next: AtomicUsize,
    began: Instant,
}

pub(crate) async fn run() -> Result<()> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).context("read the plan")?;
    let plan: Plan = serde_json::from_slice(&text).context("read the plan")?;
    let mut drivers = JoinSet::new();
    let mut streams = Vec::new();
    for _ in 0..plan.connections {
        streams.extend(connect(&plan, &mut drivers).await?);
    }
    let span = plan.span;
    let shared = Arc::new(Shared { plan, next: AtomicUsize::new(0), began: Instant::now() });
    let mut tasks = JoinSet::new();
    for stream in streams {
        tasks.spawn(follow(Arc::clone(&shared), stream));
    }
    if let Span::Window { from, .. } = span {
        tokio::time::sleep_until((shared.began + Duration::from_secs_f64(from)).into()).await;
    }
    say(BEGAN)?;
    let said = Instant::now();
    if let Span::Window { until, .. } = span {
        tokio::time::sleep_until((shared.began + Duration::from_secs_f64(until)).into()).await;
        say(ENDED)?;
    }
    let seconds = said.elapsed().as_secs_f64();
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done.context("a stream")??);
    }
    let seconds = if span == Span::Once { said.elapsed().as_secs_f64() } else { seconds };
    if span == Span::Once {
        say(ENDED)?;
    }
    let answers = times.len() as u64;
    let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
    say(&serde_json::to_string(&Answered { answers, seconds, p50, p99 })?)
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("say it")
}

/// Asks until the end; milliseconds of each request that was answered in the window.
async fn follow(shared: Arc<Shared>, mut stream: Stream) -> Result<Vec<f64>> {
    let plan = &shared.plan;
    let mut times = Vec::new();
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let place = match plan.span {
            Span::Once if number >= plan.requests.len() => return Ok(times),
            Span::Window { until, .. } if shared.began.elapsed().as_secs_f64() >= until => return Ok(times),
            Span::Once | Span::Window { .. } => number % plan.requests.len(),
        };
        let ask = plan.requests.get(place).context("a plan has requests")?;
        let began = Instant::now();
        stream.ask(ask, &plan.address).await.with_context(|| format!("{} {}", ask.method, ask.path))?;
        let at = shared.began.elapsed().as_secs_f64();
        match plan.span {
            Span::Window { from, until } if at < from || at >= until => {}
            Span::Once | Span::Window { .. } => times.push(ms(began.elapsed())),
        }
        if plan.pause > 0 {
            tokio::time::sleep(Duration::from_millis(plan.pause)).await;
        }
    }
}

async fn connect(plan: &Plan, drivers: &mut JoinSet<()>) -> Result<Vec<Stream>> {
    let tcp =
        TcpStream::connect(&plan.address).await.with_context(|| format!("connect to {}", plan.address))?;
    tcp.set_nodelay(true)?;
    let Way::Tls { key, certificate } = &plan.way else { return speak(tcp, plan, drivers).await };
    let key = LocalKey::load(key).context("load the user's key")?.certified_key(&[certificate])?;
    let application = match plan.protocol {
        Protocol::Http1 => Application::Http1,
        Protocol::Http2 => Application::Http2,
    };
    let host = plan.address.rsplit_once(':').map_or("", |(host, _)| host);
    // Who the other side is does not matter here: both are ours, on loopback, and the passwords are of this run alone.
    let peer = AttestedConnector::new(key, application)?.connect(host, tcp).await?;
    speak(peer.into_evidence_stream().0, plan, drivers).await
}

async fn speak(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    plan: &Plan,
    drivers: &mut JoinSet<()>,
) -> Result<Vec<Stream>> {
    // A connection's error is also the error of the request that is under way.
    match plan.protocol {
        Protocol::Http1 => {
            let (sender, connection) = http1::handshake(TokioIo::new(io)).await.context("speak HTTP/1.1")?;
            drivers.spawn(async move { drop(connection.await) });
            Ok(vec![Stream::Http1(sender)])
        }
        Protocol::Http2 => {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.context("speak HTTP/2")?;
            drivers.spawn(async move { drop(connection.await) });
            Ok((0..plan.streams).map(|_| Stream::Http2(sender.clone())).collect())
        }
    }
}

impl Stream {
    async fn ask(&mut self, ask: &Ask, address: &str) -> Result<()> {
        let uri = match self {
            Self::Http1(_) => ask.path.clone(),
            Self::Http2(_) => format!("https://{address}{}", ask.path),
        };
        let mut request = Request::builder().method(ask.method.as_str()).uri(uri);
        if matches!(self, Self::Http1(_)) {
            request = request.header("host", address);
        }
        if let Some(bearer) = &ask.bearer {
            request = request.header("authorization", bearer);
        }
        if ask.body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = ask.body.clone().unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).context("make a request")?;
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await.context("send")?;
                sender.send_request(request).await.context("send")?
            }
            Self::Http2(sender) => {
                sender.ready().await.context("send")?;
                sender.send_request(request).await.context("send")?
            }
        };
        let status = response.status();
        let body = response.into_body().collect().await.context("read")?.to_bytes();
        ensure!(status.is_success(), "answered {status}: {}", String::from_utf8_lossy(&body));
        // The original answers a wrong password with 200.
        if ask.path.ends_with("login") && !body.windows(7).any(|part| part == b"\"token\"") {
            bail!("a login got no token");
        }
        Ok(())
    }
}
