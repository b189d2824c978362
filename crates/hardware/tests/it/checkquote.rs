//! Agreement with Debian's `tpm2_checkquote` (tpm2-tools 5.4), which reads files and talks to no TPM.

use std::path::Path;
use std::process::Command;

use hardware::{AkPurpose, LoadedKey, Tpm};
use sha2::{Digest, Sha256};
use tpm2::command::Sign;
use tpm2::public::Scheme;
use tpm2::session::Authorization;
use tpm2::{
    Attest, AttestError, AttestationKeyError, Handle, HashAlgorithm, PcrSelection, Signature, template,
    verify_signature,
};

use crate::support::software_tpm;

fn keys(tpm: &mut Tpm) -> [LoadedKey; 2] {
    [tpm.attestation_key(AkPurpose::Enclave).unwrap(), rsa_key(tpm, Scheme::Rsassa(HashAlgorithm::Sha256))]
}

fn rsa_key(tpm: &mut Tpm, scheme: Scheme) -> LoadedKey {
    let template = template::attestation_key_rsa2048(scheme).unwrap();
    tpm.create_primary(Handle::ENDORSEMENT, &template).unwrap()
}

fn pem(spki: &[u8]) -> String {
    der::pem::encode_string("PUBLIC KEY", der::pem::LineEnding::LF, spki).unwrap()
}

fn checkquote(folder: &Path, key: &LoadedKey, attest: &[u8], signature: &[u8], nonce: &str) -> bool {
    std::fs::write(folder.join("key.pem"), pem(&key.public().spki_der().unwrap())).unwrap();
    std::fs::write(folder.join("attest"), attest).unwrap();
    std::fs::write(folder.join("signature"), signature).unwrap();
    let output = Command::new("tpm2_checkquote")
        .args(["-u", "key.pem", "-m", "attest", "-s", "signature", "-g", "sha256", "-q", nonce])
        .env("TPM2TOOLS_TCTI", "none")
        .current_dir(folder)
        .output()
        .expect("tpm2_checkquote (Debian: apt install tpm2-tools)");
    output.status.success()
}

#[test]
fn we_and_checkquote_accept_and_refuse_the_same_quotes() {
    let (_folder, mut tpm) = software_tpm();
    let folder = tempfile::tempdir().unwrap();
    let selection = PcrSelection::sha256(&[0, 7, 13]).unwrap();
    let nonce = [0xab; 16];
    for key in keys(&mut tpm) {
        let quoted = tpm.quote(&key, &nonce, &selection).unwrap();
        let mut other_nonce = quoted.attest.clone();
        // Magic, type and the signer's name come before the extra data.
        other_nonce[4 + 2 + 2 + 34 + 2] ^= 1;
        let mut other_digest = quoted.attest.clone();
        *other_digest.last_mut().unwrap() ^= 1;
        let mut other_signature = quoted.signature.clone();
        *other_signature.last_mut().unwrap() ^= 1;
        let cases = [
            ("as it is", &quoted.attest, &quoted.signature, "ab".repeat(16), true),
            ("another nonce asked", &quoted.attest, &quoted.signature, "ac".repeat(16), false),
            ("another nonce quoted", &other_nonce, &quoted.signature, "ab".repeat(16), false),
            ("another digest", &other_digest, &quoted.signature, "ab".repeat(16), false),
            ("another signature", &quoted.attest, &other_signature, "ab".repeat(16), false),
        ];
        for (what, attest, signature, asked, expected) in cases {
            assert_eq!(
                checkquote(folder.path(), &key, attest, signature, &asked),
                expected,
                "checkquote: {what}"
            );
            let ours = Attest::parse(attest).is_ok_and(|parsed| {
                let extra: String = parsed.extra_data().iter().map(|byte| format!("{byte:02x}")).collect();
                extra == asked
                    && Signature::parse(signature)
                        .is_ok_and(|s| verify_signature(key.public(), attest, &s).is_ok())
            });
            assert_eq!(ours, expected, "ours: {what}");
        }
    }
}

/// Where we differ on purpose. In 5.4, `tpm2_checkquote` looks at neither the magic nor the type (CVE-2024-29038) nor
/// at what kind of key it was given: a key that signs anything makes quotes that it accepts.
#[test]
fn what_an_ordinary_key_calls_a_quote_convinces_checkquote_and_not_us() {
    let (_folder, mut tpm) = software_tpm();
    let folder = tempfile::tempdir().unwrap();
    let ak = tpm.attestation_key(AkPurpose::Enclave).unwrap();
    let genuine = tpm.quote(&ak, &[0xab; 16], &PcrSelection::sha256(&[0]).unwrap()).unwrap().attest;
    let ordinary = tpm.create_ca_key().unwrap();
    let ordinary = tpm.load_ca_key(&ordinary).unwrap();

    let mut no_magic = genuine.clone();
    no_magic[0] = 0;
    for forged in [genuine, no_magic.clone()] {
        let digest = Sha256::digest(&forged).into();
        let [key] = tpm.entities([&ordinary]).unwrap();
        let by = Authorization::Password(&[]);
        let signature = tpm.execute(&Sign { key, digest: &digest }, &mut [by]).unwrap();
        verify_signature(ordinary.public(), &forged, &signature).unwrap();
        let signature = signature.to_bytes().unwrap();
        assert!(checkquote(folder.path(), &ordinary, &forged, &signature, &"ab".repeat(16)));
    }
    assert_eq!(ordinary.public().check_restricted_signing_key(), Err(AttestationKeyError::NotRestricted));
    assert!(matches!(Attest::parse(&no_magic), Err(AttestError::Magic(_))));
}

/// The other way round: 5.4 checks RSA signatures only by PKCS #1 v1.5, so for RSAPSS the witness is OpenSSL.
#[test]
fn an_rsapss_quote_is_good_for_us_and_openssl_and_unknown_to_checkquote() {
    let (_folder, mut tpm) = software_tpm();
    let folder = tempfile::tempdir().unwrap();
    let key = rsa_key(&mut tpm, Scheme::Rsapss(HashAlgorithm::Sha256));
    let quoted = tpm.quote(&key, &[0xab; 16], &PcrSelection::sha256(&[0]).unwrap()).unwrap();
    let signature = Signature::parse(&quoted.signature).unwrap();
    verify_signature(key.public(), &quoted.attest, &signature).unwrap();
    assert!(!checkquote(folder.path(), &key, &quoted.attest, &quoted.signature, &"ab".repeat(16)));

    let Signature::Rsapss(value) = signature else { panic!("RSAPSS") };
    std::fs::write(folder.path().join("value"), value).unwrap();
    let output = Command::new("openssl")
        .args([
            "dgst",
            "-sha256",
            "-sigopt",
            "rsa_padding_mode:pss",
            "-verify",
            "key.pem",
            "-signature",
            "value",
        ])
        .arg("attest")
        .current_dir(folder.path())
        .output()
        .expect("openssl");
    assert!(output.status.success(), "{output:?}");
}
