//! Evidence made from keys in memory, for tests and benches: right by default, and wrong in exactly one place.
//!
//! A [`World`] has a CA, a node with its attestation key, a verifier and an enclave. [`World::draft`] is what its agent
//! would say; a test changes one thing in the draft (before signing) or in the evidence (after), and asks what is said.
//! The quotes are simulated: made by a key in memory, byte for byte as a TPM makes them. Tests against real TPM command
//! streams are in `hardware`, `agent` and `testbed`.
//!
//! Callers: tests and benches only; nothing that ships depends on this.

mod draft;
mod keys;
mod node;
mod purposes;
mod rsa_key;
pub mod vectors;
mod world;

pub use draft::Draft;
pub use keys::TpmKey;
pub use node::{BOOT_LOG, IMA_LIST, boot_log, boot_log_with_secure_boot, ima_list};
pub use rsa_key::RsaScheme;
pub use world::{NOW, World};
