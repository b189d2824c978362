//! Keylime's wire formats, as its agents, servers and tenant speak them (Keylime 7.14, rust-keylime 0.2.9).
//!
//! It is: API versions and what differs between them, the quote string with its PCR values, the credential of a registration, the
//! operational states; each read strictly and written byte for byte as Keylime writes it.
//! It is not: HTTP, a database, policies. The verifier and the agent call it; what a quote means is judged by [`quote::Quote::verify`].
#![no_std]
extern crate alloc;

pub mod activation;
mod base64;
pub mod pcr_values;
pub mod quote;
pub mod state;
pub mod version;

pub use activation::{ActivationError, AuthTag, CredentialBlob};
pub use pcr_values::{PcrValues, PcrValuesError};
pub use quote::{Asked, Quote, QuoteError, QuoteRefused, VerifiedQuote};
pub use state::OperationalState;
pub use version::Version;
