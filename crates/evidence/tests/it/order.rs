//! Nothing is believed before what vouches for it: of two defects the one of the earlier step is told.

use evidence::{Evidence, Rejected, Step};
use forge::World;

use crate::case::{rejected, sealed};

type Defect = (Rejected, fn(&mut Evidence));

/// In the order of the documented checks.
const DEFECTS: &[Defect] = &[
    (Rejected::Malformed, |evidence| evidence.format.push('2')),
    (Rejected::CertificateMissing, |evidence| evidence.certificate = None),
    (Rejected::ProofInvalid, |evidence| evidence.proof.index = 99),
    (Rejected::QuoteMalformed, |evidence| evidence.quote.0.push(0)),
    (Rejected::KeyMalformed, |evidence| evidence.ak_public.0.push(0)),
    (Rejected::QuoteSignature, |evidence| *evidence.signature.0.last_mut().unwrap() ^= 1),
    (Rejected::KeyChain, |evidence| evidence.ak_chain.clear()),
    (Rejected::Selection, |evidence| evidence.pcrs.0.clear()),
    (Rejected::LogMalformed, |evidence| {
        evidence.enclave_log.0.pop();
    }),
    (Rejected::VerdictMalformed, |evidence| evidence.verdict = Some("x".into())),
    (Rejected::BootLogMalformed, |evidence| evidence.boot_log = Some(evidence::Bytes(vec![1]))),
    (Rejected::ImaMalformed, |evidence| evidence.ima_log = Some(evidence::Bytes(vec![1]))),
];

#[test]
fn of_two_defects_the_earlier_is_told() {
    let world = World::new();
    for (place, (earlier, first)) in DEFECTS.iter().enumerate() {
        for (later, second) in &DEFECTS[place + 1..] {
            let attempt = sealed(&world, |evidence| {
                second(evidence);
                first(evidence);
            });
            assert_eq!(rejected(attempt), *earlier, "{earlier:?} before {later:?}");
        }
    }
}

#[test]
fn the_quote_is_believed_before_the_logs() {
    let world = World::new();
    let logs: [fn(&mut Evidence); 3] = [
        |evidence| evidence.enclave_log.0.clear(),
        |evidence| evidence.boot_log = Some(evidence::Bytes(vec![1])),
        |evidence| evidence.ima_log = Some(evidence::Bytes(vec![1])),
    ];
    for log in logs {
        let attempt = sealed(&world, |evidence| {
            log(evidence);
            *evidence.signature.0.last_mut().unwrap() ^= 1;
        });
        assert_eq!(rejected(attempt), Rejected::QuoteSignature);
    }
}

#[test]
fn the_question_is_compared_before_anything_is_computed() {
    let world = World::new();
    for (defect, change) in &DEFECTS[1..] {
        let attempt = sealed(&world, change);
        let other = crate::case::question(&world, |question| question.nonce = [0; 32]);
        assert_eq!(rejected(attempt.asked(other)), Rejected::NonceMismatch, "{defect:?}");
    }
}

#[test]
fn every_rejection_has_a_step_and_every_step_a_rejection() {
    for step in Step::ALL {
        assert!(Rejected::ALL.iter().any(|rejected| rejected.step() == *step), "{step:?}");
        assert!(!step.name().is_empty() && !step.meaning().is_empty());
    }
    let names: std::collections::BTreeSet<&str> = Step::ALL.iter().map(|step| step.name()).collect();
    let meanings: std::collections::BTreeSet<&str> = Step::ALL.iter().map(|step| step.meaning()).collect();
    assert_eq!((names.len(), meanings.len()), (Step::ALL.len(), Step::ALL.len()));
    let codes: Vec<&str> = Rejected::ALL.iter().map(|rejected| rejected.code()).collect();
    assert_eq!(codes, evidence::CODES);
}
