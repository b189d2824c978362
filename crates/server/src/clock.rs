//! The wall clock, in the unit of tokens, certificates and rows.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in unix seconds. A clock before 1970 counts as 1970: everything has then yet to become valid.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
