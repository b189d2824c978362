//! Plans: the terms that licences are issued on.

use alloc::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Entitlement, HeartbeatRule, MIN_INTERVAL, PlanCode};

/// Most seats, and most enclaves at one time.
const MAX_COUNT: u32 = 100_000;
/// Longest duration, grace, interval or check-in, in seconds: ten years.
const MAX_SECONDS: u64 = 10 * 366 * 86_400;
/// Most entitlements of a plan.
const MAX_ENTITLEMENTS: usize = 256;
/// Shortest duration and check-in interval, in seconds.
const MIN_SECONDS: u64 = 60;

/// What a plan offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Users that may share a licence.
    pub seats: u32,
    /// Enclaves that may be up at one time, of all users together.
    pub enclaves: u32,
    /// Apps that may be started.
    pub entitlements: BTreeSet<Entitlement>,
    /// Seconds from issue to expiry; absent for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// What expiry does.
    #[serde(default)]
    pub expiration: Expiration,
    /// Seconds after expiry for which nothing changes yet.
    #[serde(default)]
    pub grace: u64,
    /// Whether enclaves must be pinged, and how often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatRule>,
    /// Seconds within which the holder must check in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_in: Option<u64>,
    /// How far counts may be exceeded.
    #[serde(default)]
    pub overage: Overage,
}

/// Why terms are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Seats and enclaves.
    #[error("seats and enclaves are 1 to 100000")]
    Count,
    /// Duration, grace, check-in.
    #[error("duration and check_in are one minute to ten years, grace at most ten years")]
    Seconds,
    /// Heartbeat.
    #[error("a heartbeat's interval is one minute to ten years")]
    Interval,
    /// Entitlements.
    #[error("a plan has 1 to 256 entitlements")]
    Entitlements,
}

impl Terms {
    /// Refuses what is out of bounds.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn check(&self) -> Result<(), PlanError> {
        if [self.seats, self.enclaves].iter().any(|count| !(1..=MAX_COUNT).contains(count)) {
            return Err(PlanError::Count);
        }
        let times = [self.duration, self.check_in];
        if times.iter().flatten().any(|seconds| !(MIN_SECONDS..=MAX_SECONDS).contains(seconds))
            || self.grace > MAX_SECONDS
        {
            return Err(PlanError::Seconds);
        }
        if self.heartbeat.is_some_and(|rule| !(MIN_INTERVAL..=MAX_SECONDS).contains(&rule.interval)) {
            return Err(PlanError::Interval);
        }
        if self.entitlements.is_empty() || self.entitlements.len() > MAX_ENTITLEMENTS {
            return Err(PlanError::Entitlements);
        }
        Ok(())
    }
}

/// A plan. A retired one issues no more licences; what was issued goes on, renewals too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its code.
    pub code: PlanCode,
    /// What it offers.
    pub terms: Terms,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub retired_at: Option<u64>,
}

/// What happens once a licence has expired and its grace is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Expiration {
    /// Nothing starts any more; what runs goes on.
    #[default]
    RestrictAccess,
    /// Nothing starts any more; what runs is stopped, after a warning.
    RevokeAccess,
    /// Enclaves that exist may be started again; no new ones.
    MaintainAccess,
    /// Nothing changes but the code.
    AllowAccess,
}

/// What an expired licence still allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Enclaves that did not exist.
    pub new: Allowed,
    /// Enclaves that exist and are stopped.
    pub again: Allowed,
    /// Enclaves that run.
    pub running: Allowed,
    /// Whether a validation says valid, with the code `EXPIRED`.
    pub validates: Allowed,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// It goes on.
    Yes,
    /// It does not.
    No,
}

impl Expiration {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::RestrictAccess, Self::RevokeAccess, Self::MaintainAccess, Self::AllowAccess];

    /// What an expired licence still allows.
    #[must_use]
    pub const fn access(self) -> Access {
        use Allowed::{No, Yes};
        let (new, again, running, validates) = match self {
            Self::RestrictAccess => (No, No, Yes, No),
            Self::RevokeAccess => (No, No, No, No),
            Self::MaintainAccess => (No, Yes, Yes, Yes),
            Self::AllowAccess => (Yes, Yes, Yes, Yes),
        };
        Access { new, again, running, validates }
    }

    /// The name on the wire and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RestrictAccess => "RESTRICT_ACCESS",
            Self::RevokeAccess => "REVOKE_ACCESS",
            Self::MaintainAccess => "MAINTAIN_ACCESS",
            Self::AllowAccess => "ALLOW_ACCESS",
        }
    }
}

/// How far the numbers of a plan may be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Overage {
    /// Not at all.
    #[default]
    #[serde(rename = "NO_OVERAGE")]
    None,
    /// By a quarter.
    #[serde(rename = "ALLOW_1_25X_OVERAGE")]
    Quarter,
    /// By a half.
    #[serde(rename = "ALLOW_1_5X_OVERAGE")]
    Half,
    /// To the double.
    #[serde(rename = "ALLOW_2X_OVERAGE")]
    Double,
    /// Without end.
    #[serde(rename = "ALWAYS_ALLOW_OVERAGE")]
    Always,
}

impl Overage {
    /// The most that is let through where the plan says `limit`; fractions are rounded down.
    #[must_use]
    pub const fn limit(self, limit: u32) -> u32 {
        match self {
            Self::None => limit,
            Self::Quarter => limit.saturating_add(limit / 4),
            Self::Half => limit.saturating_add(limit / 2),
            Self::Double => limit.saturating_mul(2),
            Self::Always => u32::MAX,
        }
    }
}
