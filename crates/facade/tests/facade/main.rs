//! The facade with real TLS, real HTTP clients and real apps behind it; only the agent is a fake.
#![allow(clippy::unwrap_used, missing_docs)]

mod access;
mod apps;
mod evidence;
mod floods;
mod frames;
mod http;
mod original;
mod process;
mod proxying;
mod smuggling;
mod world;
