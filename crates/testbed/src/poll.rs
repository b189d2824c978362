//! Waiting for what another process does: by looking again, and not for ever.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);

/// Looks until there is something.
///
/// # Panics
/// When the time is over; the message says what did not come.
pub fn until<T>(at_most: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < at_most, "{what}: not within {} s", at_most.as_secs());
        std::thread::sleep(PAUSE);
    }
}
