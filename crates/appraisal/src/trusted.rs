//! The result of an appraisal: [`Trusted`], or every reason why not; and the report about a recorded bundle.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use evidence::{Facts, Recorded, Verified};
use names::Level;

use crate::check::{Check, NotProved, Outcome, Reason};
use crate::judge::{Judgement, judge};
use crate::policy::Policy;

/// Evidence that answered a challenge and is good enough for a policy. [`appraise`] is the only constructor; certificates
/// are issued, connections used and secrets released against this and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    verified: Verified,
    level: Level,
    checks: Vec<Check>,
    not_proved: Vec<NotProved>,
}

impl Trusted {
    /// What was verified.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        self.verified.facts()
    }

    /// When, unix seconds.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.verified.at()
    }

    /// The minimum level along the chain of anchors.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// The check list, all passed.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// What a reader might believe and should not.
    #[must_use]
    pub fn not_proved(&self) -> &[NotProved] {
        &self.not_proved
    }
}

/// Why verified evidence is not trusted: every reason, with the whole check list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The level that was reached.
    pub level: Level,
    /// The check list.
    pub checks: Vec<Check>,
    /// What would not have been proved either.
    pub not_proved: Vec<NotProved>,
}

impl Refused {
    /// The reasons, in the order of the check list.
    pub fn reasons(&self) -> impl Iterator<Item = Reason> + '_ {
        self.checks.iter().filter_map(|check| match check.outcome {
            Outcome::Fail(reason) => Some(reason),
            Outcome::Pass => None,
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = self.reasons().map(|reason| alloc::format!("{reason}")).collect();
        f.write_str(&reasons.join("; "))
    }
}

impl core::error::Error for Refused {}

/// A recorded bundle judged by a policy, as of its time. It opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The level that was reached.
    pub level: Level,
    /// Whether every check passed: it would have been trusted then.
    pub would_be_trusted: bool,
    /// The check list.
    pub checks: Vec<Check>,
    /// What was not proved.
    pub not_proved: Vec<NotProved>,
}

/// Judges verified evidence by a trust policy.
///
/// # Errors
/// [`Refused`] with every reason.
pub fn appraise(policy: &Policy, verified: Verified) -> Result<Trusted, Refused> {
    let Judgement { level, checks, not_proved } = judge(policy, verified.facts());
    if all_passed(&checks) {
        Ok(Trusted { verified, level, checks, not_proved })
    } else {
        Err(Refused { level, checks, not_proved })
    }
}

/// Judges a recorded bundle by a trust policy.
#[must_use]
pub fn report(policy: &Policy, recorded: &Recorded) -> Report {
    let Judgement { level, checks, not_proved } = judge(policy, recorded.facts());
    Report { level, would_be_trusted: all_passed(&checks), checks, not_proved }
}

fn all_passed(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.outcome == Outcome::Pass)
}
