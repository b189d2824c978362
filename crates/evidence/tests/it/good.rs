//! What must pass, to the last second and the last byte.

use evidence::{ChannelRule, Evidence, LogState, MAX_BUNDLE, NoChannel, Rejected, verify, verify_recorded};
use forge::{NOW, RsaScheme, TpmKey, World};
use logs::enclave::{Event, Reason};
use names::{Digest, EnclaveId, Level};

use crate::case::{Attempt, accepted, digest, drafted, node_drafted, question, rejected, sealed};

#[test]
fn good_evidence_is_verified() {
    let world = World::new();
    let evidence = world.draft().seal();
    let verified = verify(world.challenge(), &evidence, &world.roots(Level::Tpm), NOW).unwrap();
    let facts = verified.facts();
    assert_eq!(verified.at(), NOW);
    assert_eq!((facts.key.level, facts.key.anchor.as_str()), (Level::Tpm, "forged root"));
    assert_eq!((&facts.key.name, &facts.key.node), (&world.ak.name(), &world.node));
    assert_eq!(facts.statement.enclave.as_ref(), Some(&world.enclave));
    assert_eq!(facts.certificate.as_ref(), Some(&world.facade_certificate));
    assert_eq!(facts.log, LogState::Complete);
    assert_eq!(
        (facts.quoted.reset_count, facts.quoted.restart_count, facts.quoted.firmware_version),
        (11, 2, 7)
    );
    assert_eq!(facts.quoted.pcrs, evidence.pcrs.0);
    assert_eq!(facts.quoted.boot_pcrs(), world.draft().boot_pcrs().0);
    assert!(facts.verdict.is_some() && facts.boot.is_none() && facts.ima.is_none());
}

#[test]
fn evidence_survives_the_way_through_json() {
    let world = World::new();
    for evidence in [world.draft().seal(), world.node_draft().seal()] {
        assert_eq!(Evidence::from_json(&evidence.to_json()), Ok(evidence));
    }
}

#[test]
fn a_record_is_as_good_as_the_answer_was() {
    let world = World::new();
    let evidence = world.draft().seal();
    let roots = world.roots(Level::Tpm);
    let recorded = verify_recorded(&evidence, &roots, NOW + 7).unwrap();
    assert_eq!(recorded.at(), NOW + 7);
    let verified = verify(world.challenge(), &evidence, &roots, NOW).unwrap();
    assert_eq!(recorded.facts(), verified.facts());
}

#[test]
fn every_purpose_is_verified() {
    let world = World::new();
    accepted(Attempt::new(&world, world.issue_draft().seal()).asked(world.issue_challenge()));
    accepted(node_drafted(&world, |_| ()));
    // Nobody asks for a release yet; as a record it stands.
    let release = world.release_draft().seal();
    assert_eq!(verify_recorded(&release, &world.roots(Level::Tpm), NOW).err(), None);
}

#[test]
fn node_logs_beside_evidence_about_an_enclave_are_checked_and_kept() {
    let world = World::new();
    let mut draft = world.draft();
    draft.boot_log = Some(forge::BOOT_LOG());
    draft.ima_log = Some(forge::IMA_LIST());
    let evidence = draft.seal();
    let verified = verify(world.challenge(), &evidence, &world.roots(Level::Tpm), NOW).unwrap();
    assert_eq!(verified.facts().boot.as_ref().unwrap().log, forge::BOOT_LOG());
    assert_eq!(verified.facts().ima.as_ref().unwrap().covered, 3);
}

#[test]
fn a_challenge_is_good_from_its_first_to_its_last_second() {
    let world = World::new();
    for (made_at, expected) in [
        (NOW, None),
        (NOW - 10, None),
        (NOW - 11, Some(Rejected::ChallengeExpired)),
        (NOW + 1, Some(Rejected::ChallengeExpired)),
    ] {
        let challenge = question(&world, |question| question.made_at = made_at);
        let evidence = world.draft().seal();
        assert_eq!(verify(challenge, &evidence, &world.roots(Level::Tpm), NOW).err(), expected, "{made_at}");
    }
}

#[test]
fn without_a_channel_of_ours_any_channel_is_good() {
    let world = World::new();
    let unbound = || question(&world, |question| question.channel = ChannelRule::Unbound);
    accepted(sealed(&world, |_| ()).asked(unbound()));
    let recorded = evidence::Channel::None(NoChannel::Recorded);
    accepted(drafted(&world, |draft| draft.statement.channel = recorded).asked(unbound()));
}

