//! The gateway over real TLS with a real database. Only the controller is a fake, on a real socket.
#![allow(clippy::unwrap_used, missing_docs)]

mod accounts;
mod acts;
mod admin;
mod apps;
mod conditions;
mod contract;
mod database;
mod device;
mod draining;
mod enclaves;
mod fake_controller;
mod fake_enclave;
mod habits;
mod http2;
mod key_rotation;
mod licenses;
mod limits;
mod lives;
mod matrix;
mod oidc;
mod original;
mod original_defects;
mod passkeys;
mod protocol;
mod proxied;
mod redaction;
mod rig;
mod second_factors;
mod sessions;
mod strategies;
mod streams;
mod tokens;

/// The same tests run on PostgreSQL by on_postgres.rs.
const DATABASE: fixtures::Kind = fixtures::Kind::Sqlite;
