//! Group `batch`: fresh evidence for many clients at once, from a TPM that takes as long as hardware does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::node::Node;
use crate::report::{Goal, Report};
use crate::stats::{ms, percentile};

/// What a quote takes on hardware, added to each quote of the software TPM.
const QUOTE: Duration = Duration::from_millis(200);
const CLIENTS: [usize; 4] = [1, 10, 100, 1000];
/// Quotes for the figure of one quote per client.
const SINGLE: u32 = 15;
const WARM_UP: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(8);
const RAW_WINDOW: Duration = Duration::from_secs(4);
/// Answers of each run that are verified as their client would.
const VERIFIED: usize = 8;
const TIMES_WANTED: f64 = 100.0;

/// What one number of clients got.
struct Run {
    per_second: f64,
    p50: f64,
    p99: f64,
    answers: usize,
    errors: usize,
}

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let (single, runs) = measure(report, QUOTE, WINDOW).await.context("the slow TPM")?;
    let (_, most) = runs.into_iter().next_back().context("there are runs")?;
    report.goal(
        "1000 clients / one quote per client",
        most.per_second / single,
        "x",
        Goal::AtLeast(TIMES_WANTED),
    );
    report.goal("p99 at 1000 clients", most.p99, "ms", Goal::AtMost(3.0 * ms(QUOTE)));
    report.goal("errors at 1000 clients", most.errors as f64, "", Goal::AtMost(0.0));
    measure(report, Duration::ZERO, RAW_WINDOW).await.context("the software TPM as it is")?;
    Ok(())
}

async fn measure(report: &mut Report, quote: Duration, window: Duration) -> Result<(f64, Vec<(usize, Run)>)> {
    let folder = tempfile::tempdir().context("make a folder")?;
    let node = Arc::new(Node::start(folder.path(), quote).await?);
    let what = if quote.is_zero() {
        "software TPM as it is".to_owned()
    } else {
        format!("+{} ms a quote", ms(quote))
    };
    node.one_quote().await?;
    let began = Instant::now();
    for _ in 0..SINGLE {
        node.one_quote().await?;
    }
    let single = f64::from(SINGLE) / began.elapsed().as_secs_f64();
    report.figure(
        &format!("{what}, one quote per client"),
        &[("", single, "/s"), ("each", 1e3 / single, "ms")],
    );
    let mut runs = Vec::new();
    for clients in CLIENTS {
        let run = at_once(&node, clients, window).await?;
        report.figure(
            &format!("{what}, {clients} clients"),
            &[
                ("", run.per_second, "/s"),
                ("times one quote per client", run.per_second / single, "x"),
                ("p50", run.p50, "ms"),
                ("p99", run.p99, "ms"),
                ("answers", run.answers as f64, ""),
                ("errors", run.errors as f64, ""),
            ],
        );
        runs.push((clients, run));
    }
    if let Some(node) = Arc::into_inner(node) {
        node.close().await;
    }
    Ok((single, runs))
}

/// Each client asks again as soon as it has its answer.
async fn at_once(node: &Arc<Node>, clients: usize, window: Duration) -> Result<Run> {
    let from = Instant::now() + WARM_UP;
    let until = from + window;
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        tasks.spawn(client(Arc::clone(node), from, until));
    }
    let (mut latencies, mut errors, mut kept) = (Vec::new(), 0, Vec::new());
    while let Some(done) = tasks.join_next().await {
        let Client { times, failures, last } = done.context("a client")?;
        latencies.extend(times);
        errors += failures;
        kept.extend(last);
    }
    ensure!(!latencies.is_empty(), "no client got evidence");
    for (nonce, json) in kept.iter().take(VERIFIED) {
        node.verify(*nonce, json).context("an answer of the agent does not verify")?;
    }
    Ok(Run {
        per_second: latencies.len() as f64 / window.as_secs_f64(),
        p50: percentile(&mut latencies, 0.5),
        p99: percentile(&mut latencies, 0.99),
        answers: latencies.len(),
        errors,
    })
}

struct Client {
    times: Vec<f64>,
    failures: usize,
    last: Option<([u8; 32], Vec<u8>)>,
}

async fn client(node: Arc<Node>, from: Instant, until: Instant) -> Client {
    let agent = node.agent();
    let mut client = Client { times: Vec::new(), failures: 0, last: None };
    while Instant::now() < until {
        let mut nonce = [0; 32];
        if getrandom::fill(&mut nonce).is_err() {
            break;
        }
        let began = Instant::now();
        let answer = agent.evidence(&node.request(&nonce)).await;
        let ended = Instant::now();
        match answer {
            // Only what ends within the window counts: the rate is of answers.
            Ok(json) if (from..until).contains(&ended) => {
                client.times.push(ms(ended - began));
                client.last = Some((nonce, json));
            }
            Ok(_) => {}
            Err(error) => {
                if client.failures == 0 {
                    eprintln!("   . a client got no evidence: {error}");
                }
                client.failures += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    client
}
