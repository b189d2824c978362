//! What a licence does to enclaves that run: nothing, or a stop that is announced first and can be withdrawn until it comes.

use crate::license::Standing;
use crate::plan::Allowed;
use crate::{Facts, Life};

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// Why a running enclave has to stop.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Why { $($(#[$doc])* $variant,)* }

        impl Why {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable reason, shown with the enclave.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    /// The holder's account was disabled.
    Banned = "license-banned";
    /// The licence was ended for good.
    Revoked = "license-revoked";
    /// The licence was suspended.
    Suspended = "license-suspended";
    /// The licence has expired, and its plan takes access away.
    Expired = "license-expired";
    /// The enclave's user has lost the seat.
    SeatRemoved = "license-seat-removed";
    /// The enclave's pings stayed away.
    HeartbeatDead = "license-heartbeat-dead";
}

impl Why {
    /// Reads [`Why::as_str`] back.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|why| why.as_str() == name)
    }
}

/// A reason to stop, and the earliest moment for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Why.
    pub why: Why,
    /// Unix seconds; before that it can still be helped by a ping.
    pub not_before: u64,
}

/// Whether this user's enclave with these pings has to stop.
#[must_use]
pub fn due(facts: &Facts, user: &str, life: &Life, now: u64) -> Option<Due> {
    let (license, terms) = (&facts.license, &facts.plan.terms);
    let expired = license.is_expired(&facts.plan, now);
    let why = if license.standing == Standing::Banned {
        Some(Why::Banned)
    } else if license.revoked_at.is_some() {
        Some(Why::Revoked)
    } else if license.suspended_at.is_some() {
        Some(Why::Suspended)
    } else if expired && terms.expiration.access().running == Allowed::No {
        Some(Why::Expired)
    } else if !facts.seats.contains(user) {
        Some(Why::SeatRemoved)
    } else {
        None
    };
    if let Some(why) = why {
        return Some(Due { why, not_before: 0 });
    }
    let rule = terms.heartbeat?;
    let death = life.death(&rule, now)?;
    Some(Due { why: Why::HeartbeatDead, not_before: death.saturating_add(rule.resurrection.window()) })
}

/// A stop that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduled {
    /// Why.
    pub why: Why,
    /// Unix seconds.
    pub at: u64,
}

/// What to do about one running enclave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// Announce a stop, or an earlier one than before.
    Announce(Scheduled),
    /// What was announced has been helped.
    Withdraw,
    /// Its time has come.
    Stop(Why),
}

/// The next step. A stop comes at least `warning` seconds after it was announced, and never once its reason is gone.
#[must_use]
pub fn step(due: Option<Due>, scheduled: Option<Scheduled>, warning: u64, now: u64) -> Step {
    let Some(due) = due else {
        return if scheduled.is_some() { Step::Withdraw } else { Step::Nothing };
    };
    let earliest = due.not_before.max(now.saturating_add(warning));
    match scheduled {
        Some(scheduled) if scheduled.at < due.not_before => {
            Step::Announce(Scheduled { why: due.why, at: earliest })
        }
        Some(scheduled) if scheduled.at <= now => Step::Stop(due.why),
        Some(scheduled) if scheduled.at <= earliest => Step::Nothing,
        Some(_) | None => Step::Announce(Scheduled { why: due.why, at: earliest }),
    }
}
