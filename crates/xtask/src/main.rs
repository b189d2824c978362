//! Checks and generators of this repository: `cargo xtask tidy`, `cargo xtask codegen [--check]`.

mod codegen;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let root = repository_root()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["codegen"] => codegen::run(&root, false),
        ["codegen", "--check"] => codegen::run(&root, true),
        _ => bail!("usage: cargo xtask codegen [--check]"),
    }
}

fn repository_root() -> Result<PathBuf> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.parent().and_then(|crates| crates.parent());
    Ok(root.context("xtask lies in crates/xtask")?.to_path_buf())
}
