//! Group `floods`: what another user's authenticated GET takes while somebody floods, beside what it takes when all is quiet.
//!
//! The flood runs in this process, on the same processors as the server: that is part of what the other user feels, and the
//! processor time of both is not told apart.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use client::EnclaveName;
use serde_json::Value;
use testbed::floods::{Flood, OtherUser, Target, percentile};

use crate::report::{Goal, Report};
use crate::stage::Stage;
use crate::stats::ms;

const QUIET: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(15);
/// How often its quiet value another user's p99 may be.
const MOST: f64 = 3.0;
/// Made for this run and forgotten with it.
const PASSWORD: &str = "a passphrase for the flood only";

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let mut stage = Stage::open().await?;
    let name: EnclaveName = "bench".parse()?;
    stage.create(&name, |_| {}).await?;
    let enclave = stage.gateway.enclave(&name).await?;
    let ready = stage.data().with_file_name("ready.json");
    let target = target(&ready, enclave.host)?;
    OtherUser::sign_up(target.gateway, &target.account.0, PASSWORD).await?;
    let other = OtherUser::sign_up(target.gateway, "other", PASSWORD).await?;
    let ended = async {
        for flood in Flood::ALL {
            one(report, flood, &target, &other).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    ended.await?;
    stage.close().await
}

/// Quiet, flood, by turns: a disturbance of the machine hits both.
async fn one(report: &mut Report, flood: Flood, target: &Target, other: &OtherUser) -> Result<()> {
    let p99 = |mut times: Vec<Duration>| percentile(&mut times, 0.99);
    let quiet = p99(other.times(QUIET).await.context("the other user, quiet")?);
    let (tally, times) = tokio::join!(flood.run(target, WINDOW), other.times(WINDOW));
    let flooded = p99(times.with_context(|| format!("the other user under {}", flood.name()))?);
    let name = format!("{}: another user's p99 against its quiet value", flood.name());
    report.goal(&name, ms(flooded) / ms(quiet), "times", Goal::AtMost(MOST));
    report.figure(
        flood.name(),
        &[
            ("quiet p99", ms(quiet), "ms"),
            ("p99 under it", ms(flooded), "ms"),
            ("connections", tally.connections as f64, "in all"),
            ("answers", tally.answers as f64, "in all"),
            ("refused", tally.refused as f64, "in all"),
        ],
    );
    Ok(())
}

fn target(ready: &Path, enclave: String) -> Result<Target> {
    let bytes = std::fs::read(ready).with_context(|| format!("read {}", ready.display()))?;
    let ready: Value = serde_json::from_slice(&bytes).context("read where `up` is")?;
    let text = |name: &str| ready[name].as_str().map(str::to_owned).context("`up` says where it is");
    Ok(Target {
        gateway: text("url")?.trim_start_matches("https://").parse().context("the gateway's address")?,
        edge: text("edge")?.parse().context("the edge's address")?,
        enclave,
        account: ("flood".to_owned(), PASSWORD.to_owned()),
    })
}
