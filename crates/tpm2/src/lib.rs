//! TPM 2.0 wire structures, commands and responses, and the checks over them.
//!
//! It is: strict readers and writers for the structures and the commands that Sealwright uses, signature and name
//! checks, credentials, session arithmetic, all over bytes and with the caller's randomness.
//! It is not: a device, a clock, a source of randomness, or a complete TPM library.
//! `hardware` calls it to talk to a TPM; `evidence`, `appraisal` and the verifier call it to judge what a TPM said.
#![no_std]
extern crate alloc;

pub mod algorithms;
pub mod attest;
pub mod attributes;
pub mod command;
pub mod credential;
pub mod frame;
pub mod handle;
mod kdf;
mod keys;
pub mod pcr;
pub mod public;
pub mod rc;
pub mod roles;
pub mod session;
pub mod signature;
pub mod template;
pub mod wire;

pub use algorithms::HashAlgorithm;
pub use attest::{Attest, AttestError, ClockInfo};
pub use credential::{Credential, make_credential};
pub use handle::{Entity, Handle, Name};
pub use kdf::CipherError;
pub use keys::KeyError;
pub use pcr::{PcrSelection, composite};
pub use public::PublicArea;
pub use rc::ResponseCode;
pub use roles::{AttestationKeyError, EndorsementKeyError};
pub use signature::{Signature, SignatureError, verify_signature};
pub use wire::WireError;
