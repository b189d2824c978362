//! Group `create`: from `enclave create` to the first byte of the app over a proved connection, against a bare spawn.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use client::EnclaveName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::report::{Goal, Report};
use crate::stage::{Stage, bare_app};
use crate::stats::{median, ms};

const RUNS: usize = 15;
const COMMAND_RUNS: usize = 5;
const WANTED: f64 = 150.0;

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let mut stage = Stage::open().await?;
    let first = created(&mut stage, "first").await?.total;
    let (mut totals, mut ready, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let mut stages: Vec<(String, Vec<f64>)> = Vec::new();
    for number in 0..RUNS {
        // By turns, so that a disturbance hits both.
        bare.push(bare_spawn().await?);
        let created = created(&mut stage, &format!("run-{number}")).await?;
        totals.push(created.total);
        ready.push(created.ready);
        for (name, at) in created.stages {
            match stages.iter_mut().find(|(known, _)| *known == name) {
                Some((_, times)) => times.push(at),
                None => stages.push((name, vec![at])),
            }
        }
    }
    let (total, ready, bare) = (median(&mut totals), median(&mut ready), median(&mut bare));
    report.goal(
        "create to first verified byte, above a bare spawn",
        total - bare,
        "ms",
        Goal::AtMost(WANTED),
    );
    report.figure(
        "create",
        &[
            ("to first verified byte", total, "ms"),
            ("of it until ready", ready, "ms"),
            ("bare spawn until it answers", bare, "ms"),
            ("the very first, which copies the app,", first, "ms"),
        ],
    );
    let at: Vec<(String, f64)> =
        stages.into_iter().map(|(name, mut times)| (name, median(&mut times))).collect();
    let at: Vec<(&str, f64, &str)> = at.iter().map(|(name, at)| (name.as_str(), *at, "ms")).collect();
    report.figure("stages seen by the client, after", &at);
    let mut typed = Vec::new();
    for number in 0..COMMAND_RUNS {
        typed.push(by_command(&mut stage, &format!("typed-{number}")).await?);
    }
    let typed = median(&mut typed);
    report.figure("as two commands, `enclave create` and `enclave request`", &[("", typed, "ms")]);
    stage.close().await
}

struct Created {
    total: f64,
    ready: f64,
    stages: Vec<(String, f64)>,
}

async fn created(stage: &mut Stage, name: &str) -> Result<Created> {
    let name: EnclaveName = name.parse()?;
    let mut stages = Vec::new();
    let began = Instant::now();
    stage.create(&name, |seen| stages.push((seen.name.clone(), ms(began.elapsed())))).await?;
    let ready = ms(began.elapsed());
    stage.greet(&name).await?;
    let total = ms(began.elapsed());
    stage.gateway.delete(&name).await?;
    Ok(Created { total, ready, stages })
}

async fn by_command(stage: &mut Stage, name: &str) -> Result<f64> {
    let began = Instant::now();
    for arguments in [
        ["enclave", "create", name, "--app", "hello"].as_slice(),
        ["enclave", "request", name, "GET", "/", "--allow-simulated"].as_slice(),
    ] {
        let output = stage.command()?.args(arguments).output().await.context("run the command")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let took = ms(began.elapsed());
    stage.gateway.delete(&name.parse()?).await?;
    Ok(took)
}

async fn bare_spawn() -> Result<f64> {
    let began = Instant::now();
    let (mut child, port) = bare_app().await?;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.context("connect to the app")?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: hello\r\n\r\n").await.context("ask the app")?;
    stream.read_u8().await.context("read the app's answer")?;
    let took = ms(began.elapsed());
    child.kill().await.context("end the app")?;
    Ok(took)
}
