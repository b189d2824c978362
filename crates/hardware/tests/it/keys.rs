//! Endorsement keys, attestation keys, quotes, activation, signing keys.

use hardware::{AkPurpose, EkKind, LoadedKey, SoftwareTpm, Tpm, TpmError};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::pkcs8::DecodePublicKey;
use sha2::{Digest, Sha256};
use tpm2::command::{CreatePrimary, Created, StartAuthSession};
use tpm2::credential::Salt;
use tpm2::public::{Key, Scheme};
use tpm2::session::{Authorization, SessionKind};
use tpm2::{
    Attest, Handle, HashAlgorithm, Name, PcrSelection, PublicArea, ResponseCode, Signature, make_credential,
    template, verify_signature,
};

use crate::support::{folder, randomness, software_tpm};

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
    assert_eq!(values.keys().copied().collect::<Vec<u8>>(), pcrs);
    assert_eq!(
        values[&13],
        <[u8; 32]>::from(Sha256::new().chain_update([0; 32]).chain_update(digest).finalize())
    );
    assert_eq!(attest.pcr_digest(), tpm2::composite(values.values().map(|value| value.as_slice())));
}

#[test]
fn all_pcrs_are_read_eight_at_a_time() {
    let (_folder, mut tpm) = software_tpm();
    let all: Vec<u8> = (0..24).collect();
    let values = tpm.read_pcrs(&all).unwrap();
    assert_eq!(values.into_keys().collect::<Vec<u8>>(), all);
    assert!(tpm.read_pcrs(&[]).unwrap().is_empty());
    assert!(matches!(tpm.read_pcrs(&[24]), Err(TpmError::Structure(_))));
}

#[test]
fn a_quote_names_its_key_as_a_primary_of_the_endorsement_hierarchy() {
    let (_folder, mut tpm) = software_tpm();
    let key = tpm.attestation_key(AkPurpose::Enclave).unwrap();
    let quoted = tpm.quote(&key, b"", &PcrSelection::sha256(&[0]).unwrap()).unwrap();
    let attest = Attest::parse(&quoted.attest).unwrap();
    let expected = key.public().qualified_name_below(&Name::of_handle(Handle::ENDORSEMENT));
    assert_eq!(attest.qualified_signer(), expected.as_bytes());
    let elsewhere = key.public().qualified_name_below(&Name::of_handle(Handle::OWNER));
    assert_ne!(attest.qualified_signer(), elsewhere.as_bytes());
}

#[test]
fn a_restart_shows_in_the_reset_counter() {
    let folder = folder();
    let count = || {
        let mut tpm = Tpm::start(SoftwareTpm::start(folder.path()).unwrap()).unwrap();
        let key = tpm.attestation_key(AkPurpose::Enclave).unwrap();
        let quoted = tpm.quote(&key, b"", &PcrSelection::sha256(&[0]).unwrap()).unwrap();
        Attest::parse(&quoted.attest).unwrap().clock().reset_count
    };
    let first = count();
    assert_eq!(count(), first + 1);
}

#[test]
fn the_two_attestation_keys_differ_and_stay_the_same() {
    let folder = folder();
    let identity = || -> (PublicArea, PublicArea, PublicArea, Vec<u8>) {
        let mut tpm = Tpm::start(SoftwareTpm::start(folder.path()).unwrap()).unwrap();
        let ek = tpm.endorsement_key().unwrap();
        let [enclave, keylime] =
            [AkPurpose::Enclave, AkPurpose::Keylime].map(|purpose| tpm.attestation_key(purpose).unwrap());
        (ek.public().clone(), enclave.public().clone(), keylime.public().clone(), ek.certificate().to_vec())
    };
    let first = identity();
    assert_ne!(first.1, first.2);
    assert_eq!(first, identity());
}

#[test]
fn rsa_attestation_keys_quote_by_both_schemes() {
    let (_folder, mut tpm) = software_tpm();
    for scheme in [Scheme::Rsassa(HashAlgorithm::Sha256), Scheme::Rsapss(HashAlgorithm::Sha256)] {
        let template = template::attestation_key_rsa2048(scheme).unwrap();
        let key = tpm.create_primary(Handle::ENDORSEMENT, &template).unwrap();
        key.public().check_restricted_signing_key().unwrap();
        let quoted = tpm.quote(&key, b"nonce", &PcrSelection::sha256(&[0, 7]).unwrap()).unwrap();
        let signature = Signature::parse(&quoted.signature).unwrap();
        verify_signature(key.public(), &quoted.attest, &signature).unwrap();
        let mut changed = quoted.attest.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(verify_signature(key.public(), &changed, &signature).is_err());
        assert!(key.public().spki_der().is_ok());
    }
}

