//! Group `verify`: one full evidence against the bare signature checks and hashes.

use std::hint::black_box;

use anyhow::{Context, Result};
use evidence::{Evidence, Roots};
use forge::{NOW, RsaScheme, TpmKey, World};
use logs::bank::Bank;
use logs::boot::BootLog;
use logs::enclave::EnclaveLog;
use logs::ima::ImaLog;
use names::Level;

use crate::bare::Bare;
use crate::full;
use crate::report::{Goal, Report};
use crate::stats::by_turns;

const ROUNDS: usize = 80;
const WANTED: f64 = 1.5;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    serve(report, "ECDSA P-256", None)?;
    serve(report, "RSA-2048 PKCS #1", Some(TpmKey::rsa_attestation(RsaScheme::Rsassa)))?;
    serve(report, "RSA-2048 PSS", Some(TpmKey::rsa_attestation(RsaScheme::Rsapss)))?;
    node(report)
}

/// As a client does it: verified and appraised, from memory and from the bytes that came.
fn serve(report: &mut Report, key: &str, ak: Option<TpmKey>) -> Result<()> {
    let world = full::world(ak);
    let evidence = full::serve(&world)?;
    let json = evidence.to_json();
    let (roots, policy) = (world.roots(Level::Tpm), world.policy());
    let judge = |evidence: &Evidence| {
        let verified = evidence::verify(world.challenge(), evidence, &roots, NOW).map_err(anyhow::Error::new);
        verified.and_then(|verified| Ok(appraisal::appraise(&policy, verified)?))
    };
    judge(&evidence).context("the forged evidence is not trusted")?;
    let bare = Bare::of(&evidence, &world.root)?;
    let [from_memory, from_json, signatures, hashes] = by_turns(
        ROUNDS,
        [
            &|| drop(black_box(judge(&evidence))),
            &|| drop(black_box(Evidence::from_json(&json).map(|evidence| judge(&evidence)))),
            &|| bare.verify(),
            &|| bare.hash(),
        ],
    );
    let work = signatures + hashes;
    report.goal(
        &format!("{key} AK, parsed evidence / bare work"),
        from_memory / work,
        "x",
        Goal::AtMost(WANTED),
    );
    report.goal(&format!("{key} AK, JSON bytes / bare work"), from_json / work, "x", Goal::AtMost(WANTED));
    report.figure(
        &format!("{key} AK"),
        &[
            ("parsed", from_memory, "ms"),
            ("JSON", from_json, "ms"),
            ("bare", work, "ms"),
            ("of it signatures", signatures, "ms"),
            ("signatures", bare.count() as f64, ""),
            ("hashes", hashes, "ms"),
            ("JSON", json.len() as f64 / 1e6, "MB"),
        ],
    );
    if key.starts_with("ECDSA") {
        parts(report, &evidence, &json, &roots, &world)?;
    }
    Ok(())
}

/// Where the time goes.
fn parts(report: &mut Report, evidence: &Evidence, json: &[u8], roots: &Roots, world: &World) -> Result<()> {
    let ima = &evidence.ima_log.as_ref().context("an IMA list")?.0;
    let boot = &evidence.boot_log.as_ref().context("a boot log")?.0;
    let list = ImaLog::parse_ascii(ima).context("read the IMA list")?;
    let slim = Evidence { boot_log: None, ima_log: None, ..evidence.clone() };
    let boot_state = || {
        let log = BootLog::parse(boot).ok()?;
        Some((log.replay(Bank::Sha256), log.check_event_data(Bank::Sha256).is_ok()))
    };
    let log =
        || EnclaveLog::parse(&evidence.enclave_log.0, evidence::ENCLAVE_LOG_PCR).map(|log| log.replay());
    let [parse, replay, boot, log, slim, decode] = by_turns(
        ROUNDS,
        [
            &|| drop(black_box(ImaLog::parse_ascii(ima))),
            &|| _ = black_box(list.replay(Bank::Sha256)),
            &|| _ = black_box(boot_state()),
            &|| _ = black_box(log()),
            &|| drop(black_box(evidence::verify(world.challenge(), &slim, roots, NOW))),
            &|| drop(black_box(Evidence::from_json(json))),
        ],
    );
    report.figure(
        "parts",
        &[
            ("IMA list read", parse, "ms"),
            ("IMA replay", replay, "ms"),
            ("boot log", boot, "ms"),
            ("enclave log", log, "ms"),
            ("all without node logs", slim, "ms"),
            ("JSON read", decode, "ms"),
        ],
    );
    Ok(())
}

/// As the verifier does it each round: verified, then every file judged by a node policy of ten thousand.
fn node(report: &mut Report) -> Result<()> {
    let world = full::world(None);
    let (evidence, policy) = full::node(&world)?;
    let roots = world.roots(Level::Tpm);
    let judge = || {
        let verified =
            evidence::verify(world.node_challenge(), &evidence, &roots, NOW).map_err(anyhow::Error::new);
        verified.and_then(|verified| Ok(appraisal::node::appraise_node(&policy, &verified)?))
    };
    judge().context("the forged node is not trusted")?;
    let bare = Bare::of(&evidence, &world.root)?;
    let work = || {
        bare.verify();
        bare.hash();
    };
    let [judged, work] = by_turns(ROUNDS, [&|| drop(black_box(judge())), &work]);
    let ratio = judged / work;
    let values = [("ratio", ratio, "x"), ("verify and appraise", judged, "ms"), ("bare", work, "ms")];
    report.figure("a node's round, each of its files looked up in the node policy (no goal)", &values);
    Ok(())
}
