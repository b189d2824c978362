//! Writes `testdata/vectors/bundles.json`, the same each time.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/bundles.json");
    std::fs::write(path, forge::vectors::text())
}
