//! When a running enclave is stopped by itself: after a time without activity, or at an age.
//!
//! All times are seconds of a clock that is never set: the caller's monotonic one. So a jump of the wall clock stops nothing.

use serde::{Deserialize, Serialize};

/// Seconds before the end at which it is told; shorter times are warned of at a half and at a tenth. A stop that a licence sets is told at once
/// and at the second of them.
pub const WARNINGS: [u64; 2] = [300, 60];

/// Why an enclave is stopped by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Nobody used it.
    Idle,
    /// It has run for as long as it may.
    MaxAge,
    /// The licence says so.
    License,
}

impl StopReason {
    /// The stable code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::MaxAge => "max_age",
            Self::License => "license",
        }
    }

    /// Reads [`StopReason::as_str`] back.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Idle, Self::MaxAge, Self::License].into_iter().find(|reason| reason.as_str() == name)
    }
}

/// How long it may run; `None`: as long as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Seconds without activity.
    pub idle: Option<u64>,
    /// Seconds in all.
    pub age: Option<u64>,
}

/// The countdown of one running enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Countdown {
    bounds: Bounds,
    started: u64,
    active: u64,
    extended: u64,
    /// A stop that somebody else has set: the licence's end.
    forced: Option<u64>,
    warned: usize,
}

impl Countdown {
    /// The countdown of an enclave that became ready now.
    #[must_use]
    pub const fn new(bounds: Bounds, now: u64) -> Self {
        Self { bounds, started: now, active: now, extended: 0, forced: None, warned: 0 }
    }

    /// There was activity at this time. Returns the countdown with its warnings to give anew.
    #[must_use]
    pub fn active(self, at: u64) -> Self {
        if at <= self.active { self } else { Self { active: at, ..self }.rewarn(self) }
    }

    /// It shall not be stopped before this time, whatever else is said; a licence's end stays.
    #[must_use]
    pub fn extend(self, until: u64) -> Self {
        if until <= self.extended { self } else { Self { extended: until, ..self }.rewarn(self) }
    }

    /// It is stopped at this time (`None`: no more).
    #[must_use]
    pub fn force(self, at: Option<u64>) -> Self {
        if at == self.forced { self } else { Self { forced: at, warned: 0, ..self } }
    }

    /// Warnings that were given stand until the end has moved.
    fn rewarn(self, before: Self) -> Self {
        if self.ends() == before.ends() { self } else { Self { warned: 0, ..self } }
    }

    /// When it ends and why.
    #[must_use]
    pub fn ends(&self) -> Option<(u64, StopReason)> {
        let end = |from: u64, seconds: Option<u64>, reason| {
            seconds.map(|seconds| (from.saturating_add(seconds).max(self.extended), reason))
        };
        let ends = [
            end(self.active, self.bounds.idle, StopReason::Idle),
            end(self.started, self.bounds.age, StopReason::MaxAge),
            self.forced.map(|at| (at, StopReason::License)),
        ];
        ends.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// The next time at which there is something to do: a warning, or the end.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        let (end, reason) = self.ends()?;
        let ahead = self.warnings(reason).get(self.warned).copied().unwrap_or(0);
        Some(end.saturating_sub(ahead))
    }

    /// What is to be told now: the seconds that are left and why, once for each warning.
    #[must_use]
    pub fn warning(self, now: u64) -> (Self, Option<(u64, StopReason)>) {
        let Some((end, reason)) = self.ends() else { return (self, None) };
        let left = end.saturating_sub(now);
        let due = self.warnings(reason).into_iter().filter(|ahead| left <= *ahead).count();
        if due > self.warned && left > 0 {
            (Self { warned: due, ..self }, Some((left, reason)))
        } else {
            (self, None)
        }
    }

    /// Why it is to be stopped now, if it is.
    #[must_use]
    pub fn over(&self, now: u64) -> Option<StopReason> {
        self.ends().filter(|(end, _)| *end <= now).map(|(_, reason)| reason)
    }

    fn warnings(&self, reason: StopReason) -> [u64; 2] {
        let [early, late] = WARNINGS;
        let whole = match reason {
            StopReason::Idle => self.bounds.idle,
            StopReason::MaxAge => self.bounds.age,
            StopReason::License => return [u64::MAX, late],
        };
        let whole = whole.unwrap_or(u64::MAX);
        [early.min(whole / 2), late.min(whole / 10)]
    }
}
