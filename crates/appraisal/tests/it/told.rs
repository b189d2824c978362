//! What the screen says: the check list with its sources, and what is not proved.

use appraisal::{Outcome, Reason, Reference, Source, Trusted, Versions, appraise};
use evidence::{Step, verify};
use forge::{NOW, World};
use logs::enclave::{Event, Reason as LogReason};
use names::Level;

use crate::{digest, policy, verified, verified_by};

fn trusted(world: &World) -> Trusted {
    appraise(&world.policy(), verified(world, |_| ())).unwrap()
}

fn not_proved(trusted: &Trusted) -> Vec<&str> {
    trusted.not_proved().iter().map(|line| line.name).collect()
}

#[test]
fn the_list_has_the_steps_first_and_then_the_policys_checks() {
    let world = World::new();
    let full = policy(&world, |policy| {
        policy.enclave = Some(world.enclave.id);
        policy.owner = Some(world.enclave.owner);
        policy.dns_name = Some(world.dns_name.clone());
    });
    let trusted = appraise(&full, verified(&world, |_| ())).unwrap();
    let lines: Vec<(&str, &str)> =
        trusted.checks().iter().map(|check| (check.name, check.source.as_str())).collect();
    let evidence = "the evidence itself";
    assert_eq!(
        lines,
        [
            ("form", evidence),
            ("challenge", evidence),
            ("channel", evidence),
            ("quote", evidence),
            ("key", "anchor forged root"),
            ("registers", evidence),
            ("enclave_log", evidence),
            ("verdict", "spiffe://sealwright.internal/part/verifier, anchor forged root"),
            ("level", "anchor forged root, level tpm"),
            ("pcr_selection", "policy"),
            ("enclave", "policy"),
            ("owner", "your key"),
            ("dns_name", "policy"),
            ("incarnation", "your pins"),
            ("version", "publisher signature"),
            ("agent", "verifier"),
            ("facade", "verifier"),
            ("log_complete", evidence),
        ]
    );
    assert!(trusted.checks().iter().all(|check| check.outcome == Outcome::Pass && !check.meaning.is_empty()));
}

#[test]
fn steps_that_were_not_done_are_not_listed() {
    let world = World::new();
    let listed = |verified| -> Vec<&str> {
        let any = policy(&world, |policy| policy.versions = Versions::Any);
        let checks = match appraise(&any, verified) {
            Ok(trusted) => trusted.checks().to_vec(),
            Err(refused) => refused.checks,
        };
        let steps: Vec<&str> = Step::ALL.iter().map(|step| step.name()).collect();
        checks.iter().map(|check| check.name).filter(|name| steps.contains(name)).collect()
    };
    let all =
        ["form", "challenge", "channel", "quote", "key", "registers", "enclave_log", "verdict", "node_logs"];
    assert_eq!(listed(verified(&world, |_| ())), all[..8]);
    assert_eq!(listed(verified(&world, |draft| draft.verdict = None)), all[..7]);
    let both = verified(&world, |draft| {
        draft.boot_log = Some(forge::BOOT_LOG());
        draft.ima_log = Some(forge::IMA_LIST());
    });
    assert_eq!(listed(both), all);
    let boot_only = verified(&world, |draft| draft.boot_log = Some(forge::BOOT_LOG()));
    assert_eq!(listed(boot_only), all[..8]);
    let issue = world.issue_draft().seal();
    let issue = verify(world.issue_challenge(), &issue, &world.roots(Level::Tpm), NOW).unwrap();
    assert_eq!(listed(issue), ["form", "challenge", "quote", "key", "registers", "enclave_log", "verdict"]);
}

#[test]
fn each_level_says_what_it_does_not_prove() {
    let world = World::new();
    let any_level = policy(&world, |policy| policy.min_level = Level::Simulated);
    for (level, name) in [
        (Level::Simulated, "hardware"),
        (Level::Virtual, "hardware"),
        (Level::Tpm, "memory"),
        (Level::Tee, "physical"),
    ] {
        let mut draft = world.draft();
        draft.verdict.as_mut().unwrap().submods.node.level = level;
        let trusted = appraise(&any_level, verified_by(&world, &world.roots(level), &draft.seal())).unwrap();
        assert_eq!(trusted.level(), level);
        assert_eq!(not_proved(&trusted), [name, "endorsement", "agent_word", "boot_policy"]);
    }
}

#[test]
fn the_level_is_the_least_along_both_chains() {
    let world = World::new();
    for (seen, anchor, least) in [
        (Level::Virtual, Level::Tpm, Level::Virtual),
        (Level::Tee, Level::Tpm, Level::Tpm),
        (Level::Tpm, Level::Tpm, Level::Tpm),
    ] {
        let mut draft = world.draft();
        draft.verdict.as_mut().unwrap().submods.node.level = seen;
        let any_level = policy(&world, |policy| policy.min_level = Level::Virtual);
        let verified = verified_by(&world, &world.roots(anchor), &draft.seal());
        assert_eq!(appraise(&any_level, verified).unwrap().level(), least);
    }
    let alone = verified(&world, |draft| draft.verdict = None);
    assert_eq!(appraise(&world.policy(), alone).unwrap_err().level, Level::Tpm);
}

