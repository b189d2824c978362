//! One defect, and what is said of it when it is asked now and when it is asked later.

use evidence::{
    Audience, Challenge, ChannelRule, Evidence, Expectation, Rejected, Roots, verify, verify_recorded,
};
use forge::{Draft, NOW, TpmKey, World};
use names::{Digest, Level};
use pki::Certificate;

/// What is said of the same bundle as a record, which nobody's question belongs to.
#[derive(Clone, Copy)]
pub enum AsRecord {
    Rejected,
    Accepted,
}

pub struct Case {
    pub behaviour: &'static str,
    pub expected: Rejected,
    pub as_record: AsRecord,
    pub attempt: fn(&World) -> Attempt,
}

/// A defect of the evidence itself.
pub const fn defect(expected: Rejected, behaviour: &'static str, attempt: fn(&World) -> Attempt) -> Case {
    Case { behaviour, expected, as_record: AsRecord::Rejected, attempt }
}

/// Good evidence that does not answer the question.
pub const fn no_answer(expected: Rejected, behaviour: &'static str, attempt: fn(&World) -> Attempt) -> Case {
    Case { behaviour, expected, as_record: AsRecord::Accepted, attempt }
}

/// Everything that a check is given.
pub struct Attempt {
    pub evidence: Evidence,
    pub challenge: Challenge,
    pub roots: Roots,
    pub now: u64,
}

impl Attempt {
    pub fn new(world: &World, evidence: Evidence) -> Self {
        Self { evidence, challenge: world.challenge(), roots: world.roots(Level::Tpm), now: NOW }
    }

    pub fn asked(self, challenge: Challenge) -> Self {
        Self { challenge, ..self }
    }
}

/// Changed before it was signed.
pub fn drafted(world: &World, change: impl FnOnce(&mut Draft<'_>)) -> Attempt {
    let mut draft = world.draft();
    change(&mut draft);
    Attempt::new(world, draft.seal())
}

/// Changed after it was signed.
pub fn sealed(world: &World, change: impl FnOnce(&mut Evidence)) -> Attempt {
    let mut evidence = world.draft().seal();
    change(&mut evidence);
    Attempt::new(world, evidence)
}

/// Evidence about the node, changed before it was signed.
pub fn node_drafted(world: &World, change: impl FnOnce(&mut Draft<'_>)) -> Attempt {
    let mut draft = world.node_draft();
    change(&mut draft);
    Attempt::new(world, draft.seal()).asked(world.node_challenge())
}

/// Evidence about the node, changed after it was signed.
pub fn node_sealed(world: &World, change: impl FnOnce(&mut Evidence)) -> Attempt {
    let mut evidence = world.node_draft().seal();
    change(&mut evidence);
    Attempt::new(world, evidence).asked(world.node_challenge())
}

/// Evidence by another key than the world's, which the statement and the verdict name.
pub fn signed_by(
    world: &World,
    key: &TpmKey,
    chain: impl FnOnce(Vec<Certificate>) -> Vec<Certificate>,
) -> Attempt {
    let mut draft = world.draft();
    draft.statement.ak_name = key.name();
    let names = &mut draft.verdict.as_mut().unwrap().submods.node.ak_names;
    names.insert("ak-enclave".into(), names::hex(&key.name()));
    Attempt::new(world, draft.seal_with(key, chain))
}

/// A statement as its bytes, log count and all.
pub fn statement_bytes(draft: &Draft<'_>) -> Vec<u8> {
    let mut statement = draft.statement.clone();
    statement.log_count = draft.log().count();
    statement.encode().unwrap()
}

/// The draft signed with other bytes for its statement.
pub fn stated(world: &World, bytes: Vec<u8>) -> Attempt {
    Attempt::new(world, world.draft().seal_statement(bytes, &world.ak, |chain| chain))
}

/// The world's challenge with parts to change.
pub struct Question {
    pub nonce: [u8; 32],
    pub made_at: u64,
    pub max_age: u64,
    pub audience: Audience,
    pub certificate: Digest,
    pub channel: ChannelRule,
}

pub fn question(world: &World, change: impl FnOnce(&mut Question)) -> Challenge {
    let mut question = Question {
        nonce: [0x42; 32],
        made_at: NOW - 1,
        max_age: 10,
        audience: Audience::Key(digest(0x01)),
        certificate: Digest::of(world.facade_certificate.der()),
        channel: ChannelRule::Required([0xcc; 32]),
    };
    change(&mut question);
    let Question { nonce, made_at, max_age, audience, certificate, channel } = question;
    Challenge::new(nonce, made_at, max_age, audience, Expectation::Serve { certificate, channel })
}

pub const fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

/// Judges each case as an answer and as a record.
pub fn check(cases: &[Case]) {
    let world = World::new();
    let mut wrong = Vec::new();
    for case in cases {
        let Attempt { evidence, challenge, roots, now } = (case.attempt)(&world);
        let answer = verify(challenge, &evidence, &roots, now).err();
        let record = verify_recorded(&evidence, &roots, now).err();
        let expected_record = match case.as_record {
            AsRecord::Rejected => Some(case.expected),
            AsRecord::Accepted => None,
        };
        if (answer, record) != (Some(case.expected), expected_record) {
            wrong.push(format!("{}: {answer:?} as an answer, {record:?} as a record", case.behaviour));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The attempt is good.
pub fn accepted(attempt: Attempt) {
    let Attempt { evidence, challenge, roots, now } = attempt;
    assert_eq!(verify(challenge, &evidence, &roots, now).err(), None);
    assert_eq!(verify_recorded(&evidence, &roots, now).err(), None);
}

/// The attempt is rejected, as an answer.
pub fn rejected(attempt: Attempt) -> Rejected {
    let Attempt { evidence, challenge, roots, now } = attempt;
    verify(challenge, &evidence, &roots, now).unwrap_err()
}
