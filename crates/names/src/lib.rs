//! Names that all parts share: enclave and user ids, SPIFFE ids, the slug rule, host labels.
#![no_std]
extern crate alloc;
