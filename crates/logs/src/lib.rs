//! Measurement logs: TCG boot logs, IMA lists and the enclave log; parse and replay.
#![no_std]
extern crate alloc;
