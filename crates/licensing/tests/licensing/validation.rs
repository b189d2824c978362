//! The codes.

use std::collections::BTreeSet;

use licensing::{
    Allowed, Code, EnclaveScope, Expiration, Facts, Life, Overage, Scope, Standing, Start, Status, Terms,
    may_start, validate,
};
use proptest::prelude::*;

use crate::{ALICE, BOB, DAY, ISSUED, NODE, OTHER_NODE, app, facts, terms};

const SOON: u64 = ISSUED + 60;
const AFTER: u64 = ISSUED + 31 * DAY;

/// The answer to a question about a licence that `change` has been done to.
fn answer(change: impl Fn(&mut Facts), scope: &Scope, now: u64) -> (bool, Code) {
    let mut facts = facts(terms());
    change(&mut facts);
    let validation = validate(Some(&facts), scope, now);
    assert!(!validation.detail.is_empty());
    (validation.valid, validation.code)
}

fn nothing(_: &mut Facts) {}

#[test]
fn every_code_is_produced() {
    let any = Scope::default();
    let enclave = |life| Scope { enclave: Some(EnclaveScope::Here(life)), ..Scope::default() };
    let alive = Life { pinged_at: Some(SOON), ..Life::begin(ISSUED) };
    let node = |name: &str| Scope { node: Some(name.parse().unwrap()), ..Scope::default() };
    let lock = |facts: &mut Facts| facts.license.node = Some(NODE.parse().unwrap());
    let produced = [
        (validate(None, &any, SOON).valid, validate(None, &any, SOON).code),
        answer(nothing, &any, SOON),
        answer(|facts| facts.license.standing = Standing::Banned, &any, SOON),
        answer(|facts| facts.license.revoked_at = Some(SOON), &any, SOON),
        answer(|facts| facts.license.suspended_at = Some(SOON), &any, SOON),
        answer(nothing, &any, AFTER),
        answer(|facts| facts.plan.terms.check_in = Some(DAY), &any, ISSUED + DAY + 1),
        answer(nothing, &Scope { plan: Some("other".parse().unwrap()), ..Scope::default() }, SOON),
        answer(nothing, &Scope { user: Some(BOB.into()), ..Scope::default() }, SOON),
        answer(lock, &any, SOON),
        answer(lock, &node(OTHER_NODE), SOON),
        answer(nothing, &Scope { entitlements: Some(vec![]), ..Scope::default() }, SOON),
        answer(
            nothing,
            &Scope { entitlements: Some(vec![app("hello"), app("gpu")]), ..Scope::default() },
            SOON,
        ),
        answer(nothing, &Scope { enclave: Some(EnclaveScope::Elsewhere), ..Scope::default() }, SOON),
        answer(nothing, &enclave(Life::begin(ISSUED)), SOON),
        answer(nothing, &enclave(alive), SOON + 631),
        answer(|facts| facts.seats.extend(["3".into(), "4".into()]), &any, SOON),
        answer(|facts| facts.enclaves = 3, &any, SOON),
    ];
    let codes: Vec<Code> = produced.iter().map(|(_, code)| *code).collect();
    let expected: Vec<Code> = [Code::NotFound, Code::Valid]
        .into_iter()
        .chain(Code::ALL.iter().copied().filter(|code| ![Code::NotFound, Code::Valid].contains(code)))
        .collect();
    assert_eq!(codes, expected);
    assert!(produced.iter().all(|(valid, code)| *valid == (*code == Code::Valid)));
    assert_eq!(Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>(), licensing::CODES);
    assert_eq!(answer(lock, &node(NODE), SOON), (true, Code::Valid));
    assert_eq!(answer(nothing, &enclave(alive), SOON), (true, Code::Valid));
}

/// Where several reasons hold, the gravest is told.
#[test]
fn the_first_reason_decides() {
    let change = |facts: &mut Facts| {
        facts.enclaves = 9;
        facts.license.suspended_at = Some(SOON);
        facts.license.revoked_at = Some(SOON);
    };
    assert_eq!(answer(change, &Scope::default(), AFTER), (false, Code::Revoked));
    let change = |facts: &mut Facts| {
        facts.plan.terms.check_in = Some(DAY);
        facts.license.node = Some(NODE.parse().unwrap());
    };
    assert_eq!(answer(change, &Scope::default(), ISSUED + 2 * DAY), (false, Code::Overdue));
}

/// The four strategies: what a new enclave, a stopped one, a running one and a validation get once the grace is over.
#[test]
fn each_strategy_of_expiry_does_what_its_name_says() {
    use Allowed::{No, Yes};
    for (expiration, new, again, running, valid) in [
        (Expiration::RestrictAccess, No, No, Yes, No),
        (Expiration::RevokeAccess, No, No, No, No),
        (Expiration::MaintainAccess, No, Yes, Yes, Yes),
        (Expiration::AllowAccess, Yes, Yes, Yes, Yes),
    ] {
        let facts = facts(Terms { expiration, ..terms() });
        let start = |start, now| match may_start(&facts, ALICE, &app("hello"), start, now) {
            Ok(()) => Yes,
            Err(code) => {
                assert_eq!(code, Code::Expired);
                No
            }
        };
        let runs = |now| {
            let life = Life { pinged_at: Some(now), ..Life::begin(ISSUED) };
            if licensing::due(&facts, ALICE, &life, now).is_some() { No } else { Yes }
        };
        let ends = facts.license.ends_at(&facts.plan).unwrap();
        assert_eq!(
            (start(Start::New, ends - 1), start(Start::Again, ends - 1), runs(ends - 1)),
            (Yes, Yes, Yes)
        );
        assert_eq!(validate(Some(&facts), &Scope::default(), ends - 1).code, Code::Valid);
        assert_eq!((start(Start::New, ends), start(Start::Again, ends), runs(ends)), (new, again, running));
        let validation = validate(Some(&facts), &Scope::default(), ends);
        assert_eq!((validation.valid, validation.code), (valid == Yes, Code::Expired), "{expiration:?}");
        assert_eq!(facts.license.status(&facts.plan, ends), Status::Expired);
    }
}

