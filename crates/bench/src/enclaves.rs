//! Group `enclaves`: how long an enclave takes to be ready and to stop, what of its start is isolation, and what it costs to keep its key in secret
//! memory.

use std::hint::black_box;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use attested_tls::LocalKey;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use client::EnclaveName;
use pki::SigningKey;
use sandbox::{DEFAULT_BASE, Feature, Identity, Isolation, probe, rehearsal};

use crate::report::Report;
use crate::stage::{Stage, beside};
use crate::stats::{by_turns, median, ms};

const RUNS: usize = 15;
const REHEARSALS: usize = 40;
/// Rounds, and signatures of each kind in a round.
const ROUNDS: usize = 50;
const SIGNATURES: usize = 50;

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let mut stage = Stage::open().await?;
    lives(report, &mut stage).await?;
    stage.close().await?;
    isolation(report)?;
    signatures(report)
}

/// Created, stopped, started again, deleted, as the user's client sees it.
async fn lives(report: &mut Report, stage: &mut Stage) -> Result<()> {
    // The first one copies the app.
    let first: EnclaveName = "first".parse()?;
    stage.create(&first, |_| {}).await?;
    stage.gateway.delete(&first).await?;
    let mut times = [const { Vec::new() }; 4];
    for number in 0..RUNS {
        let name: EnclaveName = format!("life-{number}").parse()?;
        let [created, stopped, started, deleted] = &mut times;
        let began = Instant::now();
        stage.create(&name, |_| {}).await?;
        created.push(ms(began.elapsed()));
        let began = Instant::now();
        stage.gateway.stop_enclave(&name).await?;
        stopped.push(ms(began.elapsed()));
        let began = Instant::now();
        stage.start(&name).await?;
        started.push(ms(began.elapsed()));
        let began = Instant::now();
        stage.gateway.delete(&name).await?;
        deleted.push(ms(began.elapsed()));
    }
    let [created, stopped, started, deleted] = times.map(|mut times| median(&mut times));
    report.figure(
        "an enclave, as its user sees it",
        &[
            ("create until ready", created, "ms"),
            ("stop until stopped", stopped, "ms"),
            ("start until ready", started, "ms"),
            ("delete, running,", deleted, "ms"),
        ],
    );
    Ok(())
}

/// The processes of a start, through every step of isolation that this machine allows and through none, with nothing at their end.
fn isolation(report: &mut Report) -> Result<()> {
    let launcher = beside("sealwright-facade")?;
    let found: Isolation = probe(&launcher);
    let identity =
        if found.has(Feature::OwnUid) { Identity::Own(DEFAULT_BASE) } else { Identity::Controllers };
    let (with, without) = (found.plan(), workload::launch::Isolation::default());
    let (mut isolated, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..REHEARSALS {
        for (plan, identity, times) in
            [(&with, identity, &mut isolated), (&without, Identity::Controllers, &mut bare)]
        {
            let mut command = rehearsal(&launcher, plan, identity).context("prepare a start")?;
            command.stdin(Stdio::null()).stdout(Stdio::null());
            let began = Instant::now();
            let status = command.status().context("start nothing")?;
            times.push(ms(began.elapsed()));
            ensure!(status.success(), "a start of nothing ended with {status}");
        }
    }
    let (isolated, bare) = (median(&mut isolated), median(&mut bare));
    report.figure(
        "processes of a start and their end, nothing in them",
        &[
            ("isolated", isolated, "ms"),
            ("not isolated", bare, "ms"),
            ("isolation", isolated - bare, "ms"),
            ("steps that this machine lacks", found.missing().count() as f64, ""),
        ],
    );
    Ok(())
}

/// The same provider's signature with a key that it holds itself, and with ours, which it sees for the moment of a signature.
fn signatures(report: &mut Report) -> Result<()> {
    let plain = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).context("make a key")?;
    let (kept, random, message) = (LocalKey::generate()?, SystemRandom::new(), [7; 150]);
    let by_provider = || {
        for _ in 0..SIGNATURES {
            let _ = black_box(plain.sign(&random, &message));
        }
    };
    let by_us = || {
        for _ in 0..SIGNATURES {
            let _ = black_box(kept.sign_sha256(&message));
        }
    };
    ensure!(
        plain.sign(&random, &message).is_ok() && kept.sign_sha256(&message).is_ok(),
        "a key does not sign"
    );
    let [plain, ours] = by_turns(ROUNDS, [&by_provider, &by_us]).map(|took| 1e3 * took / SIGNATURES as f64);
    report.figure(
        &format!("a P-256 signature, key in {} memory", kept.custody().code()),
        &[("ours", ours, "us"), ("the provider's own key", plain, "us"), ("ratio", ours / plain, "x")],
    );
    Ok(())
}
