//! Licences as values: each code has a question that produces it, each transition keeps its promise.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "licensing/effects.rs"]
mod effects;
#[path = "licensing/file.rs"]
mod file;
#[path = "licensing/heartbeats.rs"]
mod heartbeats;
#[path = "licensing/transitions.rs"]
mod transitions;
#[path = "licensing/validation.rs"]
mod validation;

use std::collections::BTreeSet;

use licensing::{
    Entitlement, Expiration, Facts, HeartbeatRule, License, LicenseId, Overage, Plan, Resurrection, Terms,
};

pub const ISSUED: u64 = 1_800_000_000;
pub const DAY: u64 = 86_400;
pub const ALICE: &str = "01010101010101010101010101010101";
pub const BOB: &str = "02020202020202020202020202020202";
pub const NODE: &str = "000b1111111111111111111111111111111111111111111111111111111111111111";
pub const OTHER_NODE: &str = "000b2222222222222222222222222222222222222222222222222222222222222222";

pub fn app(name: &str) -> Entitlement {
    name.parse().unwrap()
}

pub fn terms() -> Terms {
    Terms {
        seats: 2,
        enclaves: 2,
        entitlements: BTreeSet::from([app("hello")]),
        duration: Some(30 * DAY),
        expiration: Expiration::RestrictAccess,
        grace: DAY,
        heartbeat: Some(HeartbeatRule { interval: 600, resurrection: Resurrection::FiveMinutes }),
        check_in: None,
        overage: Overage::None,
    }
}

pub fn plan(terms: Terms) -> Plan {
    terms.check().unwrap();
    Plan { code: "team".parse().unwrap(), terms, created_at: ISSUED, retired_at: None }
}

pub fn license(plan: &Plan) -> License {
    License::issue(LicenseId::from_bytes([7; 16]), ALICE.into(), plan, ISSUED).unwrap().0
}

pub fn facts(terms: Terms) -> Facts {
    let plan = plan(terms);
    Facts {
        license: license(&plan),
        plan,
        entitlements: BTreeSet::new(),
        seats: BTreeSet::from([ALICE.to_owned()]),
        enclaves: 0,
    }
}
