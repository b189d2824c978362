//! The client against servers of the test's own: an enclave that tells the truth or lies in one place, and a gateway
//! that answers by script. TLS, HTTP and the checks are the real ones; the quotes are made by keys in memory.
#![allow(clippy::unwrap_used)]

#[path = "client/enclave.rs"]
mod enclave;
#[path = "client/gateway.rs"]
mod gateway;
#[path = "client/references.rs"]
mod references;
#[path = "client/stage.rs"]
mod stage;
