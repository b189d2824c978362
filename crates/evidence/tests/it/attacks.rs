//! Known attacks by name, each stopped at the step that the documentation says.

use evidence::tree::{Tree, leaf};
use evidence::{
    Anchor, Audience, Bytes, EnclaveClaim, Evidence, Proof, Rejected, Roots, StatementError, verify,
    verify_recorded,
};
use forge::{Draft, NOW, TpmKey, World};
use logs::enclave::{EnclaveLog, Event, Reason, Start};
use names::Level;
use pki::profile::KeyPurpose;
use tpm2::attributes::ObjectAttributes as Attribute;

use crate::case::{Attempt, digest, drafted, node_drafted, node_sealed, rejected, sealed, signed_by, stated};

/// Rejected as an answer and as a record alike.
fn stopped(attempt: Attempt, expected: Rejected) {
    let record = verify_recorded(&attempt.evidence, &attempt.roots, attempt.now).err();
    assert_eq!((rejected(attempt), record), (expected, Some(expected)));
}

#[test]
fn a_relayed_answer_to_somebody_else_is_rejected() {
    // Mallory asks the enclave with the victim's nonce and hands the answer on.
    let world = World::new();
    let attempt = drafted(&world, |draft| draft.statement.audience = Audience::Key(digest(0x66)));
    assert_eq!(rejected(attempt), Rejected::AudienceMismatch);
}

#[test]
fn an_inner_node_is_no_leaf() {
    let world = World::new();
    let mut draft = world.draft();
    draft.other_leaves = vec![digest(1), digest(2), digest(3)];
    let good = draft.seal();
    // The two left leaves' hashes in the place of a statement, in a tree of two.
    let inner = [digest(1).as_bytes().as_slice(), digest(2).as_bytes()].concat();
    let right = Tree::new(vec![digest(3), leaf(&good.statement.0)]).unwrap().root();
    let proof = Proof { index: 0, count: 2, path: vec![right] };
    assert_ne!(proof.root(&leaf(&inner)), good.proof.root(&leaf(&good.statement.0)));
    let attempt = Attempt::new(&world, Evidence { statement: Bytes(inner.clone()), proof, ..good });
    stopped(attempt, Rejected::StatementMalformed);
    assert_eq!(evidence::Statement::parse(&inner), Err(StatementError::Malformed { field: 0 }));
}

#[test]
fn a_hidden_stop_of_the_asked_enclave_is_rejected() {
    let world = World::new();
    let mut draft = world.draft();
    draft.events.push(Event::Stop {
        enclave: world.enclave.id,
        incarnation: world.enclave.incarnation,
        reason: Reason::new("asked to").unwrap(),
    });
    let log = draft.log();
    let other = names::EnclaveId::from_bytes([0xe2; 16]);
    let hidden = EnclaveLog::parse(&log.hide_foreign(&other), 13).unwrap();
    // Everything of the enclave in the open but its end.
    let (last, before) = log.records().split_last().unwrap();
    let mut bytes: Vec<u8> = before.iter().flat_map(logs::enclave::Record::encode).collect();
    assert!(last.event().is_some());
    bytes.extend(hidden.records().last().unwrap().encode());
    let mut evidence = draft.seal();
    evidence.enclave_log = Bytes(bytes);
    stopped(Attempt::new(&world, evidence), Rejected::LogHidden);
}

#[test]
fn another_version_started_under_the_same_name_is_rejected() {
    // The statement still speaks of the first start; the agent has announced the second.
    let world = World::new();
    let EnclaveClaim { id, instance, facade, owner, spki, .. } = world.enclave;
    let attempt = drafted(&world, |draft| {
        let version = digest(0x0e);
        let start = Start { enclave: id, incarnation: 4, version, instance, owner: Some(owner), facade };
        draft.events.push(Event::Start(start));
        draft.events.push(Event::Key { enclave: id, incarnation: 4, spki });
    });
    stopped(attempt, Rejected::LogMismatch);
}

#[test]
fn a_quote_by_the_nodes_key_for_keylime_is_rejected() {
    // Its nonces are chosen by whoever asks, so it would sign the head of anybody's tree.
    let world = World::new();
    let keylime = TpmKey::attestation(6);
    let certificate = world.certify(&keylime, &world.node, KeyPurpose::Keylime);
    let attempt = signed_by(&world, &keylime, |chain| vec![certificate, chain[1].clone()]);
    stopped(attempt, Rejected::KeyPurpose);
}

#[test]
fn a_key_of_the_owner_hierarchy_is_rejected() {
    // There the reset counts are obfuscated, and a reboot between quote and verdict would not show.
    let world = World::new();
    let mut key = TpmKey::attestation(5);
    key.hierarchy = tpm2::Handle::OWNER;
    stopped(signed_by(&world, &key, |chain| chain), Rejected::KeyHierarchy);
}

