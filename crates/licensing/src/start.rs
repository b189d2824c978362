//! Whether an enclave may be started on a licence.

use crate::plan::Allowed;
use crate::{Code, Entitlement, Facts};

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// An enclave that did not exist.
    New,
    /// One that exists and is stopped.
    Again,
}

/// Whether this user may start this app on it now, one more beside those that are up. The node is not known yet: see [`crate::License::node`].
///
/// # Errors
/// The code that a validation would give.
pub fn may_start(facts: &Facts, user: &str, app: &Entitlement, start: Start, now: u64) -> Result<(), Code> {
    let access = facts.plan.terms.expiration.access();
    let allowed = match start {
        Start::New => access.new,
        Start::Again => access.again,
    };
    if let Some(code) = facts.stopped(now) {
        return Err(code);
    }
    if facts.license.is_expired(&facts.plan, now) && allowed == Allowed::No {
        return Err(Code::Expired);
    }
    if !facts.seats.contains(user) {
        return Err(Code::UserScopeMismatch);
    }
    if !facts.covers(app) {
        return Err(Code::EntitlementsMissing);
    }
    let limit = facts.plan.terms.overage.limit(facts.plan.terms.enclaves);
    if facts.enclaves >= limit { Err(Code::TooManyEnclaves) } else { Ok(()) }
}
