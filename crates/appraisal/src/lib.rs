//! Trust policies, and the one way from Verified to Trusted.
#![no_std]
extern crate alloc;
