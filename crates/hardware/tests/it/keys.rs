//! The TPM layer against a real command stream: one software TPM per test, and recorded exchanges.
#![allow(clippy::unwrap_used)]

use hardware::{AkPurpose, EndorsementKey, Lane, LoadedKey, SoftwareTpm, Tpm, owner};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tpm2::credential::Randomness;
use tpm2::{Attest, Handle, PcrSelection, PublicArea, Signature, make_credential, verify_signature};
use zeroize::Zeroizing;

fn software_tpm() -> (TempDir, Tpm) {
    let folder = tempfile::tempdir().unwrap();
    let tpm = Tpm::start(SoftwareTpm::start(folder.path()).unwrap()).unwrap();
    (folder, tpm)
}

fn randomness(byte: u8) -> Randomness {
    Randomness { seed: Zeroizing::new([byte; 48]), padding: Zeroizing::new([byte ^ 0xff; 48]) }
}

#[test]
fn a_quote_verifies_and_shows_the_extended_pcr() {
    let (_folder, mut tpm) = software_tpm();
    let key = tpm.attestation_key(AkPurpose::Enclave).unwrap();
    key.public().check_restricted_signing_key().unwrap();
    let digest = [7; 32];
    tpm.extend(13, &digest).unwrap();
    let pcrs: Vec<u8> = (0..=10).chain([13, 14]).collect();
    let selection = PcrSelection::sha256(&pcrs).unwrap();
    let quoted = tpm.quote(&key, b"nonce", &selection).unwrap();

    let attest = Attest::parse(&quoted.attest).unwrap();
    let signature = Signature::parse(&quoted.signature).unwrap();
    verify_signature(key.public(), attest.as_bytes(), &signature).unwrap();
    assert_eq!(attest.extra_data(), b"nonce");
    assert_eq!(attest.selection(), &selection);
    let values = tpm.read_pcrs(&pcrs).unwrap();
    assert_eq!(values.len(), pcrs.len());
    assert_eq!(
        values[&13],
        <[u8; 32]>::from(Sha256::new().chain_update([0; 32]).chain_update(digest).finalize())
    );
    assert_eq!(attest.pcr_digest(), tpm2::composite(values.values().map(|value| value.as_slice())));
}

#[test]
fn activation_gives_the_secret_back() {
    let (_folder, mut tpm) = software_tpm();
    let ek = tpm.endorsement_key().unwrap();
    for purpose in [AkPurpose::Enclave, AkPurpose::Keylime] {
        let key = tpm.attestation_key(purpose).unwrap();
        let credential =
            make_credential(ek.public(), key.name(), b"a secret of 32 bytes, or fewer..", &randomness(3));
        let secret = tpm.activate(&ek, &key, &credential.unwrap()).unwrap();
        assert_eq!(secret.as_slice(), b"a secret of 32 bytes, or fewer..");
    }
}

#[test]
fn a_ca_key_survives_as_blobs_and_signs() {
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    use p256::pkcs8::DecodePublicKey;
    let (_folder, mut tpm) = software_tpm();
    let created = tpm.create_ca_key().unwrap();
    let blobs = created.to_bytes().unwrap();
    let key = tpm.load_ca_key(&tpm2::command::Created::parse(&blobs).unwrap()).unwrap();
    let digest: [u8; 32] = Sha256::digest(b"to be signed").into();
    let der = tpm.sign_sha256(&key, &digest).unwrap();
    let verifying =
        p256::ecdsa::VerifyingKey::from_public_key_der(&created.public.spki_der().unwrap()).unwrap();
    verifying.verify_prehash(&digest, &p256::ecdsa::Signature::from_der(&der).unwrap()).unwrap();
}

#[test]
fn more_keys_than_slots_can_be_used() {
    let (_folder, mut tpm) = software_tpm();
    let ca = tpm.create_ca_key().unwrap();
    let ca = tpm.load_ca_key(&ca).unwrap();
    let ek = tpm.endorsement_key().unwrap();
    let keys = [AkPurpose::Enclave, AkPurpose::Keylime, AkPurpose::Enclave, AkPurpose::Keylime]
        .map(|purpose| tpm.attestation_key(purpose).unwrap());
    let selection = PcrSelection::sha256(&[0]).unwrap();
    for key in keys.iter().chain(keys.iter().rev()) {
        quote(&mut tpm, key, &selection);
        activate(&mut tpm, &ek, key);
        tpm.sign_sha256(&ca, &[1; 32]).unwrap();
    }
}

fn quote(tpm: &mut Tpm, key: &LoadedKey, selection: &PcrSelection) {
    let quoted = tpm.quote(key, b"", selection).unwrap();
    verify_signature(key.public(), &quoted.attest, &Signature::parse(&quoted.signature).unwrap()).unwrap();
}

fn activate(tpm: &mut Tpm, ek: &EndorsementKey, key: &LoadedKey) {
    let credential = make_credential(ek.public(), key.name(), b"secret", &randomness(9)).unwrap();
    assert_eq!(tpm.activate(ek, key, &credential).unwrap().as_slice(), b"secret");
}

#[test]
fn the_same_folder_gives_the_same_identity_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let identity = || -> (PublicArea, PublicArea, Vec<u8>) {
        let mut tpm = Tpm::start(SoftwareTpm::start(folder.path()).unwrap()).unwrap();
        let ek = tpm.endorsement_key().unwrap();
        let ak = tpm.attestation_key(AkPurpose::Enclave).unwrap();
        (ek.public().clone(), ak.public().clone(), ek.certificate().to_vec())
    };
    assert_eq!(identity(), identity());
}

#[tokio::test]
async fn the_owner_serves_tasks_and_threads() {
    let (_folder, tpm) = software_tpm();
    let (handle, thread) = owner::start(tpm).unwrap();
    let random = handle.run(Lane::Batch, |tpm| tpm.random(8)).await.unwrap().unwrap();
    assert_eq!(random.len(), 8);
    let other = handle.clone();
    let blocking =
        std::thread::spawn(move || other.run_blocking(Lane::Log, |tpm| tpm.read_nv(Handle(0x01ff_fff0))));
    assert_eq!(blocking.join().unwrap().unwrap().unwrap(), None);
    drop(handle);
    thread.join();
}
