//! Types of our REST and node-local APIs.
#![no_std]
extern crate alloc;
