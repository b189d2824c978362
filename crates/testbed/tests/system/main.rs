//! The whole system by its real programs: started, used, killed and looked at from outside.
#![allow(clippy::unwrap_used)]

mod alone;
mod connect;
mod consistency;
mod databases;
mod examples;
mod failpoints;
mod killed;
mod licences;
mod lifecycle;
mod lives;
mod nobody;
mod operations;
mod random_kills;
mod restart;
mod secrets;
mod two_controllers;
mod user_guide;
mod wire;

use std::time::Duration;

/// Longest time for an enclave to be where it shall be; on a busy machine too.
const SOON: Duration = Duration::from_secs(60);
