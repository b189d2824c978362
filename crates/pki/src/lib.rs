//! Certificates, requests and signed tokens as values: profiles, building, parsing, path checks.
#![no_std]
extern crate alloc;
