//! Every test of the gateway on PostgreSQL instead of SQLite.
#![allow(clippy::unwrap_used, missing_docs)]

mod accounts;
mod apps;
mod contract;
mod database;
mod device;
mod enclaves;
mod fake_controller;
mod habits;
mod passkeys;
mod protocol;
mod rig;
mod second_factors;
mod tokens;

const DATABASE: fixtures::Kind = fixtures::Kind::Postgres;
