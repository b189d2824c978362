//! Generated gRPC of the control plane, and the way to reach it over a Unix socket.
//!
//! `v1` is made by `cargo xtask codegen` from `proto/`; nobody edits it. Who serves what: see the `.proto` files.

mod socket;

pub use socket::{Channel, connect, serve, serve_socket, server};

/// Version 1 of the control plane's gRPC.
#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1;