#[test]
fn a_verdict_is_good_up_to_each_of_its_bounds() {
    let world = World::new();
    for (iat, exp, good) in [
        (NOW - 59, NOW + 1, true),
        (NOW - 60, NOW + 1, false),
        (NOW - 60, NOW, false),
        (NOW + 5, NOW + 65, true),
        (NOW + 6, NOW + 65, false),
        (NOW, NOW, false),
    ] {
        let attempt = drafted(&world, |draft| {
            let verdict = draft.verdict.as_mut().unwrap();
            (verdict.iat, verdict.exp) = (iat, exp);
        });
        if good { accepted(attempt) } else { assert_eq!(rejected(attempt), Rejected::VerdictExpired) }
    }
}

#[test]
fn the_verdict_is_worth_the_lower_of_two_levels() {
    let world = World::new();
    for (seen, anchor, level) in [
        (Level::Tpm, Level::Tpm, Level::Tpm),
        (Level::Virtual, Level::Tpm, Level::Virtual),
        (Level::Tee, Level::Simulated, Level::Simulated),
    ] {
        let mut draft = world.draft();
        draft.verdict.as_mut().unwrap().submods.node.level = seen;
        let verified = verify(world.challenge(), &draft.seal(), &world.roots(anchor), NOW).unwrap();
        let verdict = verified.facts().verdict.as_ref().unwrap();
        assert_eq!((verdict.level(), verdict.anchor()), (level, "forged root"));
        assert_eq!(verified.facts().key.level, anchor);
    }
}

#[test]
fn the_log_says_how_complete_it_is() {
    let world = World::new();
    let reason = || Reason::new("for a test").unwrap();
    for (event, state) in [
        (Event::Gap { reason: reason() }, LogState::Gap),
        (Event::Baseline { found: digest(9), reason: reason() }, LogState::Baseline),
    ] {
        let mut draft = world.draft();
        draft.events.insert(0, event);
        let verified = verify(world.challenge(), &draft.seal(), &world.roots(Level::Tpm), NOW).unwrap();
        assert_eq!(verified.facts().log, state);
    }
}

#[test]
fn a_later_key_and_a_later_start_are_the_live_ones() {
    let world = World::new();
    accepted(drafted(&world, |draft| {
        let claim = &world.enclave;
        let id = claim.id;
        let start = match &draft.events[1] {
            Event::Start(start) => *start,
            other => panic!("not a start: {other:?}"),
        };
        draft
            .events
            .insert(0, Event::Start(logs::enclave::Start { incarnation: 1, version: digest(8), ..start }));
        draft.events.insert(1, Event::Key { enclave: id, incarnation: 1, spki: digest(7) });
        draft.events.push(Event::Stop { enclave: id, incarnation: 1, reason: Reason::new("late").unwrap() });
    }));
    accepted(drafted(&world, |draft| {
        draft.events[2] = Event::Key { enclave: world.enclave.id, incarnation: 3, spki: digest(7) };
        draft.events.push(Event::Rekey {
            enclave: world.enclave.id,
            incarnation: 3,
            spki: world.enclave.spki,
        });
    }));
}

#[test]
fn another_enclaves_end_changes_nothing() {
    let world = World::new();
    let other = EnclaveId::from_bytes([0xe2; 16]);
    accepted(drafted(&world, |draft| {
        draft.events.push(Event::Stop {
            enclave: other,
            incarnation: 1,
            reason: Reason::new("bye").unwrap(),
        });
    }));
}

#[test]
fn a_tree_of_any_size_is_verified_at_any_place() {
    let world = World::new();
    for others in (0..9u8).chain([254]) {
        let mut draft = world.draft();
        draft.other_leaves = (0..others).map(|byte| Digest::of(&[byte])).collect();
        let attempt = Attempt::new(&world, draft.seal());
        assert_eq!(attempt.evidence.proof.count, u32::from(others) + 1);
        accepted(attempt);
    }
}

#[test]
fn a_quote_by_an_rsa_key_is_verified() {
    for scheme in [RsaScheme::Rsassa, RsaScheme::Rsapss] {
        let world = World::with_attestation_key(TpmKey::rsa_attestation(scheme));
        accepted(sealed(&world, |_| ()));
    }
}

#[test]
fn the_largest_of_each_is_still_looked_at() {
    let world = World::new();
    let fill = |size| evidence::Bytes(vec![0; size]);
    let at_bound = [
        rejected(sealed(&world, |evidence| evidence.statement = fill(16 << 10))),
        rejected(sealed(&world, |evidence| evidence.quote = fill(16 << 10))),
        rejected(sealed(&world, |evidence| evidence.enclave_log = fill(16 << 20))),
        rejected(sealed(&world, |evidence| evidence.verdict = Some("x".repeat(16 << 10)))),
        rejected(sealed(&world, |evidence| evidence.proof.path = vec![digest(1); 10])),
        rejected(sealed(&world, |evidence| evidence.ak_chain = vec![fill(1); 4])),
        Evidence::from_json(&vec![b' '; MAX_BUNDLE]).unwrap_err(),
    ];
    assert!(!at_bound.contains(&Rejected::TooLarge), "{at_bound:?}");
}
