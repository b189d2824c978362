//! Is it evidence at all, and does it answer this question?

use evidence::{Audience, Bytes, Challenge, Evidence, Expectation, MAX_BUNDLE, Purpose, Rejected};
use forge::{NOW, World};

use crate::case::{
    Attempt, Case, check, defect, digest, no_answer, node_drafted, question, sealed, stated, statement_bytes,
};

const SMALL: usize = (16 << 10) + 1;
const LOG: usize = (16 << 20) + 1;

fn fill(size: usize) -> Bytes {
    Bytes(vec![0; size])
}

/// The statement with one byte changed, counted after the magic.
fn with_byte(world: &World, at: usize, value: u8) -> Attempt {
    let mut bytes = statement_bytes(&world.draft());
    bytes[b"sealwright/statement/v1".len() + at] = value;
    stated(world, bytes)
}

pub const FORM: &[Case] = &[
    defect(Rejected::TooLarge, "a long statement", |world| sealed(world, |e| e.statement = fill(SMALL))),
    defect(Rejected::TooLarge, "a long quote", |world| sealed(world, |e| e.quote = fill(SMALL))),
    defect(Rejected::TooLarge, "a long signature", |world| sealed(world, |e| e.signature = fill(SMALL))),
    defect(Rejected::TooLarge, "a long public area", |world| sealed(world, |e| e.ak_public = fill(SMALL))),
    defect(Rejected::TooLarge, "a long certificate in the chain", |world| {
        sealed(world, |e| e.ak_chain.push(fill(SMALL)))
    }),
    defect(Rejected::TooLarge, "a long chain", |world| sealed(world, |e| e.ak_chain = vec![fill(1); 5])),
    defect(Rejected::TooLarge, "a long path", |world| sealed(world, |e| e.proof.path = vec![digest(1); 11])),
    defect(Rejected::TooLarge, "a long certificate", |world| {
        sealed(world, |e| e.certificate = Some(fill(SMALL)))
    }),
    defect(Rejected::TooLarge, "a long verdict", |world| {
        sealed(world, |e| e.verdict = Some("x".repeat(SMALL)))
    }),
    defect(Rejected::TooLarge, "a long enclave log", |world| sealed(world, |e| e.enclave_log = fill(LOG))),
    defect(Rejected::TooLarge, "a long boot log", |world| sealed(world, |e| e.boot_log = Some(fill(LOG)))),
    defect(Rejected::TooLarge, "a long IMA list", |world| sealed(world, |e| e.ima_log = Some(fill(LOG)))),
    defect(Rejected::Malformed, "another format", |world| {
        sealed(world, |e| e.format = "sealwright/evidence/v2".into())
    }),
    defect(Rejected::StatementMalformed, "a byte after the statement", |world| {
        let mut bytes = statement_bytes(&world.draft());
        bytes.push(0);
        stated(world, bytes)
    }),
    defect(Rejected::StatementMalformed, "an unknown suite", |world| with_byte(world, 3, 2)),
    defect(Rejected::StatementMalformed, "an unknown purpose", |world| with_byte(world, 6, 5)),
    defect(Rejected::StatementInconsistent, "a node's purpose about an enclave", |world| {
        with_byte(world, 6, 4)
    }),
];

pub const CHALLENGE: &[Case] = &[
    no_answer(Rejected::ChallengeExpired, "a challenge that is too old", |world| {
        sealed(world, |_| ()).asked(question(world, |question| question.made_at = NOW - 11))
    }),
    no_answer(Rejected::ChallengeExpired, "a challenge of the future", |world| {
        sealed(world, |_| ()).asked(question(world, |question| question.made_at = NOW + 1))
    }),
    no_answer(Rejected::PurposeMismatch, "evidence about the node, shown to a client", |world| {
        node_drafted(world, |_| ()).asked(world.challenge())
    }),
    no_answer(Rejected::PurposeMismatch, "evidence for a client, shown to the signer", |world| {
        sealed(world, |_| ()).asked(world.issue_challenge())
    }),
    no_answer(Rejected::PurposeMismatch, "evidence for secrets, shown to a client", |world| {
        Attempt::new(world, world.release_draft().seal())
    }),
    no_answer(Rejected::NonceMismatch, "an old answer to a new question", |world| {
        sealed(world, |_| ()).asked(question(world, |question| question.nonce[31] ^= 1))
    }),
    no_answer(Rejected::AudienceMismatch, "an answer to another client", |world| {
        sealed(world, |_| ()).asked(question(world, |question| question.audience = Audience::Key(digest(2))))
    }),
    no_answer(Rejected::AudienceMismatch, "an answer to a client, shown to nobody in particular", |world| {
        sealed(world, |_| ()).asked(question(world, |question| question.audience = Audience::Anonymous))
    }),
    no_answer(Rejected::AudienceMismatch, "an answer to the verifier, shown to the signer", |world| {
        let signer = Audience::Service("spiffe://sealwright.internal/part/signer".parse().unwrap());
        node_drafted(world, |_| ()).asked(Challenge::new([0x42; 32], NOW, 10, signer, Expectation::Node))
    }),
    no_answer(Rejected::RequestMismatch, "an answer about another certificate request", |world| {
        let mut draft = world.issue_draft();
        draft.statement.request = Some(digest(0x56));
        Attempt::new(world, draft.seal()).asked(world.issue_challenge())
    }),
    no_answer(Rejected::KeyMismatch, "a request whose key is not the enclave's", |world| {
        let signer = Audience::Service("spiffe://sealwright.internal/part/signer".parse().unwrap());
        let expectation = Expectation::Issue { csr: digest(0x55), spki: digest(0x66) };
        let attempt = Attempt::new(world, world.issue_draft().seal());
        attempt.asked(Challenge::new([0x42; 32], NOW, 10, signer, expectation))
    }),
];

