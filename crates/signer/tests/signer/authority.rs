//! The authority: its root lives in the TPM and survives restarts, its issuing key does not.

use std::os::unix::fs::PermissionsExt;

use attested_tls::LocalKey;
use hardware::{OwnerThread, SoftwareTpm, Tpm, TpmHandle, owner};
use names::Part;
use pki::{Certificate, Oid, SigningKey, path, profile};
use signer::{Ca, CaError, RootKeyError, TpmRootKey};

use crate::{NOW, domain, files};

fn tpm(folder: &std::path::Path) -> (TpmHandle, OwnerThread) {
    owner::start(Tpm::start(SoftwareTpm::start(folder).unwrap()).unwrap()).unwrap()
}

#[test]
fn the_root_stays_the_same_in_its_tpm_and_means_nothing_in_another() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("ca");
    let open = |tpm: TpmHandle| {
        let key = TpmRootKey::open(tpm, &directory)?;
        Ok::<_, RootKeyError>(Ca::open(Box::new(key), &directory, domain(), NOW).unwrap())
    };
    let (handle, thread) = tpm(&folder.path().join("one"));
    let root = open(handle).unwrap().root().clone();
    thread.join();
    assert_eq!(files(&directory), ["root.der", "root.key"]);
    let mode = |name: &str| std::fs::metadata(directory.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("root.key"), mode("root.der")), (0o600, 0o600));

    let (handle, thread) = tpm(&folder.path().join("one"));
    let again = open(handle).unwrap();
    assert_eq!(again.root(), &root);
    drop(again);
    thread.join();

    let (handle, thread) = tpm(&folder.path().join("two"));
    assert!(matches!(open(handle), Err(RootKeyError::Tpm(_))));
    thread.join();
}

#[test]
fn damaged_blobs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("root.key"), b"nonsense").unwrap();
    let (handle, thread) = tpm(&folder.path().join("tpm"));
    assert!(matches!(TpmRootKey::open(handle, folder.path()), Err(RootKeyError::Blobs)));
    thread.join();
}

#[test]
fn a_root_of_another_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Ca::open(Box::new(LocalKey::generate().unwrap()), folder.path(), domain(), NOW);
    open().unwrap();
    assert!(matches!(open(), Err(CaError::RootKey)));
    std::fs::write(folder.path().join("root.der"), b"nonsense").unwrap();
    assert!(matches!(open(), Err(CaError::Root(_))));
}

#[test]
fn parts_get_certificates_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::open(Box::new(LocalKey::generate().unwrap()), folder.path(), domain(), NOW).unwrap();
    let key = LocalKey::generate().unwrap();
    let leave = ca.authorize_part(Part::Gateway, key.public_key_spki(), &["localhost"]);
    let chain = ca.certify_part(&leave, NOW).unwrap();
    let verified = path::verify(&chain, &[ca.root().clone()], NOW, Oid::PART_GATEWAY).unwrap();
    assert_eq!(verified.leaf().uris(), ["spiffe://sealwright.internal/part/gateway"]);
    assert_eq!(verified.leaf().dns_names(), ["localhost"]);
    assert_eq!(verified.leaf().spki(), key.public_key_spki());
    key.certified_key(&chain).unwrap();
    // Still good on the last day of the leaf, though the issuing key is long gone.
    path::verify(&chain, &[ca.root().clone()], NOW + profile::PART_LIFE, Oid::SERVER_AUTH).unwrap();
}

/// Every certificate of the original was self-signed, and its CA signed none (portal.md 1.1, defect 5).
#[test]
fn no_certificate_is_signed_by_its_own_key_and_every_chain_ends_in_the_ca() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::open(Box::new(LocalKey::generate().unwrap()), folder.path(), domain(), NOW).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Ca::open(Box::new(LocalKey::generate().unwrap()), elsewhere.path(), domain(), NOW).unwrap();
    for part in [Part::Gateway, Part::Edge, Part::Verifier] {
        let key = LocalKey::generate().unwrap();
        let chain = ca.certify_part(&ca.authorize_part(part, key.public_key_spki(), &[]), NOW).unwrap();
        let leaf = Certificate::from_der(&chain[0]).unwrap();
        assert!(leaf.verify_signature(&leaf.public_key().unwrap()).is_err());
        let ends_in = |root: &Certificate| {
            path::verify(&chain, std::slice::from_ref(root), NOW, Oid::SERVER_AUTH).is_ok()
        };
        assert!(ends_in(ca.root()) && !ends_in(other.root()) && !ends_in(&leaf));
    }
}

#[test]
fn an_issuing_key_signs_for_a_day_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::open(Box::new(LocalKey::generate().unwrap()), folder.path(), domain(), NOW).unwrap();
    let key = LocalKey::generate().unwrap();
    let leave = ca.authorize_part(Part::Edge, key.public_key_spki(), &[]);
    let issuing = |chain: &[Vec<u8>]| Certificate::from_der(&chain[1]).unwrap().spki_sha256();
    let first = issuing(&ca.certify_part(&leave, NOW).unwrap());
    assert_eq!(ca.renew_at(), NOW + profile::ISSUING_KEY_LIFE / 2);
    let late = NOW + profile::ISSUING_KEY_LIFE + 1;
    assert!(matches!(ca.certify_part(&leave, late), Err(CaError::IssuingKeyExpired)));
    ca.renew(late).unwrap();
    let chain = ca.certify_part(&leave, late).unwrap();
    assert_ne!(issuing(&chain), first);
    path::verify(&chain, &[ca.root().clone()], late, Oid::PART_EDGE).unwrap();
}

#[test]
fn a_part_gets_no_name_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::open(Box::new(LocalKey::generate().unwrap()), folder.path(), domain(), NOW).unwrap();
    let key = LocalKey::generate().unwrap();
    let leave = ca.authorize_part(Part::Edge, key.public_key_spki(), &["*.localhost"]);
    assert!(matches!(ca.certify_part(&leave, NOW), Err(CaError::Issue(pki::IssueError::Name))));
}
