//! The life of an enclave as rules: which state follows which, who starts next, when idleness ends it, how often it may start.
//!
//! Nothing here reads a clock or does anything: callers bring events and times, and carry out the effects. The store keeps
//! every row to [`Life::on`], the controller drives it, the gateway asks it what a user may do.
#![no_std]
extern crate alloc;

mod bucket;
mod countdown;
mod life;
mod positive;
mod queue;
mod state;

pub use bucket::{Bucket, Rate};
pub use countdown::{Bounds, Countdown, StopReason, WARNINGS};
pub use life::{Deadlines, Desired, Effect, Event, Life, Overdue, Refused};
pub use positive::positive;
pub use queue::{Full, Place, Queue};
pub use state::State;
