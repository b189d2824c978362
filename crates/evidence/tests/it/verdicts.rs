//! Does the verifier vouch for the node's state, now?

use evidence::{Evidence, Rejected, VERDICT_TYPE, VerdictClaims};
use forge::{NOW, World};
use names::{Level, Part};
use pki::SoftwareKey;
use pki::jws::{self, KeyHint};

use crate::case::{Attempt, Case, check, defect, digest, drafted, sealed};

/// The verdict with changed claims, signed as it should be.
fn saying(world: &World, change: fn(&mut VerdictClaims)) -> Attempt {
    drafted(world, |draft| change(draft.verdict.as_mut().unwrap()))
}

/// The verdict signed in another way.
fn signed(world: &World, typ: &str, hint: &KeyHint, key: &SoftwareKey) -> Attempt {
    let token = jws::sign(typ, hint, &world.draft().verdict.unwrap(), key).unwrap();
    sealed(world, |evidence| evidence.verdict = Some(token))
}

fn chain(world: &World) -> KeyHint {
    KeyHint::Chain(vec![world.verifier.der().to_vec(), world.issuing.der().to_vec()])
}

pub const CASES: &[Case] = &[
    defect(Rejected::VerdictMalformed, "no token", |world| {
        sealed(world, |evidence| evidence.verdict = Some("x".into()))
    }),
    defect(Rejected::VerdictMalformed, "a token of another type", |world| {
        signed(world, "at+jwt", &chain(world), &world.verifier_key)
    }),
    defect(Rejected::VerdictMalformed, "other claims", |world| {
        let token = jws::sign(VERDICT_TYPE, &chain(world), &["none"], &world.verifier_key).unwrap();
        sealed(world, |evidence| evidence.verdict = Some(token))
    }),
    defect(Rejected::VerdictMalformed, "another profile", |world| {
        saying(world, |claims| claims.eat_profile = "tag:sealwright.internal,2026:verdict/v2".into())
    }),
    defect(Rejected::VerdictMalformed, "an end before the beginning", |world| {
        saying(world, |claims| (claims.iat, claims.exp) = (NOW + 2, NOW + 1))
    }),
    defect(Rejected::VerdictChain, "no chain", |world| {
        signed(world, VERDICT_TYPE, &KeyHint::Id("1".into()), &world.verifier_key)
    }),
    defect(Rejected::VerdictChain, "a chain without the issuing authority", |world| {
        let short = KeyHint::Chain(vec![world.verifier.der().to_vec()]);
        signed(world, VERDICT_TYPE, &short, &world.verifier_key)
    }),
    defect(Rejected::VerdictChain, "a verdict by the gateway", |world| {
        drafted(world, |draft| draft.verdict_certificate = world.certify_part(Part::Gateway))
    }),
    defect(Rejected::VerdictChain, "a verdict in another's name", |world| {
        saying(world, |claims| claims.iss = "spiffe://sealwright.internal/part/gateway".parse().unwrap())
    }),
    defect(Rejected::VerdictChain, "a verdict below another root with the same names", |world| {
        let other: Evidence = World::of_another_root().draft().seal();
        sealed(world, |evidence| evidence.verdict = other.verdict)
    }),
    defect(Rejected::VerdictSignature, "a verdict by another key", |world| {
        signed(world, VERDICT_TYPE, &chain(world), &world.facade_key)
    }),
    defect(Rejected::VerdictExpired, "a verdict that has expired", |world| {
        saying(world, |claims| (claims.iat, claims.exp) = (NOW - 60, NOW))
    }),
    defect(Rejected::VerdictExpired, "a verdict that lives too long", |world| {
        saying(world, |claims| (claims.iat, claims.exp) = (NOW - 20, NOW + 41))
    }),
    defect(Rejected::VerdictExpired, "a verdict of the future", |world| {
        saying(world, |claims| (claims.iat, claims.exp) = (NOW + 6, NOW + 60))
    }),
    defect(Rejected::VerdictStatus, "a verdict that warns", |world| {
        saying(world, |claims| claims.submods.node.status = "warning".into())
    }),
    defect(Rejected::VerdictKey, "a verdict about another key", |world| {
        saying(world, |claims| {
            claims.submods.node.ak_names = [("ak-enclave".to_owned(), "000b".to_owned())].into();
        })
    }),
    defect(Rejected::VerdictKey, "a verdict about the key in another role", |world| {
        saying(world, |claims| {
            let names = &mut claims.submods.node.ak_names;
            let name = names.remove("ak-enclave").unwrap();
            names.insert("ak-keylime".into(), name);
        })
    }),
    defect(Rejected::VerdictNode, "a verdict about another node", |world| {
        saying(world, |claims| {
            claims.submods.node.node = "spiffe://sealwright.internal/node/node-2".parse().unwrap();
        })
    }),
    defect(Rejected::VerdictBoot, "a verdict before a reset", |world| {
        saying(world, |claims| claims.submods.node.reset_count -= 1)
    }),
    defect(Rejected::VerdictBoot, "a verdict before a restart", |world| {
        saying(world, |claims| claims.submods.node.restart_count -= 1)
    }),
    defect(Rejected::VerdictRegisters, "a verdict about another value", |world| {
        saying(world, |claims| {
            claims.submods.node.boot_pcrs.0.insert(4, digest(9));
        })
    }),
    defect(Rejected::VerdictRegisters, "a verdict about a register less", |world| {
        saying(world, |claims| {
            claims.submods.node.boot_pcrs.0.remove(&14);
        })
    }),
    defect(Rejected::VerdictRegisters, "a verdict about a register more", |world| {
        saying(world, |claims| {
            claims.submods.node.boot_pcrs.0.insert(10, digest(9));
        })
    }),
];

#[test]
fn what_the_verifier_does_not_vouch_for_is_rejected() {
    check(CASES);
}

#[test]
fn claims_with_a_member_twice_are_malformed() {
    let world = World::new();
    let claims = serde_json::to_string(&world.draft().verdict.unwrap()).unwrap();
    let pcr = "\"boot_pcrs\":{";
    let twice = [
        claims.replacen('{', "{\"iat\":0,", 1),
        claims.replacen(pcr, &format!("{pcr}\"0\":\"{}\",", digest(9)), 1),
        claims.replacen("\"ak_names\":{", "\"ak_names\":{\"ak-enclave\":\"00\",", 1),
    ];
    for json in twice {
        assert_ne!(json, claims);
        let read: Result<VerdictClaims, _> = serde_json::from_str(&json);
        assert!(read.is_err(), "{json}");
    }
}

#[test]
fn a_verdict_is_kept_with_its_anchor() {
    let world = World::new();
    let evidence = world.draft().seal();
    let recorded = evidence::verify_recorded(&evidence, &world.roots(Level::Virtual), NOW).unwrap();
    let verdict = recorded.facts().verdict.as_ref().unwrap();
    assert_eq!(verdict.claims(), &world.draft().verdict.unwrap());
    assert_eq!((verdict.level(), verdict.anchor()), (Level::Virtual, "forged root"));
}
