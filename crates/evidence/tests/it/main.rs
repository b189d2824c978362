//! Good evidence is verified; each rejection is produced by one defect.
#![allow(clippy::unwrap_used)]

use evidence::{Evidence, verify, verify_recorded};
use forge::{NOW, World};
use names::Level;

#[test]
fn good_evidence_is_verified() {
    let world = World::new();
    let evidence = world.draft().seal();
    let verified = verify(world.challenge(), &evidence, &world.roots(Level::Tpm), NOW).unwrap();
    assert_eq!(verified.facts().key.level, Level::Tpm);
    assert_eq!(verified.facts().statement.enclave.as_ref(), Some(&world.enclave));
    let again = Evidence::from_json(&evidence.to_json()).unwrap();
    assert_eq!(again, evidence);
    verify_recorded(&again, &world.roots(Level::Tpm), NOW).unwrap();
}

#[test]
fn good_evidence_about_a_node_is_verified() {
    let world = World::new();
    let evidence = world.node_draft().seal();
    let verified = verify(world.node_challenge(), &evidence, &world.roots(Level::Tpm), NOW).unwrap();
    assert!(verified.facts().boot.is_some() && verified.facts().ima.is_some());
}
