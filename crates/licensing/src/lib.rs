//! Licences as values: what a plan allows, what a licence's state is, and the answers that follow from both.
//!
//! What it is: plans and licences, [`validate`] with stable codes, the transitions (`suspend`, `renew`, …) as functions from one licence to the
//! next, heartbeats, the decision which running enclaves have to stop and when, and the signed licence file that a client checks offline.
//!
//! What it is not: a store, a clock or a holder of keys. Callers bring the facts and the time; who verifies a file brings the signature check.
//!
//! Callers: the store (counts and keeps), the gateway (answers), the controller (stops), the client (verifies files).
#![no_std]
extern crate alloc;

mod armour;
mod effects;
mod event;
mod file;
mod heartbeat;
mod ids;
mod license;
mod plan;
mod start;
mod validate;

pub use effects::{Due, Scheduled, Step, Why, due, step};
pub use event::Event;
pub use file::{
    ALGORITHM, Dataset, FileError, Holder, LicenseFile, MAX_FILE, MAX_KEYS, MAX_TTL, MIN_TTL, SIGNING_PREFIX,
    VerifyKey, assemble, signing_input,
};
pub use heartbeat::{DRIFT, Dead, HeartbeatRule, HeartbeatStatus, Life, MIN_INTERVAL, Resurrection};
pub use ids::{AkName, Entitlement, LicenseId, NotAnId, PlanCode};
pub use license::{License, Standing, Status, Transition, TransitionError};
pub use plan::{Access, Allowed, Expiration, Overage, Plan, PlanError, Terms};
pub use start::{Start, may_start};
pub use validate::{CODES, Code, EnclaveScope, Facts, Scope, Validation, validate};