#[test]
fn a_made_up_attestation_signed_by_an_unrestricted_key_is_rejected() {
    let world = World::new();
    let attributes = Attribute::FIXED_TPM
        | Attribute::FIXED_PARENT
        | Attribute::SENSITIVE_DATA_ORIGIN
        | Attribute::USER_WITH_AUTH
        | Attribute::SIGN;
    let key = TpmKey::with_attributes(5, attributes);
    stopped(signed_by(&world, &key, |chain| chain), Rejected::KeyAttributes);
}

#[test]
fn a_verdict_of_another_boot_node_or_state_is_rejected() {
    let world = World::new();
    let verdict = |change: fn(&mut evidence::NodeClaims)| {
        drafted(&world, |draft| change(&mut draft.verdict.as_mut().unwrap().submods.node))
    };
    stopped(verdict(|node| node.reset_count += 1), Rejected::VerdictBoot);
    stopped(
        verdict(|node| node.node = "spiffe://sealwright.internal/node/n2".parse().unwrap()),
        Rejected::VerdictNode,
    );
    stopped(
        verdict(|node| {
            node.boot_pcrs.0.insert(7, digest(7));
        }),
        Rejected::VerdictRegisters,
    );
}

#[test]
fn a_reboot_after_the_verdict_is_noticed() {
    let world = World::new();
    stopped(drafted(&world, |draft| draft.counts = (12, 0)), Rejected::VerdictBoot);
}

#[test]
fn a_software_tpm_under_a_vendors_name_keeps_the_level_of_its_own_anchor() {
    let (vendor, software) = (World::new(), World::of_another_root());
    assert_eq!(vendor.root.subject(), software.root.subject());
    let anchor =
        |world: &World, level| Anchor { name: format!("{level}"), certificate: world.root.clone(), level };
    let both = Roots::new(vec![anchor(&vendor, Level::Tpm), anchor(&software, Level::Simulated)]);
    let verified = verify(software.challenge(), &software.draft().seal(), &both, NOW).unwrap();
    assert_eq!(
        (verified.facts().key.level, verified.facts().key.anchor.as_str()),
        (Level::Simulated, "simulated")
    );
    // Where only the vendor is trusted, the names in the chain lead nowhere.
    let attempt =
        Attempt { roots: vendor.roots(Level::Tpm), ..Attempt::new(&software, software.draft().seal()) };
    stopped(attempt, Rejected::KeyChain);
}

#[test]
fn ima_lines_after_the_quoted_prefix_are_not_part_of_what_is_proved() {
    let world = World::new();
    let mut attempt = node_sealed(&world, |evidence| {
        evidence.ima_log.as_mut().unwrap().0.extend(forge::ima_list(&[("/usr/bin/later", digest(9))]));
    });
    let challenge = std::mem::replace(&mut attempt.challenge, world.node_challenge());
    let verified = verify(challenge, &attempt.evidence, &attempt.roots, NOW).unwrap();
    assert_eq!(verified.facts().ima.as_ref().unwrap().covered, 3);
}

#[test]
fn event_data_that_was_edited_under_kept_digests_is_rejected() {
    let world = World::new();
    let attempt = node_drafted(&world, |draft| {
        draft.boot(forge::boot_log_with_secure_boot(0));
        let log = draft.boot_log.as_mut().unwrap();
        let name: Vec<u8> = "SecureBoot".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let at = log.windows(name.len()).position(|window| window == name).unwrap() + name.len();
        log[at] = 1;
    });
    stopped(attempt, Rejected::BootLogData);
}

#[test]
fn a_reordered_log_is_rejected() {
    let world = World::new();
    let log = world.draft().log();
    let mut records: Vec<Vec<u8>> = log.records().iter().map(logs::enclave::Record::encode).collect();
    records.swap(0, 3);
    let numbered_wrong = sealed(&world, |evidence| evidence.enclave_log = Bytes(records.concat()));
    stopped(numbered_wrong, Rejected::LogMalformed);
    let renumbered = |draft: &mut Draft<'_>| draft.events.swap(0, 1);
    let mut other = world.draft();
    renumbered(&mut other);
    let bytes = other.log().encode();
    stopped(sealed(&world, |evidence| evidence.enclave_log = Bytes(bytes)), Rejected::LogReplay);
}

#[test]
fn a_statement_of_another_quote_is_rejected() {
    let world = World::new();
    let mut draft = world.draft();
    draft.statement.nonce = [0x43; 32];
    let other = draft.seal();
    let attempt =
        sealed(&world, |evidence| (evidence.quote, evidence.signature) = (other.quote, other.signature));
    stopped(attempt, Rejected::QuoteData);
}

#[test]
fn a_purpose_can_not_be_rewritten_under_a_signature() {
    let world = World::new();
    let attempt = Attempt::new(&world, world.issue_draft().seal());
    assert_eq!(rejected(attempt), Rejected::PurposeMismatch);
    stopped(stated(&world, Vec::new()), Rejected::StatementMalformed);
}
