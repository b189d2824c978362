//! The whole system by its real programs: started, used, killed and looked at from outside.
#![allow(clippy::unwrap_used)]

mod alone;
mod connect;
mod consistency;
mod databases;
mod escapes;
mod examples;
mod failpoints;
mod faults_clock;
mod faults_database;
mod faults_tpm;
mod killed;
mod licences;
mod lifecycle;
mod lives;
mod nobody;
mod operations;
mod original;
mod parts;
mod random_kills;
mod random_work;
mod restart;
mod secrets;
mod two_controllers;
mod user_guide;
mod wire;

use std::time::Duration;

use sandbox::Feature;
use testbed::{World, binary};

/// Longest time for an enclave to be where it shall be; on a busy machine too.
const SOON: Duration = Duration::from_secs(60);

/// Says what is not tried here. Where everything has to be there, it is a failure.
fn not_checked(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}");
    eprintln!("NOT CHECKED: {what}");
}

/// A world of a plain user's beside ours, which is root's; else ours is one.
fn nobodys() -> Option<World> {
    if rustix::process::geteuid().is_root() {
        return Some(World::of_nobody());
    }
    not_checked("only root can be another user");
    None
}

/// A world in which enclaves have users of their own, and one in which they have not: root can make both.
fn worlds() -> impl Iterator<Item = World> {
    std::iter::once_with(World::new).chain(std::iter::once_with(nobodys).flatten())
}

/// Whether this machine has all of these.
fn there(features: &[Feature]) -> bool {
    let isolation = sandbox::probe(&binary("sealwright-facade"));
    let missing = features.iter().find(|feature| !isolation.has(**feature));
    if let Some(feature) = missing {
        not_checked(feature.describe());
    }
    missing.is_none()
}
