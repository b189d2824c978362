//! What an application is: its manifest and the version digest over it.
#![no_std]
extern crate alloc;
