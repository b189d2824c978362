//! The vectors in `testdata/vectors`: what both verifiers must agree on, good and bad.
//!
//! `forged.json` is made here, from keys with fixed seeds, so it is the same each time; `SEALWRIGHT_WRITE_VECTORS=1` writes
//! it anew. `python.json` is made by the second verifier's own maker, without a line of ours.
#![allow(clippy::unwrap_used)]

mod forged;
mod format;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use format::{Vector, judge, tree_outcome};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors")
}

fn committed(file: &str) -> Vec<Vector> {
    serde_json::from_slice(&fs::read(folder().join(file)).unwrap()).unwrap()
}

fn disagreements(vectors: &[Vector]) -> Vec<String> {
    let mut found = Vec::new();
    for vector in vectors {
        let outcome = match &vector.tree {
            Some(tree) => tree_outcome(tree),
            None => judge(vector),
        };
        if outcome != vector.expect {
            found.push(format!("{}: expected {}, got {outcome}", vector.name, vector.expect));
        }
    }
    found
}

#[test]
fn forged_vectors_are_judged_as_they_say() {
    assert_eq!(disagreements(&forged::vectors()), Vec::<String>::new());
}

#[test]
fn the_committed_vectors_are_the_forged_ones() {
    // One vector a line.
    let lines: Vec<String> =
        forged::vectors().iter().map(|each| serde_json::to_string(each).unwrap()).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    let path = folder().join("forged.json");
    if std::env::var_os("SEALWRIGHT_WRITE_VECTORS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(fs::read_to_string(path).unwrap() == text, "run this test with SEALWRIGHT_WRITE_VECTORS=1");
}

#[test]
fn vectors_made_in_python_are_judged_as_they_say() {
    assert_eq!(disagreements(&committed("python.json")), Vec::<String>::new());
}

#[test]
fn vectors_of_whole_bundles_are_judged_as_they_say() {
    assert_eq!(disagreements(&committed("bundles.json")), Vec::<String>::new());
}

#[test]
fn every_reason_code_of_evidence_and_policy_has_a_vector() {
    let made = [forged::vectors(), committed("python.json")].concat();
    let shown: BTreeSet<&str> = made.iter().map(|vector| vector.expect.as_str()).collect();
    let wanted = evidence::CODES.iter().chain(appraisal::CODES);
    let missing: Vec<&str> = wanted.copied().filter(|code| !shown.contains(code)).collect();
    assert_eq!(missing, forged::WITHOUT_VECTOR);
}
