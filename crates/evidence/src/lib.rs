//! Statements, inclusion proofs, challenges, and the one way from Evidence to Verified.
#![no_std]
extern crate alloc;
