//! Where the programs under test are: beside the test's own executable, in the folder of the same build.

use std::path::{Path, PathBuf};

/// A program of this build.
///
/// # Panics
/// Where it was not built; the message names the command that builds it.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test has an executable");
    // target/PROFILE/deps/system-0123456789abcdef
    let folder = own.parent().and_then(Path::parent).expect("cargo puts tests into target/PROFILE/deps");
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is missing: `cargo build --package sealwright --package facade --package middle --package hello`",
        path.display()
    );
    path
}

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    folder.expect("the crate lies in crates/testbed").to_path_buf()
}
