//! The licence file: the committed vectors, which the second verifier judges too, and that it has one form.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use licensing::{AkName, Dataset, FileError, LicenseFile, VerifyKey};
use names::Digest;
use serde_json::Value;

const VECTORS: &str = include_str!("../../../../testdata/licenses/vectors.json");

struct Vectors {
    whole: Value,
    keys: Vec<VerifyKey>,
}

fn vectors() -> Vectors {
    let whole: Value = serde_json::from_str(VECTORS).unwrap();
    let key = |key: &Value| VerifyKey::from_bytes(names::unhex(key.as_str().unwrap()).unwrap());
    let keys = whole["keys"].as_array().unwrap().iter().map(key).collect();
    Vectors { whole, keys }
}

impl Vectors {
    fn file(&self) -> &str {
        self.whole["cases"][0]["file"].as_str().unwrap()
    }

    fn now(&self) -> u64 {
        self.whole["cases"][0]["now"].as_u64().unwrap()
    }

    fn verify(&self, text: &str, now: u64) -> Result<LicenseFile, FileError> {
        LicenseFile::verify(text, &self.keys, ed25519, now)
    }
}

fn ed25519(key: &VerifyKey, message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(message, signature).is_ok()
}

#[test]
fn both_verifiers_agree_on_the_license_files() {
    let vectors = vectors();
    let mut seen = Vec::new();
    for case in vectors.whole["cases"].as_array().unwrap() {
        let outcome = vectors.verify(case["file"].as_str().unwrap(), case["now"].as_u64().unwrap());
        let outcome = outcome.map_or_else(FileError::code, |_| "ok");
        assert_eq!(outcome, case["expect"].as_str().unwrap(), "{}", case["name"]);
        seen.push(outcome);
    }
    let by_use = [FileError::Node.code(), FileError::Holder.code()];
    assert!(FileError::CODES.iter().all(|code| seen.contains(code) || by_use.contains(code)));
}

#[test]
fn a_file_is_written_as_it_is_read() {
    let vectors = vectors();
    let read = vectors.verify(vectors.file(), vectors.now()).unwrap();
    let dataset = read.dataset().clone();
    assert_eq!(
        licensing::signing_input(&dataset.enc()),
        vectors.whole["signed"].as_str().unwrap().as_bytes()
    );
    let made = Dataset::new(
        &vectors.keys[0],
        dataset.license,
        dataset.plan.clone(),
        dataset.entitlements.iter().rev().cloned(),
        dataset.holder.clone(),
        dataset.node,
        dataset.issued,
        dataset.ttl,
    );
    assert_eq!(made, Ok(dataset));
}

#[test]
fn a_file_is_for_its_node_its_holder_and_its_apps() {
    let vectors = vectors();
    let read = vectors.verify(vectors.file(), vectors.now()).unwrap();
    let node: AkName = crate::NODE.parse().unwrap();
    assert_eq!(read.check_node(&node), Ok(()));
    assert_eq!(read.check_node(&crate::OTHER_NODE.parse().unwrap()), Err(FileError::Node));
    assert_eq!(read.check_holder(&Digest::of(b"owner")), Ok(()));
    assert_eq!(read.check_holder(&Digest::of(b"another")), Err(FileError::Holder));
    assert!(read.covers(&crate::app("hello")) && !read.covers(&crate::app("gpu")));
}

#[test]
fn each_changed_byte_of_a_file_is_noticed() {
    let vectors = vectors();
    for position in 0..vectors.file().len() {
        for bit in 0..7 {
            let mut changed = vectors.file().as_bytes().to_vec();
            changed[position] ^= 1 << bit;
            let changed = String::from_utf8(changed).unwrap();
            assert!(vectors.verify(&changed, vectors.now()).is_err(), "{position}");
        }
    }
}

#[test]
fn a_file_that_no_known_key_signed_is_refused() {
    let vectors = vectors();
    let refused = |keys: &[VerifyKey]| LicenseFile::verify(vectors.file(), keys, ed25519, vectors.now());
    assert_eq!(refused(&[]).unwrap_err(), FileError::Signature);
    assert_eq!(refused(&[VerifyKey::from_bytes([0; 32])]).unwrap_err(), FileError::Signature);
}