#[test]
fn each_flipped_byte_of_a_quote_is_refused() {
    let (_folder, mut tpm) = software_tpm();
    let key = tpm.attestation_key(AkPurpose::Enclave).unwrap();
    let quoted = tpm.quote(&key, b"nonce", &PcrSelection::sha256(&[0]).unwrap()).unwrap();
    let is_good = |attest: &[u8], signature: &[u8]| {
        Attest::parse(attest).is_ok()
            && Signature::parse(signature).is_ok_and(|s| verify_signature(key.public(), attest, &s).is_ok())
    };
    assert!(is_good(&quoted.attest, &quoted.signature));
    for index in 0..quoted.attest.len() {
        let mut changed = quoted.attest.clone();
        changed[index] ^= 0x10;
        assert!(!is_good(&changed, &quoted.signature), "byte {index} of the quote");
    }
    for index in 0..quoted.signature.len() {
        let mut changed = quoted.signature.clone();
        changed[index] ^= 0x10;
        assert!(!is_good(&quoted.attest, &changed), "byte {index} of the signature");
    }
}

#[test]
fn a_restricted_key_does_not_sign_what_others_made() {
    let (_folder, mut tpm) = software_tpm();
    let key = tpm.attestation_key(AkPurpose::Enclave).unwrap();
    let refused = tpm.sign_sha256(&key, &[1; 32]).unwrap_err();
    assert_eq!(
        refused.code().map(ResponseCode::base),
        Some(ResponseCode(0xa0)),
        "TPM_RC_TICKET: {refused:?}"
    );
}

#[test]
fn activation_gives_the_secret_back_for_each_kind_of_endorsement_key() {
    let (_folder, mut tpm) = software_tpm();
    let ak = tpm.attestation_key(AkPurpose::Enclave).unwrap();
    let rsa = tpm.endorsement_key_of(EkKind::Rsa2048).unwrap().unwrap();
    let p384 = tpm.endorsement_key_of(EkKind::P384).unwrap().unwrap();
    // The software TPM certifies no P-256 key; the key itself works all the same.
    assert!(tpm.endorsement_key_of(EkKind::P256).unwrap().is_none());
    let p256 = tpm.create_primary(Handle::ENDORSEMENT, &template::ek_p256().unwrap()).unwrap();
    for ek in [rsa.key(), p384.key(), &p256] {
        ek.public().check_restricted_decryption_key().unwrap();
        for secret in [&b"s"[..], &[0x5a; 32]] {
            let credential = make_credential(ek.public(), ak.name(), secret, &randomness(3)).unwrap();
            assert_eq!(tpm.activate(ek, &ak, &credential).unwrap().as_slice(), secret);
        }
    }
}

#[test]
fn a_credential_for_another_key_or_tpm_is_not_opened() {
    let (_folder, mut tpm) = software_tpm();
    let ek = tpm.endorsement_key().unwrap();
    let enclave = tpm.attestation_key(AkPurpose::Enclave).unwrap();
    let keylime = tpm.attestation_key(AkPurpose::Keylime).unwrap();
    let credential = make_credential(ek.public(), enclave.name(), b"secret", &randomness(3)).unwrap();
    let refused = tpm.activate(ek.key(), &keylime, &credential).unwrap_err();
    assert_eq!(refused.code().map(ResponseCode::base), Some(ResponseCode::INTEGRITY));

    let other = tpm.create_primary(Handle::ENDORSEMENT, &template::ek_p256().unwrap()).unwrap();
    assert!(tpm.activate(&other, &enclave, &credential).unwrap_err().code().is_some());
    let mut changed = credential.clone();
    *changed.id_object.last_mut().unwrap() ^= 1;
    let refused = tpm.activate(ek.key(), &enclave, &changed).unwrap_err();
    assert_eq!(refused.code().map(ResponseCode::base), Some(ResponseCode::INTEGRITY));
    // The sessions of the refused attempts were flushed: the TPM has room for as many as before.
    for _ in 0..100 {
        assert_eq!(tpm.activate(ek.key(), &enclave, &credential).unwrap().as_slice(), b"secret");
    }
}

#[test]
fn a_ca_key_survives_a_restart_as_blobs_and_only_in_its_own_tpm() {
    let folder = folder();
    let start = || Tpm::start(SoftwareTpm::start(folder.path()).unwrap()).unwrap();
    let created = start().create_ca_key().unwrap();
    let blobs = created.to_bytes().unwrap();
    let created = Created::parse(&blobs).unwrap();
    let mut tpm = start();
    let key = tpm.load_ca_key(&created).unwrap();
    let verifying =
        p256::ecdsa::VerifyingKey::from_public_key_der(&created.public.spki_der().unwrap()).unwrap();
    // Enough signatures for some to have a short r or s.
    for number in 0..300u32 {
        let digest: [u8; 32] = Sha256::digest(number.to_be_bytes()).into();
        let der = tpm.sign_sha256(&key, &digest).unwrap();
        verifying.verify_prehash(&digest, &p256::ecdsa::Signature::from_der(&der).unwrap()).unwrap();
    }
    let mut changed = blobs;
    changed[20] ^= 1;
    assert!(tpm.load_ca_key(&Created::parse(&changed).unwrap()).is_err());

    // Another machine has other seeds.
    let other = tempfile::tempdir().unwrap();
    let mut other = Tpm::start(SoftwareTpm::start(other.path()).unwrap()).unwrap();
    let refused = other.load_ca_key(&created).err().unwrap();
    assert_eq!(refused.code().map(ResponseCode::base), Some(ResponseCode::INTEGRITY));
}

