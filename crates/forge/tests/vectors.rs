//! The committed vectors are the ones that are made.

#[test]
fn the_committed_bundles_are_the_forged_ones() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/vectors/bundles.json");
    let committed = std::fs::read_to_string(path).expect("the vectors are committed");
    assert!(committed == forge::vectors::text(), "cargo run -p forge --bin vectors");
}
