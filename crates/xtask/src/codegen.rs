//! Generates `crates/proto/src/v1.rs` from the `.proto` files, and the API's document from its areas; `--check` only compares.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::openapi;

const PROTO_DIR: &str = "crates/proto/proto";
const FILES: [&str; 3] =
    ["sealwright/v1/controller.proto", "sealwright/v1/signer.proto", "sealwright/v1/verifier.proto"];
const GENERATED: &str = "crates/proto/src/v1.rs";

/// Writes what is generated, or with `check` fails where the committed differs.
pub fn run(root: &Path, check: bool) -> Result<()> {
    let mut generated = openapi::generate(root)?;
    generated.push((GENERATED, proto(root)?));
    for (path, fresh) in generated {
        let committed: PathBuf = root.join(path);
        if !check {
            fs::write(&committed, fresh).with_context(|| format!("write {path}"))?;
        } else if fs::read_to_string(&committed).with_context(|| format!("read {path}"))? != fresh {
            bail!("{path} differs from what it is generated from: run `cargo xtask codegen`");
        }
    }
    Ok(())
}

fn proto(root: &Path) -> Result<String> {
    let out = root.join("target/codegen");
    fs::create_dir_all(&out).context("make the output folder")?;
    let descriptors = protox::compile(FILES, [root.join(PROTO_DIR)]).context("compile the .proto files")?;
    tonic_prost_build::configure()
        .out_dir(&out)
        .compile_fds(descriptors)
        .context("generate Rust from the descriptors")?;
    fs::read_to_string(out.join("sealwright.v1.rs")).context("read the generated code")
}