#[test]
fn what_is_no_evidence_is_rejected() {
    check(FORM);
}

#[test]
fn what_answers_another_question_is_rejected() {
    check(CHALLENGE);
}

#[test]
fn the_question_says_the_purpose() {
    let world = World::new();
    assert_eq!(world.challenge().nonce(), &[0x42; 32]);
    let serve = Expectation::Serve { certificate: digest(1), channel: evidence::ChannelRule::Unbound };
    let issue = Expectation::Issue { csr: digest(1), spki: digest(2) };
    let purposes = [serve, issue, Expectation::Node].map(|expectation| expectation.purpose());
    assert_eq!(purposes, [Purpose::Serve, Purpose::Issue, Purpose::Node]);
}

#[test]
fn json_that_is_no_bundle_is_malformed() {
    let world = World::new();
    let good = String::from_utf8(world.draft().seal().to_json()).unwrap();
    let base64 = "\"quote\":\"";
    let pcr = "\"0\":\"";
    let changed = [
        ("no JSON", String::new()),
        ("half of it", good[..good.len() / 2].to_owned()),
        ("something after it", format!("{good}x")),
        ("an unknown member", good.replacen('{', "{\"more\":1,", 1)),
        ("a member twice", good.replacen('{', "{\"verdict\":\"\",", 1)),
        ("a member less", good.replacen("\"statement\":", "\"statements\":", 1)),
        ("an unknown member of the proof", good.replacen("\"index\":", "\"more\":1,\"index\":", 1)),
        ("an index below zero", good.replacen("\"index\":2", "\"index\":-2", 1)),
        ("an index with a fraction", good.replacen("\"index\":2", "\"index\":2.0", 1)),
        ("base64 with a space", good.replacen(base64, &format!("{base64} "), 1)),
        ("base64 with a line feed", good.replacen(base64, &format!("{base64}\\n"), 1)),
        ("base64 of the other alphabet", good.replacen(base64, &format!("{base64}-___"), 1)),
        ("a digest in upper case", good.replacen("\"path\":[\"", "\"path\":[\"A", 1)),
        ("a register with a leading zero", good.replacen(pcr, "\"00\":\"", 1)),
        ("a register with a sign", good.replacen(pcr, "\"+0\":\"", 1)),
        ("a register that is no number", good.replacen(pcr, "\"x\":\"", 1)),
        ("a register that no TPM has", good.replacen(pcr, "\"24\":\"", 1)),
        ("a register twice", {
            let value = &good[good.find(pcr).unwrap()..][..pcr.len() + 65];
            good.replacen(value, &format!("{value},{value}"), 1)
        }),
    ];
    for (what, json) in changed {
        assert_ne!(json, good, "{what}");
        assert_eq!(Evidence::from_json(json.as_bytes()), Err(Rejected::Malformed), "{what}");
    }
}

#[test]
fn a_bundle_is_bounded_before_it_is_read() {
    assert_eq!(Evidence::from_json(&vec![b' '; MAX_BUNDLE + 1]), Err(Rejected::TooLarge));
    let mut evidence = World::new().draft().seal();
    evidence.quote = fill(SMALL);
    assert_eq!(Evidence::from_json(&evidence.to_json()), Err(Rejected::TooLarge));
}

#[test]
fn the_last_register_of_a_tpm_can_be_shown() {
    let mut evidence = World::new().draft().seal();
    evidence.pcrs.0.insert(23, digest(1));
    assert_eq!(Evidence::from_json(&evidence.to_json()), Ok(evidence));
}

#[test]
fn bytes_do_not_fill_a_log_with_themselves() {
    assert_eq!(format!("{:?}", fill(300)), "300 bytes");
}

#[test]
fn base64_has_one_form() {
    let mut bundle: serde_json::Value =
        serde_json::from_slice(&World::new().draft().seal().to_json()).unwrap();
    let mut read = |text: &str| {
        bundle["quote"] = text.into();
        Evidence::from_json(&serde_json::to_vec(&bundle).unwrap()).map(|evidence| evidence.quote.0)
    };
    assert_eq!(read("AAE="), Ok(vec![0, 1]));
    for text in ["AAE", "AAF=", "AAE==", "AAE=\n", " AAE=", "AA=E", "-_8=", "AAE=AAE="] {
        assert_eq!(read(text), Err(Rejected::Malformed), "{text:?}");
    }
}
