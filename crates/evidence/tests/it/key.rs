//! Is the signing key a certified attestation key of the node?

use evidence::{Bytes, Evidence, Rejected};
use forge::{NOW, TpmKey, World};
use names::Level;
use pki::profile::KeyPurpose;
use tpm2::Handle;
use tpm2::attributes::ObjectAttributes as Attribute;

use crate::case::{Attempt, Case, check, defect, sealed, signed_by};

const SIGNING: [Attribute; 6] = [
    Attribute::FIXED_TPM,
    Attribute::FIXED_PARENT,
    Attribute::SENSITIVE_DATA_ORIGIN,
    Attribute::USER_WITH_AUTH,
    Attribute::SIGN,
    Attribute::RESTRICTED,
];

/// The node's own key, certified, but without one attribute.
fn without(world: &World, attribute: Attribute) -> Attempt {
    let left = SIGNING.into_iter().filter(|each| *each != attribute).reduce(|all, each| all | each).unwrap();
    signed_by(world, &TpmKey::with_attributes(5, left), |chain| chain)
}

pub const CASES: &[Case] = &[
    defect(Rejected::KeyMalformed, "a byte after the public area", |world| {
        sealed(world, |evidence| evidence.ak_public.0.push(0))
    }),
    defect(Rejected::KeyMalformed, "no public area", |world| {
        sealed(world, |evidence| evidence.ak_public.0.clear())
    }),
    defect(Rejected::KeyAttributes, "a key that signs anything", |world| {
        without(world, Attribute::RESTRICTED)
    }),
    defect(Rejected::KeyAttributes, "a key that does not sign", |world| without(world, Attribute::SIGN)),
    defect(Rejected::KeyAttributes, "a key that can leave its TPM", |world| {
        without(world, Attribute::FIXED_TPM)
    }),
    defect(Rejected::KeyAttributes, "a key that can leave its parent", |world| {
        without(world, Attribute::FIXED_PARENT)
    }),
    defect(Rejected::KeyAttributes, "a key that was brought into the TPM", |world| {
        without(world, Attribute::SENSITIVE_DATA_ORIGIN)
    }),
    defect(Rejected::KeyName, "a certified key of the node that the statement does not name", |world| {
        let other = TpmKey::attestation(6);
        let certificate = world.certify(&other, &world.node, KeyPurpose::Enclave);
        let evidence = world.draft().seal_with(&other, |chain| vec![certificate, chain[1].clone()]);
        Attempt::new(world, evidence)
    }),
    defect(Rejected::KeyName, "another key's public area", |world| {
        sealed(world, |evidence| {
            evidence.ak_public = Bytes(TpmKey::attestation(6).public.as_bytes().to_vec())
        })
    }),
    defect(Rejected::KeyHierarchy, "a key of the owner hierarchy", |world| {
        let mut key = TpmKey::attestation(5);
        key.hierarchy = Handle::OWNER;
        signed_by(world, &key, |chain| chain)
    }),
    defect(Rejected::KeyChain, "no chain", |world| sealed(world, |evidence| evidence.ak_chain.clear())),
    defect(Rejected::KeyChain, "a chain without the issuing authority", |world| {
        sealed(world, |evidence| evidence.ak_chain.truncate(1))
    }),
    defect(Rejected::KeyChain, "a chain that is no certificate", |world| {
        sealed(world, |evidence| evidence.ak_chain[0].0.truncate(9))
    }),
    defect(Rejected::KeyChain, "a chain with a changed signature", |world| {
        sealed(world, |evidence| *evidence.ak_chain[0].0.last_mut().unwrap() ^= 1)
    }),
    defect(Rejected::KeyChain, "a chain to somebody else's root", |world| Attempt {
        roots: World::of_another_root().roots(Level::Tpm),
        ..sealed(world, |_| ())
    }),
    defect(Rejected::KeyChain, "a chain of another root with the same names", |world| {
        let other = World::of_another_root();
        Attempt { evidence: other.draft().seal(), ..sealed(world, |_| ()) }
    }),
    defect(Rejected::KeyChain, "nobody is trusted", |world| Attempt {
        roots: evidence::Roots::default(),
        ..sealed(world, |_| ())
    }),
    defect(Rejected::KeyPurpose, "the node's key for Keylime verifiers", |world| {
        let keylime = TpmKey::attestation(6);
        let certificate = world.certify(&keylime, &world.node, KeyPurpose::Keylime);
        signed_by(world, &keylime, |chain| vec![certificate, chain[1].clone()])
    }),
    defect(Rejected::KeyPurpose, "a key with a part's certificate", |world| {
        sealed(world, |evidence| evidence.ak_chain[0] = Bytes(world.verifier.der().to_vec()))
    }),
    defect(Rejected::KeyCertificate, "another attestation key's certificate", |world| {
        signed_by(world, &TpmKey::attestation(6), |chain| chain)
    }),
    defect(Rejected::KeyNode, "a key of another node", |world| {
        let other = "spiffe://sealwright.internal/node/node-2".parse().unwrap();
        let certificate = world.certify(&world.ak, &other, KeyPurpose::Enclave);
        signed_by(world, &TpmKey::attestation(5), |chain| vec![certificate, chain[1].clone()])
    }),
];

#[test]
fn what_another_key_signed_is_rejected() {
    check(CASES);
}

#[test]
fn the_keys_chain_is_judged_at_the_time_that_is_asked_for() {
    let world = World::new();
    let evidence: Evidence = world.node_draft().seal();
    let roots = world.roots(Level::Tpm);
    let judged = |at| evidence::verify_recorded(&evidence, &roots, at).err();
    assert_eq!(judged(NOW + 3600), None);
    assert_eq!(judged(NOW + 3601), Some(Rejected::KeyChain));
    assert_eq!(judged(NOW - 60), None);
    assert_eq!(judged(NOW - 61), Some(Rejected::KeyChain));
}