#[test]
fn an_incomplete_log_says_what_is_missing() {
    let world = World::new();
    let any_level = policy(&world, |policy| policy.min_level = Level::Simulated);
    let reason = || LogReason::new("for a test").unwrap();
    let told = |event: Event| {
        let mut draft = world.draft();
        draft.events.insert(0, event);
        let verified = verified_by(&world, &world.roots(Level::Simulated), &draft.seal());
        let trusted = appraise(&any_level, verified).unwrap();
        let line = trusted.not_proved().iter().find(|line| line.name == "log_complete").unwrap();
        line.text.clone()
    };
    assert!(told(Event::Gap { reason: reason() }).contains("while the agent was not watching"));
    assert!(
        told(Event::Baseline { found: digest(9), reason: reason() }).contains("before the agent watched")
    );
    assert!(!not_proved(&trusted(&world)).contains(&"log_complete"));
}

#[test]
fn a_version_on_a_weak_word_gets_a_line() {
    let world = World::new();
    let reference = |source| Reference { digest: world.enclave.version, source };
    let cases = [
        (vec![Source::UserFile], "user file", None),
        (vec![Source::PublisherSignature], "publisher signature", None),
        (vec![Source::Operator], "operator", Some("operator's word")),
        (vec![Source::FirstUse], "first use", Some("pinned at first use")),
        // The best word counts, wherever it stands.
        (vec![Source::FirstUse, Source::Operator, Source::UserFile], "user file", None),
        (vec![Source::FirstUse, Source::Operator], "operator", Some("operator's word")),
    ];
    for (sources, source, line) in cases {
        let mut references = vec![Reference { digest: digest(9), source: Source::UserFile }];
        references.extend(sources.into_iter().map(reference));
        let wanted = policy(&world, |policy| policy.versions = Versions::OneOf(references));
        let trusted = appraise(&wanted, verified(&world, |_| ())).unwrap();
        let check = trusted.checks().iter().find(|check| check.name == "version").unwrap();
        assert_eq!(check.source, source);
        let told =
            trusted.not_proved().iter().find(|line| line.name == "version").map(|line| line.text.as_str());
        match line {
            Some(part) => assert!(told.unwrap().contains(part), "{told:?}"),
            None => assert_eq!(told, None),
        }
    }
}

#[test]
fn any_version_is_said_to_be_any() {
    let world = World::new();
    let any = policy(&world, |policy| policy.versions = Versions::Any);
    let trusted = appraise(&any, verified(&world, |_| ())).unwrap();
    let check = trusted.checks().iter().find(|check| check.name == "version").unwrap();
    assert_eq!(check.source, "none");
    assert!(not_proved(&trusted).contains(&"version"));
}

#[test]
fn a_refused_version_names_the_sources_that_were_asked() {
    let world = World::new();
    let source = |references: Vec<Reference>| {
        let wanted = policy(&world, |policy| policy.versions = Versions::OneOf(references));
        let refused = appraise(&wanted, verified(&world, |_| ())).unwrap_err();
        let check = refused.checks.iter().find(|check| check.name == "version").unwrap();
        assert_eq!(check.outcome, Outcome::Fail(Reason::VersionUnknown));
        check.source.clone()
    };
    let other = |source| Reference { digest: digest(9), source };
    assert_eq!(source(Vec::new()), "no reference value");
    assert_eq!(source(vec![other(Source::UserFile), other(Source::Operator)]), "user file, operator");
}

#[test]
fn pins_are_named_beside_the_verifiers_word() {
    let world = World::new();
    let agent = world.draft().statement.agent;
    let pinned = policy(&world, |policy| {
        policy.agents = vec![Reference { digest: agent, source: Source::UserFile }];
        policy.facades = vec![Reference { digest: world.enclave.facade, source: Source::FirstUse }];
    });
    let trusted = appraise(&pinned, verified(&world, |_| ())).unwrap();
    let source = |name| trusted.checks().iter().find(|check| check.name == name).unwrap().source.clone();
    assert_eq!(
        (source("agent"), source("facade")),
        ("verifier, user file".into(), "verifier, first use".into())
    );
}

#[test]
fn with_the_boot_log_the_operators_policy_is_not_all_there_is() {
    let world = World::new();
    let with_logs = verified(&world, |draft| draft.boot_log = Some(forge::BOOT_LOG()));
    let told = appraise(&world.policy(), with_logs).unwrap();
    assert!(!not_proved(&told).contains(&"boot_policy"));
    assert!(not_proved(&trusted(&world)).contains(&"boot_policy"));
}

#[test]
fn a_policy_survives_the_way_through_json() {
    let world = World::new();
    for versions in [Versions::Any, world.policy().versions] {
        let wanted = policy(&world, |policy| policy.versions = versions);
        let json = serde_json::to_string(&wanted).unwrap();
        assert_eq!(serde_json::from_str::<appraisal::Policy>(&json).unwrap(), wanted);
        assert!(serde_json::from_str::<appraisal::Policy>(&json.replacen('{', "{\"more\":1,", 1)).is_err());
    }
}
