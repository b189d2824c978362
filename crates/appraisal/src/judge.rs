//! The rules of a trust policy, one function each.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use evidence::{Facts, LogState, Step};
use names::{Digest, Level};

use crate::check::{Check, NotProved, Outcome, Reason};
use crate::policy::{Policy, Reference, Source, Versions};

pub(crate) struct Judgement {
    pub(crate) level: Level,
    pub(crate) checks: Vec<Check>,
    pub(crate) not_proved: Vec<NotProved>,
}

pub(crate) fn judge(policy: &Policy, facts: &Facts) -> Judgement {
    let level = level(facts);
    let mut checks: Vec<Check> = Step::ALL
        .iter()
        .filter(|step| was_done(**step, facts))
        .map(|step| Check::of_step(*step, &step_source(*step, facts)))
        .collect();
    checks.push(level_check(policy, facts, level));
    checks.push(registers(policy, facts));
    checks.extend(subject(policy, facts));
    checks.push(version(policy, facts));
    checks.extend(software(policy, facts));
    checks.push(log(facts, level));
    Judgement { level, checks, not_proved: not_proved(policy, facts, level) }
}

/// The minimum along the chain of anchors: the attestation key's, and the verdict's with the level that it saw.
fn level(facts: &Facts) -> Level {
    match &facts.verdict {
        Some(verdict) => facts.key.level.min(verdict.level()),
        None => facts.key.level,
    }
}

fn was_done(step: Step, facts: &Facts) -> bool {
    match step {
        Step::Verdict => facts.verdict.is_some(),
        Step::NodeLogs => facts.boot.is_some() && facts.ima.is_some(),
        Step::Channel => facts.certificate.is_some(),
        Step::Form | Step::Challenge | Step::Quote | Step::Key | Step::Registers | Step::EnclaveLog => true,
    }
}

fn step_source(step: Step, facts: &Facts) -> String {
    match (step, &facts.verdict) {
        (Step::Key, _) => format!("anchor {}", facts.key.anchor),
        (Step::Verdict, Some(verdict)) => {
            format!("{}, anchor {}", verdict.claims().iss, verdict.anchor())
        }
        _ => "the evidence itself".to_string(),
    }
}

fn check(
    name: &'static str,
    meaning: &'static str,
    failed: Option<Reason>,
    source: impl Into<String>,
) -> Check {
    let outcome = failed.map_or(Outcome::Pass, Outcome::Fail);
    Check { name, meaning, outcome, source: source.into() }
}

fn level_check(policy: &Policy, facts: &Facts, level: Level) -> Check {
    let failed = match level {
        _ if level >= policy.min_level => None,
        Level::Simulated => Some(Reason::LevelSimulated),
        Level::Virtual | Level::Tpm | Level::Tee => Some(Reason::LevelTooLow),
    };
    let source = format!("anchor {}, level {level}", facts.key.anchor);
    check("level", "The chain of trust anchors is strong enough", failed, source)
}

fn registers(policy: &Policy, facts: &Facts) -> Check {
    let failed = (!facts.quoted.pcrs.keys().eq(&policy.pcrs)).then_some(Reason::RegistersNotPolicy);
    check("pcr_selection", "The quote covers the registers that the policy names", failed, "policy")
}

/// Is it the enclave that is meant?
fn subject(policy: &Policy, facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    let claim = facts.statement.enclave.as_ref();
    if let Some(wanted) = &policy.enclave {
        let failed = (claim.map(|claim| &claim.id) != Some(wanted)).then_some(Reason::EnclaveOther);
        checks.push(check("enclave", "It is the enclave that was meant", failed, "policy"));
    }
    if let Some(wanted) = &policy.owner {
        let failed = (claim.map(|claim| &claim.owner) != Some(wanted)).then_some(Reason::OwnerOther);
        checks.push(check("owner", "The enclave is yours", failed, "your key"));
    }
    if let Some(wanted) = &policy.dns_name {
        let names = facts.certificate.as_ref().map(|certificate| certificate.dns_names());
        let failed = (names != Some(core::slice::from_ref(wanted))).then_some(Reason::NameOther);
        checks.push(check(
            "dns_name",
            "Its certificate has the one name that was asked for",
            failed,
            "policy",
        ));
    }
    if let Some(claim) = claim {
        let failed = (claim.incarnation < policy.min_incarnation).then_some(Reason::Rollback);
        checks.push(check(
            "incarnation",
            "It is not an earlier start than one seen before",
            failed,
            "your pins",
        ));
    }
    checks
}

