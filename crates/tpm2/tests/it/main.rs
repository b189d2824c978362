//! The structures and checks of `tpm2` over genuine files, edited ones, and any bytes at all.
#![allow(clippy::unwrap_used)]

mod commands;
mod genuine;
mod properties;
mod refusals;
mod support;
