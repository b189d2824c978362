//! Trusted or not, and every reason why not; nodes by their policy; what is said on the screen either way.
#![allow(clippy::unwrap_used)]

mod nodes;
mod reasons;
mod told;

use appraisal::Policy;
use evidence::{Evidence, Roots, Verified, verify};
use forge::{Draft, NOW, World};
use names::{Digest, Level};

const fn digest(byte: u8) -> Digest {
    Digest::from_bytes([byte; 32])
}

fn verified_by(world: &World, roots: &Roots, evidence: &Evidence) -> Verified {
    verify(world.challenge(), evidence, roots, NOW).unwrap()
}

/// Good evidence after a change of what the agent says.
fn verified(world: &World, change: impl FnOnce(&mut Draft<'_>)) -> Verified {
    let mut draft = world.draft();
    change(&mut draft);
    verified_by(world, &world.roots(Level::Tpm), &draft.seal())
}

/// The good policy after a change.
fn policy(world: &World, change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = world.policy();
    change(&mut policy);
    policy
}
