//! Generates `crates/proto/src/v1.rs` from the `.proto` files; `--check` only compares.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const PROTO_DIR: &str = "crates/proto/proto";
const FILES: [&str; 3] =
    ["sealwright/v1/controller.proto", "sealwright/v1/signer.proto", "sealwright/v1/verifier.proto"];
const GENERATED: &str = "crates/proto/src/v1.rs";

/// Writes the generated code, or with `check` fails where the committed code differs.
pub fn run(root: &Path, check: bool) -> Result<()> {
    let out = root.join("target/codegen");
    fs::create_dir_all(&out).context("make the output folder")?;
    let descriptors = protox::compile(FILES, [root.join(PROTO_DIR)]).context("compile the .proto files")?;
    tonic_prost_build::configure()
        .out_dir(&out)
        .compile_fds(descriptors)
        .context("generate Rust from the descriptors")?;
    let fresh = fs::read_to_string(out.join("sealwright.v1.rs")).context("read the generated code")?;
    let committed: PathBuf = root.join(GENERATED);
    if check {
        let present = fs::read_to_string(&committed).with_context(|| format!("read {GENERATED}"))?;
        if present != fresh {
            bail!("{GENERATED} differs from its .proto files: run `cargo xtask codegen`");
        }
        return Ok(());
    }
    fs::write(&committed, fresh).with_context(|| format!("write {GENERATED}"))
}
