//! The TPM layer against a real command stream: one software TPM per test, and recorded exchanges.
#![allow(clippy::unwrap_used)]

mod checkquote;
mod keys;
mod lockout;
mod owner;
mod replay;
mod sessions;
mod software;
mod support;
