//! The certificate authority.
//!
//! What it is: a root key that is made in the TPM and never leaves it, an issuing key in memory that signs for a day,
//! and certificates that are issued against proofs: a facade's against a `Trusted`, an attestation key's against the
//! verifier's `Enrolment`, a part's against an [`Authorized`] that only the composing tool makes.
//!
//! What it is not: a judge of nodes (`verifier`), a place for anybody else's keys, an open port.
//!
//! Callers: `sealwright` starts it and authorizes parts in process; the agent and the verifier ask over a Unix socket.

mod authority;
mod config;
mod files;
mod nonces;
mod refusal;
mod root_key;
mod service;

pub use authority::{Authorized, Ca, CaError, Chain};
pub use config::Config;
pub use refusal::{CODES, Refusal};
pub use root_key::{RootKeyError, TpmRootKey};
pub use service::{Clock, Signer, serve, system_clock};
