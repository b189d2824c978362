//! Reference values: a publisher's record counts, the gateway's word does not.

use api::apps::{App, RECORD_TYP};
use appraisal::Source;
use attested_tls::LocalKey;
use client::{Memory, ReferenceError, vouch};
use forge::NOW;
use names::Digest;
use pki::SigningKey;
use pki::jws::{self, KeyHint};
use workload::{AppName, Manifest, VersionRecord};

struct Publisher {
    key: LocalKey,
    certificate: pki::Certificate,
}

impl Publisher {
    fn new() -> Self {
        let key = LocalKey::generate().unwrap();
        let profile = pki::profile::User { common_name: "publisher" };
        let validity = pki::Validity::starting(NOW, 3600);
        let certificate = profile.issue(&key, validity, pki::Serial::from_random([1; 16])).unwrap();
        Self { key, certificate }
    }

    fn hash(&self) -> Digest {
        Digest::of(self.key.public_key_spki())
    }

    fn sign(&self, typ: &str, record: &VersionRecord) -> String {
        let chain = KeyHint::Chain(vec![self.certificate.der().to_vec()]);
        jws::sign(typ, &chain, record, &self.key).unwrap()
    }
}

fn manifest() -> Manifest {
    let entry = workload::Entry::File {
        path: "/hello".parse().unwrap(),
        executable: true,
        size: 1,
        sha256: Digest::of(b"x"),
    };
    let parts = workload::ManifestParts {
        command: "/hello".parse().unwrap(),
        args: vec![],
        env: Default::default(),
        endpoint: workload::Endpoint::Port(8080),
        entries: vec![entry],
        writable: vec![],
        resources: Default::default(),
    };
    Manifest::try_from(parts).unwrap()
}

fn name() -> AppName {
    "hello".parse().unwrap()
}

fn record() -> VersionRecord {
    VersionRecord {
        name: name(),
        version: "1.0".parse().unwrap(),
        digest: manifest().digest(),
        issued_at: NOW,
    }
}

fn app(record: &VersionRecord, signed: String) -> App {
    let (version, digest) = (record.version.clone(), record.digest);
    App { name: record.name.clone(), version, digest, record: signed, manifest: manifest() }
}

#[test]
fn the_first_publisher_is_kept_and_said_to_be_only_the_first() {
    let (mut memory, publisher) = (Memory::default(), Publisher::new());
    let signed = publisher.sign(RECORD_TYP, &record());
    let vouched = vouch(&mut memory, &name(), &app(&record(), signed)).unwrap();
    assert_eq!(vouched.reference.digest, manifest().digest());
    assert_eq!(vouched.reference.source, Source::FirstUse);
    assert_eq!(vouched.publisher, publisher.hash());
}

#[test]
fn another_publisher_is_refused() {
    let mut memory = Memory::default();
    let one = Publisher::new().sign(RECORD_TYP, &record());
    vouch(&mut memory, &name(), &app(&record(), one)).unwrap();
    let other = Publisher::new().sign(RECORD_TYP, &record());
    let error = vouch(&mut memory, &name(), &app(&record(), other)).unwrap_err();
    assert_eq!(error.code(), "publisher_other");
}

#[test]
fn what_the_user_published_counts_as_the_users_word() {
    let (mut memory, publisher) = (Memory::default(), Publisher::new());
    memory.published(name(), "1.0".parse().unwrap(), manifest().digest(), publisher.hash());
    let signed = publisher.sign(RECORD_TYP, &record());
    let vouched = vouch(&mut memory, &name(), &app(&record(), signed)).unwrap();
    assert_eq!(vouched.reference.source, Source::UserFile);
}

#[test]
fn a_record_about_something_else_is_refused() {
    let publisher = Publisher::new();
    let other_name = VersionRecord { name: "other".parse().unwrap(), ..record() };
    let other_version = VersionRecord { version: "2.0".parse().unwrap(), ..record() };
    let other_digest = VersionRecord { digest: Digest::from_bytes([1; 32]), ..record() };
    for signed in [other_name, other_version, other_digest] {
        let shown = app(&record(), publisher.sign(RECORD_TYP, &signed));
        let error = vouch(&mut Memory::default(), &name(), &shown).unwrap_err();
        assert!(matches!(error, ReferenceError::RecordOther { .. }), "{error}");
    }
}

#[test]
fn a_digest_that_is_not_the_manifests_is_refused() {
    let wrong = VersionRecord { digest: Digest::from_bytes([1; 32]), ..record() };
    let shown = app(&wrong, Publisher::new().sign(RECORD_TYP, &wrong));
    let error = vouch(&mut Memory::default(), &name(), &shown).unwrap_err();
    assert_eq!(error.code(), "record_other");
}

#[test]
fn a_record_that_is_not_validly_signed_is_refused_and_nobody_is_remembered() {
    let (publisher, mut memory) = (Publisher::new(), Memory::default());
    let good = publisher.sign(RECORD_TYP, &record());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let others = Publisher::new().sign(RECORD_TYP, &record());
    let (_, other) = others.rsplit_once('.').unwrap();
    for bad in [
        String::new(),
        "a.b.c".to_owned(),
        format!("{signed}.{other}"),
        publisher.sign("sealwright-verdict+jwt", &record()),
        jws::sign(RECORD_TYP, &KeyHint::Id("k".into()), &record(), &publisher.key).unwrap(),
    ] {
        let error = vouch(&mut memory, &name(), &app(&record(), bad)).unwrap_err();
        assert_eq!(error.code(), "record_invalid");
    }
    assert!(memory.publisher(&name()).is_none());
}
