//! Who may be a node, and what a node is worth right now.
//!
//! What it is: enrolment of a TPM by credential activation against a trust store whose anchors carry levels, rounds in
//! which a node's boot log, file measurements and quote are appraised by a node policy, and verdicts of a minute.
//!
//! What it is not: a judge of enclaves (the relying parties are), a CA (it asks the signer), Keylime's protocol (later).
//!
//! Callers: agents over a Unix socket; `sealwright` starts it and gives it its key.
//!
//! The state machines (`enrolment`, `rounds`, `nodes`) do no I/O: time and random bytes are passed in.

mod config;
mod enrolment;
mod identity;
mod nodes;
mod pins;
mod refusal;
mod rounds;
mod service;
mod trust;
mod verdict;

pub use config::{AnchorFile, Config};
pub use enrolment::{ENROLMENT_LABEL, activation_answer};
pub use identity::Identity;
pub use refusal::{CODES, Refusal};
pub use service::{Clock, Setup, Verifier, serve, system_clock};
pub use trust::{EkTrust, TrustError};
