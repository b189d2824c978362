//! Statements, evidence and manifests.

use evidence::{Anchor, Evidence, Roots, Statement, verify_recorded};
use names::Level;
use pki::Certificate;
use workload::Manifest;

/// The time at which the seeds were made (`make_seeds.py`).
const NOW: u64 = 1_800_000_000;
/// The root of the seeds' certificates; nobody has its key.
const ROOT: &[u8] = include_bytes!("../../root.der");

pub(crate) fn statement(bytes: &[u8]) {
    let Ok(statement) = Statement::parse(bytes) else { return };
    assert_eq!(statement.encode().as_deref(), Ok(bytes), "a statement has one form");
}

pub(crate) fn bundle(bytes: &[u8]) {
    let Ok(evidence) = Evidence::from_json(bytes) else { return };
    assert_eq!(Evidence::from_json(&evidence.to_json()).as_ref(), Ok(&evidence));
    let certificate = Certificate::from_der(ROOT).expect("the seeds' root is a certificate");
    let roots = Roots::new(vec![Anchor { name: "seeds".into(), certificate, level: Level::Simulated }]);
    let _ = verify_recorded(&evidence, &roots, NOW);
}

pub(crate) fn manifest(bytes: &[u8]) {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) else { return };
    let again = serde_json::to_vec(&manifest).expect("a manifest has a JSON form");
    let again: Manifest = serde_json::from_slice(&again).expect("what was written is read");
    assert_eq!(again.digest(), manifest.digest());
}
