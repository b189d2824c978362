//! Evidence: what a node says of an enclave, and the one way from it to [`Verified`].
//!
//! A [`Statement`] is the leaf of a [`tree`]; a TPM quote signs the tree's head; the logs beside it replay to the quoted
//! PCRs. [`verify`] checks all of that against a [`Challenge`] that was made before the question was asked. Whether the
//! result is *good enough* is not asked here: that is `appraisal`, which alone makes a `Trusted`.
//!
//! Not here: I/O, clocks, randomness, policy. Callers: the client library, the signer, the verifier, the agent (which
//! builds statements), and whoever replays a saved bundle.
#![no_std]
extern crate alloc;

mod bundle;
mod challenge;
mod examine;
mod keys;
mod logs_check;
mod rejected;
mod roots;
mod statement;
pub mod tree;
mod unique;
mod verdict;
mod verify;

pub use bundle::{Bytes, Evidence, FORMAT, MAX_BUNDLE, MAX_MESSAGE, PcrValues};
pub use challenge::{Challenge, ChannelRule, Expectation};
pub use examine::{BootState, Facts, ImaState, LogState, Quoted};
pub use keys::AttestedKey;
pub use logs_check::{ENCLAVE_LOG_PCR, IMA_PCR};
pub use rejected::{CODES, Rejected, Step};
pub use roots::{Anchor, Roots};
pub use statement::{
    Audience, Channel, EnclaveClaim, MAX_STATEMENT, NoChannel, Purpose, Statement, StatementError,
};
pub use tree::{Proof, ProofError};
pub use verdict::{
    MAX_VERDICT_LIFE, NodeClaims, PolicyRef, Submods, VERDICT_PROFILE, VERDICT_TYPE, Verdict, VerdictClaims,
};
pub use verify::{Recorded, Verified, verify, verify_recorded};

/// What a quote's `extraData` must be for a tree head: SHA-256 over a domain, the leaf count and the root.
#[must_use]
pub fn quote_data(count: u32, root: &[u8; 32]) -> names::Digest {
    names::Digest::of_parts(&[b"sealwright/quote/v1", &count.to_be_bytes(), root])
}
