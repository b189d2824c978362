//! Checks and generators of this repository: `cargo xtask tidy`, `cargo xtask codegen [--check]`, `cargo xtask floor NAME`,
//! `cargo xtask covered FILE`.

mod codegen;
mod openapi;
mod packages;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use packages::Floor;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without the backtrace that `Debug` would add.
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = repository_root()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["codegen"] => codegen::run(&root, false),
        ["codegen", "--check"] => codegen::run(&root, true),
        ["tidy"] => tidy::run(&root),
        ["covered", log] => openapi::covered(&root, Path::new(log)),
        ["floor", name] => print_floor(&root, name),
        _ => bail!("usage: cargo xtask tidy | codegen [--check] | covered FILE | floor pure|io|service|tool"),
    }
}

/// Prints the crates of one floor, a line each, for scripts.
fn print_floor(root: &Path, name: &str) -> Result<()> {
    let floor = Floor::parse(name).with_context(|| format!("{name} is no floor"))?;
    for package in packages::read(root)? {
        if package.floor == Some(floor) {
            println!("{}", package.name);
        }
    }
    Ok(())
}

fn repository_root() -> Result<PathBuf> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.parent().and_then(|crates| crates.parent());
    Ok(root.context("xtask lies in crates/xtask")?.to_path_buf())
}
