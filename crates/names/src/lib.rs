//! Names that all parts share: enclave ids, SPIFFE ids, digests in hex, the slug rule, host labels, levels.
//!
//! Not here: anything that knows certificates, logs or networks. Everybody calls this crate.
#![no_std]
extern crate alloc;

mod digest;
mod level;
mod slug;
mod spiffe;

pub use digest::{Digest, EnclaveId, NameError, hex, unhex};
pub use level::Level;
pub use slug::{ENCLAVES_DOMAIN, enclave_host, host_label, slug};
pub use spiffe::{Part, SpiffeId, TrustDomain};
