//! A load of HTTPS requests from a process of its own, so that what the asker uses of the processors is no part of what the asked one uses.
//!
//! This side makes the plan, starts the asker (`asker.rs`) and looks at the clocks of the asked processes when the asker says that its window
//! begins and ends.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::asker;
use crate::stage::Stage;

/// What an asker says when its window begins, and when it ends.
pub(crate) const BEGAN: &str = "began";
pub(crate) const ENDED: &str = "ended";

/// What is asked, how, and for how long.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// `HOST:PORT`.
    pub(crate) address: String,
    pub(crate) way: Way,
    pub(crate) protocol: Protocol,
    pub(crate) connections: usize,
    /// Requests at one time on each connection; HTTP/1.1 has one.
    pub(crate) streams: usize,
    pub(crate) requests: Vec<Ask>,
    pub(crate) span: Span,
    /// Milliseconds between an answer and the next request of the same stream.
    pub(crate) pause: u64,
}

/// What the bytes go through.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Way {
    Plain,
    /// TLS 1.3 with this client certificate (DER).
    Tls {
        key: PathBuf,
        certificate: Vec<u8>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// One request.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) bearer: Option<String>,
    /// JSON.
    pub(crate) body: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Span {
    /// Each request once; everything counts.
    Once,
    /// Round and round: what is answered between the two, in seconds from the start.
    Window { from: f64, until: f64 },
}

/// What an asker saw.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) answers: u64,
    pub(crate) seconds: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// What it cost the asked ones.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    pub(crate) answered: Answered,
    /// Processor seconds, in the order of the clocks.
    pub(crate) processor: Vec<f64>,
}

impl Plan {
    /// Everything at once over HTTP/1.1.
    pub(crate) fn http1(server: &Server, connections: usize, requests: Vec<Ask>, span: Span) -> Self {
        Self {
            address: server.address.clone(),
            way: server.way.clone(),
            protocol: Protocol::Http1,
            connections,
            streams: 1,
            requests,
            span,
            pause: 0,
        }
    }
}

/// Whom to ask.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) way: Way,
}

impl Server {
    /// The gateway of a stage, with its user's certificate.
    pub(crate) fn gateway(stage: &Stage) -> Self {
        let profile = stage.gateway.profile();
        let certificate = profile.certificate().der().to_vec();
        let way = Way::Tls { key: profile.folder().join("key.pk8"), certificate };
        Self { address: stage.gateway.context().gateway.to_string(), way }
    }
}

/// A started asker.
pub(crate) struct Asking {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Asking {
    pub(crate) async fn start(plan: &Plan) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("find the own executable")?);
        command.arg(asker::ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("start an asker")?;
        // Tokens and passwords are in it: not in a file, not among the arguments.
        let mut stdin = child.stdin.take().context("its input")?;
        stdin.write_all(&serde_json::to_vec(plan)?).await.context("hand over the plan")?;
        drop(stdin);
        let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        Ok(Self { child, lines })
    }

    async fn hear(&mut self, word: &str) -> Result<()> {
        match self.lines.next_line().await.context("listen to an asker")? {
            Some(line) if line == word => Ok(()),
            Some(line) => bail!("an asker said {line}"),
            None => bail!("an asker ended early: see above"),
        }
    }

    /// Waits for its end. The clocks say how many processor seconds something has used so far.
    pub(crate) async fn end(mut self, clocks: &[&(dyn Fn() -> f64 + Sync)]) -> Result<Cost> {
        self.hear(BEGAN).await?;
        let before: Vec<f64> = clocks.iter().map(|clock| clock()).collect();
        self.hear(ENDED).await?;
        let processor = clocks.iter().zip(before).map(|(clock, before)| clock() - before).collect();
        let line = self.lines.next_line().await.context("listen to an asker")?;
        let answered = serde_json::from_str(&line.context("an asker said nothing")?)?;
        ensure!(self.child.wait().await.context("wait for an asker")?.success(), "an asker failed");
        Ok(Cost { answered, processor })
    }
}

/// Asks, to the end.
pub(crate) async fn ask(plan: &Plan, clocks: &[&(dyn Fn() -> f64 + Sync)]) -> Result<Cost> {
    Asking::start(plan).await?.end(clocks).await
}
