//! Types of our REST and node-local APIs: what goes over the wire, with the bounds that both sides keep.
//!
//! It is not a client and not a server: no I/O and no rule beyond shapes and bounds. The gateway answers with these types; the client library
//! reads them. Requests refuse unknown fields, answers are read leniently so that an older client understands a newer gateway.
//!
//! Conventions: digests and ids are lower-case hex, byte strings are standard base64 with padding, times are unix seconds.
#![no_std]
extern crate alloc;

pub mod accounts;
pub mod apps;
pub mod bounds;
pub mod device;
pub mod enclaves;
pub mod factors;
pub mod licenses;
pub mod node;
pub mod oidc;
pub mod original;
pub mod paths;
pub mod problem;
mod secret;

pub use problem::{Code, Problem};
pub use secret::Secret;