#[test]
fn ca_keys_are_not_attestation_keys_and_can_not_leave() {
    let (_folder, mut tpm) = software_tpm();
    let public = tpm.create_ca_key().unwrap().public;
    assert_eq!(public.check_restricted_signing_key(), Err(tpm2::AttestationKeyError::NotRestricted));
    let fixed =
        tpm2::attributes::ObjectAttributes::FIXED_TPM | tpm2::attributes::ObjectAttributes::FIXED_PARENT;
    assert!(public.attributes().contains(fixed));
    assert!(matches!(public.key(), Key::Ecc { .. }));
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
        assert_quotes(&mut tpm, key, &selection);
        let credential = make_credential(ek.public(), key.name(), b"secret", &randomness(9)).unwrap();
        assert_eq!(tpm.activate(ek.key(), key, &credential).unwrap().as_slice(), b"secret");
        tpm.sign_sha256(&ca, &[1; 32]).unwrap();
    }
}

#[test]
fn dropped_keys_leave_their_slots() {
    let (_folder, mut tpm) = software_tpm();
    let selection = PcrSelection::sha256(&[0]).unwrap();
    for _ in 0..20 {
        let key = tpm.attestation_key(AkPurpose::Keylime).unwrap();
        assert_quotes(&mut tpm, &key, &selection);
    }
    let transient = tpm.execute(&tpm2::command::GetHandles { first: Handle(0x8000_0000) }, &mut []).unwrap();
    assert_eq!(transient, (vec![], false));
}

#[test]
fn what_a_dead_predecessor_left_in_the_slots_is_flushed() {
    let (_folder, mut tpm) = software_tpm();
    let template = template::storage_root_p256().unwrap();
    let by = || [Authorization::Password(&[])];
    for _ in 0..3 {
        // Nobody adopts these, as when the process died right after the command.
        tpm.execute(&CreatePrimary { hierarchy: Handle::OWNER, template: &template }, &mut by()).unwrap();
        let salt = Salt::none();
        let start = StartAuthSession {
            salted_by: Handle::NULL,
            salt: &salt,
            kind: SessionKind::Hmac,
            nonce: [1; 32],
        };
        tpm.execute(&start, &mut []).unwrap();
    }
    let ek = tpm.endorsement_key().unwrap();
    let ak = tpm.attestation_key(AkPurpose::Enclave).unwrap();
    let credential = make_credential(ek.public(), ak.name(), b"secret", &randomness(9)).unwrap();
    assert_eq!(tpm.activate(ek.key(), &ak, &credential).unwrap().as_slice(), b"secret");
}

#[test]
fn attestation_keys_are_told_apart_by_a_digest_of_their_purpose() {
    let (_folder, mut tpm) = software_tpm();
    for (purpose, text) in
        [(AkPurpose::Enclave, "sealwright/ak-enclave/v1"), (AkPurpose::Keylime, "sealwright/ak-keylime/v1")]
    {
        let template = template::attestation_key(&Sha256::digest(text).into()).unwrap();
        let expected = tpm.create_primary(Handle::ENDORSEMENT, &template).unwrap();
        assert_eq!(tpm.attestation_key(purpose).unwrap().public(), expected.public());
    }
}

#[test]
fn a_key_of_another_tpm_is_not_used() {
    let (_folder, mut tpm) = software_tpm();
    let (_other_folder, mut other) = software_tpm();
    let key = other.attestation_key(AkPurpose::Enclave).unwrap();
    let _loaded_at_the_same_handle = tpm.attestation_key(AkPurpose::Keylime).unwrap();
    let refused = tpm.quote(&key, b"", &PcrSelection::sha256(&[0]).unwrap());
    assert!(matches!(refused, Err(TpmError::NotLoaded)));
}

fn assert_quotes(tpm: &mut Tpm, key: &LoadedKey, selection: &PcrSelection) {
    let quoted = tpm.quote(key, b"", selection).unwrap();
    verify_signature(key.public(), &quoted.attest, &Signature::parse(&quoted.signature).unwrap()).unwrap();
}
