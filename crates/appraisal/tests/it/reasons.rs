//! Each reason, produced by one thing that the policy does not accept; and nothing but that reason.

use std::collections::BTreeSet;

use appraisal::{Policy, Reason, Reference, Source, Versions, appraise, report};
use evidence::{Evidence, Roots, verify_recorded};
use forge::{Draft, NOW, World};
use logs::enclave::{Event, Reason as LogReason};
use names::{EnclaveId, Level};

use crate::{digest, policy, verified, verified_by};

struct Case {
    reason: Reason,
    behaviour: &'static str,
    make: fn(&World) -> (Policy, Roots, Evidence),
}

const fn refused(
    reason: Reason,
    behaviour: &'static str,
    make: fn(&World) -> (Policy, Roots, Evidence),
) -> Case {
    Case { reason, behaviour, make }
}

fn wanting(world: &World, change: fn(&mut Policy)) -> (Policy, Roots, Evidence) {
    (policy(world, change), world.roots(Level::Tpm), world.draft().seal())
}

fn saying(world: &World, change: impl FnOnce(&mut Draft<'_>)) -> (Policy, Roots, Evidence) {
    let mut draft = world.draft();
    change(&mut draft);
    (world.policy(), world.roots(Level::Tpm), draft.seal())
}

fn pin(byte: u8) -> Vec<Reference> {
    vec![Reference { digest: digest(byte), source: Source::UserFile }]
}

const CASES: &[Case] = &[
    refused(Reason::LevelSimulated, "a software TPM's anchor", |world| {
        (world.policy(), world.roots(Level::Simulated), world.draft().seal())
    }),
    refused(Reason::LevelSimulated, "a verifier that saw a software TPM", |world| {
        saying(world, |draft| draft.verdict.as_mut().unwrap().submods.node.level = Level::Simulated)
    }),
    refused(Reason::LevelTooLow, "a cloud's TPM where a chip is wanted", |world| {
        (world.policy(), world.roots(Level::Virtual), world.draft().seal())
    }),
    refused(Reason::LevelTooLow, "a chip where memory is to be isolated", |world| {
        wanting(world, |policy| policy.min_level = Level::Tee)
    }),
    refused(Reason::RegistersNotPolicy, "a register less than wanted", |world| {
        wanting(world, |policy| policy.pcrs.push(15))
    }),
    refused(Reason::RegistersNotPolicy, "a register more than wanted", |world| {
        wanting(world, |policy| policy.pcrs.retain(|pcr| *pcr != 14))
    }),
    refused(Reason::EnclaveOther, "another enclave", |world| {
        wanting(world, |policy| policy.enclave = Some(EnclaveId::from_bytes([0xe2; 16])))
    }),
    refused(Reason::OwnerOther, "somebody else's enclave", |world| {
        wanting(world, |policy| policy.owner = Some(digest(9)))
    }),
    refused(Reason::NameOther, "a certificate for another name", |world| {
        wanting(world, |policy| policy.dns_name = Some("notes-bob.enclaves.localhost".into()))
    }),
    refused(Reason::NameOther, "a certificate for a part of the name", |world| {
        wanting(world, |policy| policy.dns_name = Some("enclaves.localhost".into()))
    }),
    refused(Reason::Rollback, "an earlier start than one that was seen", |world| {
        wanting(world, |policy| policy.min_incarnation = 4)
    }),
    refused(Reason::VersionUnknown, "another version", |world| {
        wanting(world, |policy| policy.versions = Versions::OneOf(pin(9)))
    }),
    refused(Reason::VersionUnknown, "no version is known", |world| {
        wanting(world, |policy| policy.versions = Versions::OneOf(Vec::new()))
    }),
    refused(Reason::VerdictMissing, "no verdict", |world| saying(world, |draft| draft.verdict = None)),
    refused(Reason::AgentNotAppraised, "a verifier that saw another agent", |world| {
        saying(world, |draft| draft.verdict.as_mut().unwrap().submods.node.agent_digest = Some(digest(9)))
    }),
    refused(Reason::AgentNotAppraised, "a verifier that saw no agent", |world| {
        saying(world, |draft| draft.verdict.as_mut().unwrap().submods.node.agent_digest = None)
    }),
    refused(Reason::AgentUnknown, "another agent than pinned", |world| {
        wanting(world, |policy| policy.agents = pin(9))
    }),
    refused(Reason::FacadeNotAppraised, "a verifier that saw another facade", |world| {
        saying(world, |draft| draft.verdict.as_mut().unwrap().submods.node.facade_digests = vec![digest(9)])
    }),
    refused(Reason::FacadeNotAppraised, "a verifier that saw no facade", |world| {
        saying(world, |draft| draft.verdict.as_mut().unwrap().submods.node.facade_digests.clear())
    }),
    refused(Reason::FacadeUnknown, "another facade than pinned", |world| {
        wanting(world, |policy| policy.facades = pin(9))
    }),
    refused(Reason::LogIncomplete, "a log that does not begin at the boot", |world| {
        let reason = LogReason::new("for a test").unwrap();
        saying(world, |draft| draft.events.insert(0, Event::Baseline { found: digest(9), reason }))
    }),
];

#[test]
fn what_a_policy_does_not_accept_is_refused_for_that_reason_alone() {
    let world = World::new();
    let mut wrong = Vec::new();
    for case in CASES {
        let (policy, roots, evidence) = (case.make)(&world);
        let refused = appraise(&policy, verified_by(&world, &roots, &evidence)).unwrap_err();
        let reasons: BTreeSet<&str> = refused.reasons().map(Reason::code).collect();
        let recorded = verify_recorded(&evidence, &roots, NOW).unwrap();
        let report = report(&policy, &recorded);
        let same = (&report.checks, &report.not_proved, report.level);
        let as_report =
            !report.would_be_trusted && same == (&refused.checks, &refused.not_proved, refused.level);
        if reasons != [case.reason.code()].into() || !as_report {
            wrong.push(format!("{}: {reasons:?}", case.behaviour));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_reason_is_produced() {
    let produced: BTreeSet<&str> = CASES.iter().map(|case| case.reason.code()).collect();
    let missing: Vec<Reason> =
        Reason::ALL.iter().copied().filter(|reason| !produced.contains(reason.code())).collect();
    assert_eq!(missing, []);
    let codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes, appraisal::CODES);
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
}

#[test]
fn every_reason_is_told_not_the_first_one() {
    let world = World::new();
    let strict = policy(&world, |policy| {
        policy.owner = Some(digest(9));
        policy.versions = Versions::OneOf(pin(9));
        policy.min_incarnation = 4;
    });
    let refused = appraise(&strict, verified(&world, |_| ())).unwrap_err();
    let reasons: Vec<Reason> = refused.reasons().collect();
    assert_eq!(reasons, [Reason::OwnerOther, Reason::Rollback, Reason::VersionUnknown]);
    let text = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    assert_eq!(refused.to_string(), text);
}

#[test]
fn without_a_verdict_neither_agent_nor_facade_is_appraised() {
    let world = World::new();
    let refused = appraise(&world.policy(), verified(&world, |draft| draft.verdict = None)).unwrap_err();
    assert_eq!(refused.reasons().collect::<Vec<_>>(), [Reason::VerdictMissing; 2]);
}

#[test]
fn evidence_of_a_node_is_nothing_that_a_client_can_trust() {
    let world = World::new();
    let evidence = world.node_draft().seal();
    let verified =
        evidence::verify(world.node_challenge(), &evidence, &world.roots(Level::Tpm), NOW).unwrap();
    let strict = policy(&world, |policy| {
        policy.enclave = Some(world.enclave.id);
        policy.owner = Some(world.enclave.owner);
        policy.dns_name = Some(world.dns_name.clone());
    });
    let reasons: Vec<Reason> = appraise(&strict, verified).unwrap_err().reasons().collect();
    assert_eq!(
        reasons,
        [
            Reason::EnclaveOther,
            Reason::OwnerOther,
            Reason::NameOther,
            Reason::VersionUnknown,
            Reason::VerdictMissing
        ]
    );
}

#[test]
fn good_evidence_satisfies_everything_at_once() {
    let world = World::new();
    let enclave = world.enclave.clone();
    let strict = policy(&world, |policy| {
        policy.enclave = Some(enclave.id);
        policy.owner = Some(enclave.owner);
        policy.dns_name = Some(world.dns_name.clone());
        policy.min_incarnation = enclave.incarnation;
        policy.agents = vec![
            pin(9).remove(0),
            Reference { digest: world.draft().statement.agent, source: Source::UserFile },
        ];
        policy.facades =
            vec![Reference { digest: enclave.facade, source: Source::Operator }, pin(9).remove(0)];
    });
    let trusted = appraise(&strict, verified(&world, |_| ())).unwrap();
    assert_eq!((trusted.level(), trusted.at()), (Level::Tpm, NOW));
    assert_eq!(trusted.facts().statement.enclave.as_ref(), Some(&enclave));
}

#[test]
fn a_level_is_enough_from_the_wanted_one_upwards() {
    let world = World::new();
    let levels = [Level::Simulated, Level::Virtual, Level::Tpm, Level::Tee];
    for (place, anchor) in levels.into_iter().enumerate() {
        for (least, min_level) in levels.into_iter().enumerate() {
            let mut draft = world.draft();
            draft.verdict.as_mut().unwrap().submods.node.level = anchor;
            let verified = verified_by(&world, &world.roots(anchor), &draft.seal());
            let wanting = policy(&world, |policy| policy.min_level = min_level);
            assert_eq!(appraise(&wanting, verified).is_ok(), place >= least, "{anchor} where {min_level}");
        }
    }
}

#[test]
fn a_late_log_is_tolerated_where_nothing_is_proved_anyway() {
    let world = World::new();
    for (level, trusted) in [(Level::Simulated, true), (Level::Virtual, false), (Level::Tpm, false)] {
        let mut draft = world.draft();
        let reason = LogReason::new("for a test").unwrap();
        draft.events.insert(0, Event::Baseline { found: digest(9), reason });
        let verified = verified_by(&world, &world.roots(level), &draft.seal());
        let any_level = policy(&world, |policy| policy.min_level = Level::Simulated);
        assert_eq!(appraise(&any_level, verified).is_ok(), trusted, "{level}");
    }
}

#[test]
fn a_gap_in_the_log_is_told_and_not_refused() {
    let world = World::new();
    let reason = LogReason::new("for a test").unwrap();
    let trusted =
        appraise(&world.policy(), verified(&world, |draft| draft.events.push(Event::Gap { reason })));
    assert!(trusted.unwrap().not_proved().iter().any(|line| line.name == "log_complete"));
}

#[test]
fn a_lower_incarnation_than_one_seen_is_a_rollback_and_an_equal_one_is_not() {
    let world = World::new();
    for (seen, trusted) in [(2, true), (3, true), (4, false)] {
        let pinned = policy(&world, |policy| policy.min_incarnation = seen);
        assert_eq!(appraise(&pinned, verified(&world, |_| ())).is_ok(), trusted, "{seen}");
    }
}

#[test]
fn a_certificate_of_another_name_for_the_same_enclave_is_refused() {
    let world = World::new();
    let certificate = world.certify_facade("notes-mallory.enclaves.localhost", &world.enclave.id);
    let stated = names::Digest::of(certificate.der());
    let mut draft = world.draft();
    draft.statement.certificate = Some(stated);
    draft.certificate = Some(certificate);
    let recorded = verify_recorded(&draft.seal(), &world.roots(Level::Tpm), NOW).unwrap();
    let named = policy(&world, |policy| policy.dns_name = Some(world.dns_name.clone()));
    assert!(!report(&named, &recorded).would_be_trusted);
    assert!(report(&world.policy(), &recorded).would_be_trusted);
}
