//! TPM 2.0 wire structures, commands and responses, and the checks over them; no device.
#![no_std]
extern crate alloc;
