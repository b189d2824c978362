//! Every test of the gateway on PostgreSQL instead of SQLite.
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

const DATABASE: fixtures::Kind = fixtures::Kind::Postgres;

#[test]
fn every_area_is_tested_on_both_databases() {
    let areas = |text: &str| {
        text.lines().filter(|line| line.starts_with("mod ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(areas(include_str!("on_postgres.rs")), areas(include_str!("main.rs")));
}
