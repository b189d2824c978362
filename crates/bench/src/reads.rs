//! Group `reads`: what an authenticated request costs the gateway, beside a bare axum route with the same JSON behind the same TLS.

use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::asking::{Plan, Protocol, Server, Span, ask};
use crate::bare_axum;
use crate::logins::me;
use crate::processes;
use crate::report::Report;
use crate::stage::{Stage, started};
use crate::stats::median;

const ROUNDS: usize = 5;
const SPAN: Span = Span::Window { from: 0.5, until: 3.5 };
/// Protocol, connections, requests at one time on each.
const LOADS: [(Protocol, usize, usize); 2] = [(Protocol::Http1, 16, 1), (Protocol::Http2, 4, 16)];

/// What one side did: per core-second, and a second.
#[derive(Default)]
struct Side {
    per_core: Vec<f64>,
    rates: Vec<f64>,
    p99: Vec<f64>,
}

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let mut stage = Stage::open().await?;
    let user = stage.gateway.me().await?;
    let mut bare = Command::new(std::env::current_exe().context("find the own executable")?);
    bare.args([bare_axum::ARGUMENT, &user.id, &user.name]).kill_on_drop(true).stdout(Stdio::piped());
    let (bare, port) = started(bare).await?;
    let gateway = Server::gateway(&stage);
    let bare_server = Server { address: format!("127.0.0.1:{port}"), way: gateway.way.clone() };
    let pids = [stage.pid()?, bare.id().context("the bare route runs")?];
    for (protocol, connections, streams) in LOADS {
        let mut sides = [Side::default(), Side::default()];
        for _ in 0..ROUNDS {
            for ((server, pid), side) in [&gateway, &bare_server].into_iter().zip(pids).zip(&mut sides) {
                let requests = vec![me(&stage)?];
                let plan = Plan { protocol, streams, ..Plan::http1(server, connections, requests, SPAN) };
                let cost = ask(&plan, &[&|| processes::seconds(pid)]).await?;
                let used = cost.processor.first().copied().unwrap_or_default();
                side.per_core.push(cost.answered.answers as f64 / used);
                side.rates.push(cost.answered.answers as f64 / cost.answered.seconds);
                side.p99.push(cost.answered.p99);
            }
        }
        let [ours, bare] = &mut sides;
        let (own, least) = (median(&mut ours.per_core), median(&mut bare.per_core));
        report.figure(
            &format!("GET /v1/me, {protocol:?}, {connections} connections x {streams}"),
            &[
                ("of bare axum, per core-second,", own / least, "x"),
                ("gateway", own, "per core-second"),
                ("bare axum", least, "per core-second"),
                ("processor time added", 1e6 / own - 1e6 / least, "us"),
                ("gateway", median(&mut ours.rates), "a second"),
                ("bare axum", median(&mut bare.rates), "a second"),
                ("p99 gateway", median(&mut ours.p99), "ms"),
                ("p99 bare axum", median(&mut bare.p99), "ms"),
            ],
        );
    }
    drop(bare);
    stage.close().await
}
