//! The measurement logs that stand behind PCR values: the firmware's boot log, the kernel's IMA list and our enclave log.
//!
//! Each module parses bytes strictly, replays what the TPM must have been extended with, and gives typed readings.
//! A log by itself proves nothing: only a replay that equals a quoted PCR does, and then only for what the digests
//! cover. Types whose data is not covered say so.
//!
//! Not here: quotes and signatures (`tpm2`), what a good log is (`appraisal`), files and devices.
//! Called by `evidence`, `appraisal`, the agent (which writes the enclave log) and the verifier.
#![no_std]
extern crate alloc;

pub mod bank;
pub mod boot;
pub mod enclave;
pub mod ima;
mod reader;

pub use bank::{Bank, Value};
