//! Validation: one answer with a stable code, and a sentence beside it.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::license::Standing;
use crate::plan::Allowed;
use crate::{AkName, Entitlement, HeartbeatStatus, License, Life, Plan, PlanCode};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// Stable codes of validations and refused starts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

codes! {
    /// It holds.
    Valid = "VALID";
    /// There is no such licence, or none that is the caller's.
    NotFound = "NOT_FOUND";
    /// Its holder's account was disabled.
    Banned = "BANNED";
    /// It was ended for good.
    Revoked = "REVOKED";
    /// It was suspended.
    Suspended = "SUSPENDED";
    /// It has expired and its grace is over. May be valid, by the plan's strategy.
    Expired = "EXPIRED";
    /// Its holder has not checked in.
    Overdue = "OVERDUE";
    /// It was issued on another plan.
    PlanScopeMismatch = "PLAN_SCOPE_MISMATCH";
    /// The user has no seat.
    UserScopeMismatch = "USER_SCOPE_MISMATCH";
    /// It is locked to a node, and the question names none.
    FingerprintScopeRequired = "FINGERPRINT_SCOPE_REQUIRED";
    /// It is locked to another node.
    FingerprintScopeMismatch = "FINGERPRINT_SCOPE_MISMATCH";
    /// The question names an empty list.
    EntitlementsScopeEmpty = "ENTITLEMENTS_SCOPE_EMPTY";
    /// It does not cover what was asked for.
    EntitlementsMissing = "ENTITLEMENTS_MISSING";
    /// The enclave has no place on it.
    EnclaveScopeMismatch = "ENCLAVE_SCOPE_MISMATCH";
    /// The enclave was not pinged yet.
    HeartbeatNotStarted = "HEARTBEAT_NOT_STARTED";
    /// The enclave's pings stayed away.
    HeartbeatDead = "HEARTBEAT_DEAD";
    /// More seats than the plan has. May be valid, by the plan's overage.
    TooManyUsers = "TOO_MANY_USERS";
    /// More enclaves than the plan has. May be valid, by the plan's overage.
    TooManyEnclaves = "TOO_MANY_ENCLAVES";
}

/// The codes by their names, in the order of [`Code::ALL`].
pub const CODES: &[&str] = &[
    "VALID",
    "NOT_FOUND",
    "BANNED",
    "REVOKED",
    "SUSPENDED",
    "EXPIRED",
    "OVERDUE",
    "PLAN_SCOPE_MISMATCH",
    "USER_SCOPE_MISMATCH",
    "FINGERPRINT_SCOPE_REQUIRED",
    "FINGERPRINT_SCOPE_MISMATCH",
    "ENTITLEMENTS_SCOPE_EMPTY",
    "ENTITLEMENTS_MISSING",
    "ENCLAVE_SCOPE_MISMATCH",
    "HEARTBEAT_NOT_STARTED",
    "HEARTBEAT_DEAD",
    "TOO_MANY_USERS",
    "TOO_MANY_ENCLAVES",
];

/// What is known of a licence when it is judged. Whoever acts on the answer reads these in the transaction of the act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The licence.
    pub license: License,
    /// Its plan.
    pub plan: Plan,
    /// What it has beside its plan's entitlements.
    pub entitlements: BTreeSet<Entitlement>,
    /// Ids of the accounts with a seat.
    pub seats: BTreeSet<String>,
    /// Enclaves that are up or on their way.
    pub enclaves: u32,
}

impl Facts {
    /// Whether the licence or its plan covers this.
    #[must_use]
    pub fn covers(&self, wanted: &Entitlement) -> bool {
        self.all_entitlements().any(|entitlement| entitlement.covers(wanted))
    }

    /// What it covers, of its own and of its plan.
    pub fn all_entitlements(&self) -> impl Iterator<Item = &Entitlement> {
        self.plan.terms.entitlements.union(&self.entitlements)
    }

    /// Reasons that hold whatever is asked: the account, the licence itself, the check-in.
    pub(crate) fn stopped(&self, now: u64) -> Option<Code> {
        let license = &self.license;
        if license.standing == Standing::Banned {
            Some(Code::Banned)
        } else if license.revoked_at.is_some() {
            Some(Code::Revoked)
        } else if license.suspended_at.is_some() {
            Some(Code::Suspended)
        } else {
            None
        }
        .or_else(|| license.is_overdue(&self.plan, now).then_some(Code::Overdue))
    }
}

/// What a validation is asked about; what is absent is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Is it on this plan?
    pub plan: Option<PlanCode>,
    /// Has this account a seat?
    pub user: Option<String>,
    /// Does it hold on this node?
    pub node: Option<AkName>,
    /// Does it cover all of these?
    pub entitlements: Option<Vec<Entitlement>>,
    /// Is this enclave alive on it?
    pub enclave: Option<EnclaveScope>,
}