#[test]
fn overage_lets_counts_exceed_the_plan_and_says_so() {
    for (overage, limit) in [
        (Overage::None, 10),
        (Overage::Quarter, 12),
        (Overage::Half, 15),
        (Overage::Double, 20),
        (Overage::Always, u32::MAX),
    ] {
        assert_eq!(overage.limit(10), limit);
        let mut facts = facts(Terms { overage, enclaves: 10, ..terms() });
        facts.enclaves = limit.saturating_sub(1).min(1000);
        assert_eq!(may_start(&facts, ALICE, &app("hello"), Start::New, SOON), Ok(()));
        facts.enclaves = 13;
        let validation = validate(Some(&facts), &Scope::default(), SOON);
        assert_eq!((validation.valid, validation.code), (limit >= 13, Code::TooManyEnclaves));
        assert!(validation.detail.ends_with("13 of 10"));
    }
}

#[test]
fn a_start_is_refused_with_the_code_of_its_reason() {
    let check = |change: &dyn Fn(&mut Facts), user: &str, name: &str| {
        let mut facts = facts(terms());
        change(&mut facts);
        may_start(&facts, user, &app(name), Start::New, SOON)
    };
    assert_eq!(check(&nothing, ALICE, "hello"), Ok(()));
    assert_eq!(check(&nothing, BOB, "hello"), Err(Code::UserScopeMismatch));
    assert_eq!(check(&nothing, ALICE, "gpu"), Err(Code::EntitlementsMissing));
    assert_eq!(check(&|facts| facts.enclaves = 2, ALICE, "hello"), Err(Code::TooManyEnclaves));
    assert_eq!(check(&|facts| facts.license.suspended_at = Some(1), ALICE, "hello"), Err(Code::Suspended));
    assert_eq!(check(&|facts| facts.license.revoked_at = Some(1), ALICE, "hello"), Err(Code::Revoked));
    assert_eq!(check(&|facts| facts.license.standing = Standing::Banned, ALICE, "hello"), Err(Code::Banned));
    let own = |facts: &mut Facts| facts.entitlements = BTreeSet::from([app("gpu")]);
    assert_eq!(check(&own, ALICE, "gpu"), Ok(()));
    let all = |facts: &mut Facts| facts.plan.terms.entitlements = BTreeSet::from([app("*")]);
    assert_eq!(check(&all, ALICE, "anything"), Ok(()));
}

#[test]
fn terms_out_of_bounds_are_refused() {
    let bad = [
        Terms { seats: 0, ..terms() },
        Terms { enclaves: 100_001, ..terms() },
        Terms { entitlements: BTreeSet::new(), ..terms() },
        Terms { duration: Some(59), ..terms() },
        Terms { grace: u64::MAX, ..terms() },
        Terms { check_in: Some(0), ..terms() },
        Terms {
            heartbeat: Some(licensing::HeartbeatRule { interval: 59, ..terms().heartbeat.unwrap() }),
            ..terms()
        },
    ];
    for terms in bad {
        assert!(terms.check().is_err(), "{terms:?}");
    }
    for text in [
        r#"{"seats":1,"enclaves":1,"entitlements":["hello"],"x":1}"#,
        r#"{"seats":1,"enclaves":1,"entitlements":["Hello"]}"#,
    ] {
        assert!(serde_json::from_str::<Terms>(text).is_err(), "{text}");
    }
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let times = (any::<bool>(), any::<bool>(), proptest::option::of(0..60 * DAY), 0usize..4);
    (times, 0u32..5, 0usize..4, any::<bool>()).prop_map(|(times, enclaves, seats, locked)| {
        let (suspended, revoked, duration, expiration) = times;
        let mut facts = facts(Terms { expiration: Expiration::ALL[expiration], ..terms() });
        facts.license.expires_at = duration.map(|duration| ISSUED + duration);
        facts.license.suspended_at = suspended.then_some(ISSUED);
        facts.license.revoked_at = revoked.then_some(ISSUED);
        facts.license.node = locked.then(|| NODE.parse().unwrap());
        facts.enclaves = enclaves;
        facts.seats = [ALICE, BOB, "c"].into_iter().take(seats).map(str::to_owned).collect();
        facts
    })
}

proptest! {
    /// Who may start would also be told that the licence holds; nothing starts on one that is ended or rests.
    #[test]
    fn what_may_start_is_valid(facts in any_facts(), late in 0..70 * DAY) {
        let now = ISSUED + late;
        let scope = Scope {
            user: Some(ALICE.into()),
            entitlements: Some(vec![app("hello")]),
            node: Some(NODE.parse().unwrap()),
            ..Scope::default()
        };
        if may_start(&facts, ALICE, &app("hello"), Start::New, now).is_ok() {
            prop_assert!(facts.license.suspended_at.is_none() && facts.license.revoked_at.is_none());
            let validation = validate(Some(&facts), &scope, now);
            prop_assert!(validation.valid || validation.code == Code::TooManyUsers);
        }
    }
}
