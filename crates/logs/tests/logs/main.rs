//! The logs of real machines, and of our agent, must get the verdicts written beside them in `testdata/`.
#![allow(clippy::unwrap_used)]

mod boot;
mod enclave;
mod ima;
mod robustness;

use std::path::PathBuf;

/// A file below `testdata/`.
fn testdata(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}
