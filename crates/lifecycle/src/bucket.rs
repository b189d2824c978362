//! A token bucket: so many at once, and one more each so many seconds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// At once, after a rest.
    #[serde(deserialize_with = "crate::positive")]
    #[schemars(range(min = 1))]
    pub burst: u64,
    /// Seconds for one more. 0: as often as one likes.
    pub every: u64,
}

/// What is left of a [`Rate`]. Kept as the time at which it is full again, which is one number (GCRA, ITU-T I.371).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it is full, in the caller's clock. A new one is full.
    pub full_at: u64,
}

impl Bucket {
    /// Takes one.
    ///
    /// # Errors
    /// Seconds until there is one.
    pub fn take(self, rate: &Rate, now: u64) -> Result<Self, u64> {
        let whole = rate.burst.saturating_mul(rate.every);
        // A clock that was set back must not lock anybody out for longer than an empty bucket does.
        let full_at = self.full_at.min(now.saturating_add(whole)).max(now);
        let next = full_at.saturating_add(rate.every);
        let wait = next.saturating_sub(now.saturating_add(whole));
        if wait > 0 { Err(wait) } else { Ok(Self { full_at: next }) }
    }
}
