//! A load generator: keep-alive HTTP/1.1 connections, each of which asks again as soon as it has its answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::stats::ms;

/// Requests that are thrown away.
const WARM_UP: Duration = Duration::from_millis(500);

/// An open connection with its driver.
pub(crate) struct Line {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinSet<()>,
}

impl Line {
    pub(crate) async fn open(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("speak HTTP")?;
        let mut driver = JoinSet::new();
        // Its error is also the error of the request that is under way.
        driver.spawn(async move { drop(connection.await) });
        Ok(Self { sender, driver })
    }

    async fn ask(&mut self, host: &str, bearer: &str) -> Result<()> {
        let request = Request::get("/").header("host", host).header("authorization", bearer);
        let request = request.body(Empty::new()).context("make a request")?;
        self.sender.ready().await.context("send")?;
        let response = self.sender.send_request(request).await.context("send")?;
        ensure!(response.status().is_success(), "answered {}", response.status());
        response.into_body().collect().await.context("read")?;
        Ok(())
    }
}

/// What a load saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// Milliseconds of each request.
    pub(crate) times: Vec<f64>,
    /// Requests per second.
    pub(crate) per_second: f64,
}

/// Loads all connections for a while.
pub(crate) async fn run(lines: Vec<Line>, host: &str, bearer: &str, window: Duration) -> Result<Seen> {
    let from = Instant::now() + WARM_UP;
    let until = from + window;
    let mut tasks = JoinSet::new();
    for mut line in lines {
        let (host, bearer) = (host.to_owned(), bearer.to_owned());
        tasks.spawn(async move {
            let mut times = Vec::new();
            loop {
                let began = Instant::now();
                if began >= until {
                    line.driver.shutdown().await;
                    return Ok::<_, anyhow::Error>(times);
                }
                line.ask(&host, &bearer).await?;
                if began >= from {
                    times.push(ms(began.elapsed()));
                }
            }
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done.context("a connection")??);
    }
    Ok(Seen { per_second: times.len() as f64 / window.as_secs_f64(), times })
}
