//! Appraisal: is what was verified good enough, and for what? The one way from `Verified` to [`Trusted`].
//!
//! A [`Policy`] is what a client or the signer accepts (trust policy); a [`node::NodePolicy`] is what a node may run.
//! A refusal names every reason, not the first one; a success names what was *not* proved.
//!
//! Not here: whether the evidence holds at all (`evidence`), I/O, clocks. Callers: client library, signer, verifier.
#![no_std]
extern crate alloc;

mod check;
mod judge;
pub mod node;
mod policy;
mod trusted;

pub use check::{CODES, Check, NotProved, Outcome, Reason};
pub use policy::{Policy, Reference, Source, Versions};
pub use trusted::{Refused, Report, Trusted, appraise, report};