/// What is known of the enclave that a scope names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnclaveScope {
    /// It has no place on this licence.
    Elsewhere,
    /// It has one.
    Here(Life),
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// Whether it holds.
    pub valid: bool,
    /// Why.
    pub code: Code,
    /// The same for people.
    pub detail: String,
}

impl Validation {
    fn invalid(code: Code) -> Self {
        Self { valid: false, code, detail: sentence(code).into() }
    }
}

/// Judges a licence; the first reason decides.
#[must_use]
pub fn validate(facts: Option<&Facts>, scope: &Scope, now: u64) -> Validation {
    let Some(facts) = facts else { return Validation::invalid(Code::NotFound) };
    let expired = facts.license.is_expired(&facts.plan, now);
    let access = facts.plan.terms.expiration.access();
    if let Some(code) = facts.stopped(now).filter(|code| *code != Code::Overdue) {
        return Validation::invalid(code);
    }
    if expired && access.validates == Allowed::No {
        return Validation::invalid(Code::Expired);
    }
    if let Some(code) = facts.stopped(now).or_else(|| out_of_scope(facts, scope, now)) {
        return Validation::invalid(code);
    }
    if let Some(validation) = too_many(facts) {
        return validation;
    }
    if expired {
        return Validation { valid: true, ..Validation::invalid(Code::Expired) };
    }
    Validation { valid: true, ..Validation::invalid(Code::Valid) }
}

fn out_of_scope(facts: &Facts, scope: &Scope, now: u64) -> Option<Code> {
    if scope.plan.as_ref().is_some_and(|plan| *plan != facts.license.plan) {
        return Some(Code::PlanScopeMismatch);
    }
    if scope.user.as_ref().is_some_and(|user| !facts.seats.contains(user)) {
        return Some(Code::UserScopeMismatch);
    }
    match (facts.license.node, scope.node) {
        (Some(_), None) => return Some(Code::FingerprintScopeRequired),
        (Some(locked), Some(asked)) if locked != asked => return Some(Code::FingerprintScopeMismatch),
        _ => {}
    }
    if let Some(wanted) = &scope.entitlements {
        if wanted.is_empty() {
            return Some(Code::EntitlementsScopeEmpty);
        }
        if !wanted.iter().all(|wanted| facts.covers(wanted)) {
            return Some(Code::EntitlementsMissing);
        }
    }
    let life = match scope.enclave? {
        EnclaveScope::Elsewhere => return Some(Code::EnclaveScopeMismatch),
        EnclaveScope::Here(life) => life,
    };
    match life.status(facts.plan.terms.heartbeat.as_ref()?, now) {
        HeartbeatStatus::NotStarted => Some(Code::HeartbeatNotStarted),
        HeartbeatStatus::Dead => Some(Code::HeartbeatDead),
        HeartbeatStatus::Alive | HeartbeatStatus::Resurrected => None,
    }
}

fn too_many(facts: &Facts) -> Option<Validation> {
    let terms = &facts.plan.terms;
    let seats = u32::try_from(facts.seats.len()).unwrap_or(u32::MAX);
    let counts =
        [(seats, terms.seats, Code::TooManyUsers), (facts.enclaves, terms.enclaves, Code::TooManyEnclaves)];
    let (used, limit, code) = counts.into_iter().find(|(used, limit, _)| used > limit)?;
    let detail = format!("{}: {used} of {limit}", sentence(code));
    Some(Validation { valid: used <= terms.overage.limit(limit), code, detail })
}

/// What a code says to people.
pub(crate) const fn sentence(code: Code) -> &'static str {
    match code {
        Code::Valid => "the license is valid",
        Code::NotFound => "there is no such license",
        Code::Banned => "the account that holds the license is disabled",
        Code::Revoked => "the license was revoked",
        Code::Suspended => "the license is suspended",
        Code::Expired => "the license has expired",
        Code::Overdue => "the license is overdue for a check-in",
        Code::PlanScopeMismatch => "the license is on another plan",
        Code::UserScopeMismatch => "the user has no seat on the license",
        Code::FingerprintScopeRequired => "the license is locked to a node, and none was named",
        Code::FingerprintScopeMismatch => "the license is locked to another node",
        Code::EntitlementsScopeEmpty => "no entitlement was named",
        Code::EntitlementsMissing => "the license does not cover this app",
        Code::EnclaveScopeMismatch => "the enclave has no place on the license",
        Code::HeartbeatNotStarted => "the enclave was not pinged yet",
        Code::HeartbeatDead => "the enclave's pings stayed away",
        Code::TooManyUsers => "more users than the license has seats",
        Code::TooManyEnclaves => "more enclaves than the license has places",
    }
}

impl Code {
    /// What it says to people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        sentence(self)
    }
}
