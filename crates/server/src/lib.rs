//! Start, listen, observe, drain: what every service shares.
//!
//! Not here: what a service does. Services call this crate, and the composing tool calls [`telemetry::init`] once.

pub mod clock;
pub mod config;
pub mod problem;
pub mod tasks;
pub mod telemetry;
pub mod trace;
pub mod unix;

pub use problem::Problem;
pub use tasks::Tasks;
