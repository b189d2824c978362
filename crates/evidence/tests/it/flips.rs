//! A changed bit anywhere in what is signed, hashed or replayed is noticed.

use evidence::{Evidence, verify_recorded};
use forge::{NOW, World};
use names::{Digest, Level};

use crate::case::rejected;

type Field = (&'static str, usize, fn(&mut Evidence) -> Option<&mut Vec<u8>>);

/// Name, step between the flipped bytes, and the field.
const FIELDS: &[Field] = &[
    ("statement", 1, |evidence| Some(&mut evidence.statement.0)),
    ("quote", 1, |evidence| Some(&mut evidence.quote.0)),
    ("signature", 1, |evidence| Some(&mut evidence.signature.0)),
    ("ak_public", 1, |evidence| Some(&mut evidence.ak_public.0)),
    ("ak_chain, leaf", 3, |evidence| evidence.ak_chain.get_mut(0).map(|bytes| &mut bytes.0)),
    ("ak_chain, issuing", 3, |evidence| evidence.ak_chain.get_mut(1).map(|bytes| &mut bytes.0)),
    ("enclave_log", 1, |evidence| Some(&mut evidence.enclave_log.0)),
    ("certificate", 1, |evidence| evidence.certificate.as_mut().map(|bytes| &mut bytes.0)),
    ("ima_log", 1, |evidence| evidence.ima_log.as_mut().map(|bytes| &mut bytes.0)),
];

/// The verdict is text and its flips reach full verification; a prime visits every place in a base64 group.
const VERDICT_STEP: usize = 7;

fn is_rejected(world: &World, evidence: &Evidence) -> bool {
    verify_recorded(evidence, &world.roots(Level::Tpm), NOW).is_err()
}

fn evidence(world: &World) -> Evidence {
    let mut draft = world.draft();
    draft.other_leaves = (0..4u8).map(|byte| Digest::of(&[byte])).collect();
    draft.ima_log = Some(forge::IMA_LIST());
    draft.seal()
}

#[test]
fn a_changed_bit_of_any_field_is_noticed() {
    let world = World::new();
    let good = evidence(&world);
    let mut accepted = Vec::new();
    for (name, step, field) in FIELDS {
        let length = field(&mut good.clone()).unwrap().len();
        for at in (0..length).step_by(*step) {
            let mut changed = good.clone();
            let bit = 1 << (at % 8);
            field(&mut changed).unwrap()[at] ^= bit;
            if !is_rejected(&world, &changed) {
                accepted.push(format!("{name}[{at}] ^ {bit:#04x}"));
            }
        }
    }
    assert_eq!(accepted, Vec::<String>::new());
}

fn flipped(digest: &Digest, at: usize) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[at] ^= 1 << (at % 8);
    Digest::from_bytes(bytes)
}

#[test]
fn a_changed_bit_of_the_proof_or_a_register_is_noticed() {
    let world = World::new();
    let good = evidence(&world);
    for at in 0..32 {
        for place in 0..good.proof.path.len() {
            let mut changed = good.clone();
            changed.proof.path[place] = flipped(&changed.proof.path[place], at);
            assert!(is_rejected(&world, &changed), "path[{place}][{at}]");
        }
        for pcr in good.pcrs.0.keys() {
            let mut changed = good.clone();
            let value = flipped(&changed.pcrs.0[pcr], at);
            changed.pcrs.0.insert(*pcr, value);
            assert!(is_rejected(&world, &changed), "pcrs[{pcr}][{at}]");
        }
        let mut changed = good.clone();
        changed.proof.index ^= 1 << at;
        assert!(is_rejected(&world, &changed), "index, bit {at}");
        let mut changed = good.clone();
        changed.proof.count ^= 1 << at;
        assert!(is_rejected(&world, &changed), "count, bit {at}");
    }
}

#[test]
fn a_changed_character_of_the_verdict_is_noticed() {
    let world = World::new();
    let good = evidence(&world);
    let verdict = good.verdict.clone().unwrap();
    for at in (0..verdict.len()).step_by(VERDICT_STEP).chain(verdict.len() - 90..verdict.len()) {
        let other = if verdict.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut changed = verdict.clone();
        changed.replace_range(at..=at, other);
        assert!(is_rejected(&world, &Evidence { verdict: Some(changed), ..good.clone() }), "verdict[{at}]");
    }
}

#[test]
fn a_changed_character_of_the_json_is_noticed() {
    let world = World::new();
    let good = evidence(&world).to_json();
    for at in (0..good.len()).step_by(31) {
        let mut changed = good.clone();
        changed[at] ^= 1;
        let noticed = Evidence::from_json(&changed).map_or(true, |evidence| is_rejected(&world, &evidence));
        assert!(noticed, "json[{at}]");
    }
    assert_eq!(
        rejected(crate::case::sealed(&world, |evidence| evidence.proof.index ^= 1)).step(),
        evidence::Step::Quote
    );
}