fn version(policy: &Policy, facts: &Facts) -> Check {
    let name = "version";
    let meaning = "The running software is a version that you accept";
    let running = facts.statement.enclave.as_ref().map(|claim| claim.version);
    match &policy.versions {
        Versions::Any => check(name, "The version is stated (any is accepted here)", None, "none"),
        Versions::OneOf(references) => match find(references, running.as_ref()) {
            Some(reference) => check(name, meaning, None, reference.source.as_str()),
            None => check(name, meaning, Some(Reason::VersionUnknown), sources(references)),
        },
    }
}

fn find<'a>(references: &'a [Reference], digest: Option<&Digest>) -> Option<&'a Reference> {
    references.iter().filter(|reference| Some(&reference.digest) == digest).min_by_key(|found| found.source)
}

fn sources(references: &[Reference]) -> String {
    let words: Vec<&str> = references.iter().map(|reference| reference.source.as_str()).collect();
    if words.is_empty() { "no reference value".into() } else { words.join(", ") }
}

/// What the TPM quotes is the agent's word, so the agent and the facade must be appraised ones.
fn software(policy: &Policy, facts: &Facts) -> Vec<Check> {
    let mut checks = Vec::new();
    let node = facts.verdict.as_ref().map(|verdict| &verdict.claims().submods.node);
    let agent = &facts.statement.agent;
    let agent_failed = match node {
        None => Some(Reason::VerdictMissing),
        Some(node) if node.agent_digest.as_ref() != Some(agent) => Some(Reason::AgentNotAppraised),
        Some(_) if pinned_otherwise(&policy.agents, agent) => Some(Reason::AgentUnknown),
        Some(_) => None,
    };
    let source = |pins: &[Reference]| match find(pins, None).or(pins.first()) {
        None => "verifier".to_string(),
        Some(_) => format!("verifier, {}", sources(pins)),
    };
    let meaning = "The agent that says so is an appraised one";
    checks.push(check("agent", meaning, agent_failed, source(&policy.agents)));
    if let Some(claim) = &facts.statement.enclave {
        let failed = match node {
            None => Some(Reason::VerdictMissing),
            Some(node) if !node.facade_digests.contains(&claim.facade) => Some(Reason::FacadeNotAppraised),
            Some(_) if pinned_otherwise(&policy.facades, &claim.facade) => Some(Reason::FacadeUnknown),
            Some(_) => None,
        };
        let meaning = "The facade that ends TLS is an appraised one";
        checks.push(check("facade", meaning, failed, source(&policy.facades)));
    }
    checks
}

fn pinned_otherwise(pins: &[Reference], digest: &Digest) -> bool {
    !pins.is_empty() && find(pins, Some(digest)).is_none()
}

fn log(facts: &Facts, level: Level) -> Check {
    let failed =
        (level >= Level::Virtual && facts.log == LogState::Baseline).then_some(Reason::LogIncomplete);
    check("log_complete", "The enclave log tells of everything since boot", failed, "the evidence itself")
}

fn not_proved(policy: &Policy, facts: &Facts, level: Level) -> Vec<NotProved> {
    let mut lines = Vec::new();
    let mut line = |name, text: &str| lines.push(NotProved { name, text: text.into() });
    match level {
        Level::Simulated => line(
            "hardware",
            "anything about hardware: the TPM is a software one, and whoever runs it can make it say anything",
        ),
        Level::Virtual => line("hardware", "that the cloud provider does not control the TPM"),
        Level::Tpm => line("memory", "that memory is isolated from whoever owns the kernel after a zero-day"),
        Level::Tee => line("physical", "protection from physical attacks and extracted vendor keys"),
    }
    match facts.log {
        LogState::Complete => {}
        LogState::Gap => line("log_complete", "what happened on the node while the agent was not watching"),
        LogState::Baseline => line("log_complete", "what happened on the node before the agent watched"),
    }
    line(
        "endorsement",
        "that the TPM is a maker's, by your own check: the operator's verifier checked it, and its CA says so",
    );
    line(
        "agent_word",
        "more than the agent said: the TPM quotes the agent's log, and the agent is an appraised binary",
    );
    let running = facts.statement.enclave.as_ref().map(|claim| claim.version);
    match &policy.versions {
        Versions::Any => line("version", "which software runs: any version was accepted"),
        Versions::OneOf(references) => match find(references, running.as_ref()).map(|found| found.source) {
            Some(Source::Operator) => {
                line(
                    "version",
                    "that the version is the publisher's: its only reference value is the operator's word",
                );
            }
            Some(Source::FirstUse) => {
                line("version", "that the version is the publisher's: it was pinned at first use")
            }
            Some(Source::UserFile | Source::PublisherSignature) | None => {}
        },
    }
    if facts.boot.is_none() {
        line(
            "boot_policy",
            "what the node booted, beyond the verifier's verdict: its node policy is the operator's",
        );
    }
    lines
}
