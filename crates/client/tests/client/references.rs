//! Reference values: a publisher's record counts, the gateway's word does not.

use api::apps::{App, RECORD_TYP};
use appraisal::Source;
use attested_tls::LocalKey;
use client::{Memory, ReferenceError, Wanted, vouch};
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
    manifest_of(b"x")
}

fn other_manifest() -> Manifest {
    manifest_of(b"y")
}

fn manifest_of(content: &[u8]) -> Manifest {
    let entry = workload::Entry::File {
        path: "/hello".parse().unwrap(),
        executable: true,
        size: 1,
        sha256: Digest::of(content),
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
    let vouched = vouch(&mut memory, &name(), &app(&record(), signed), Wanted::Newest).unwrap();
    assert_eq!(vouched.reference.digest, manifest().digest());
    assert_eq!(vouched.reference.source, Source::FirstUse);
    assert_eq!(vouched.publisher, publisher.hash());
}

#[test]
fn another_publisher_is_refused() {
    let mut memory = Memory::default();
    let one = Publisher::new().sign(RECORD_TYP, &record());
    vouch(&mut memory, &name(), &app(&record(), one), Wanted::Newest).unwrap();
    let other = Publisher::new().sign(RECORD_TYP, &record());
    let error = vouch(&mut memory, &name(), &app(&record(), other), Wanted::Newest).unwrap_err();
    assert_eq!(error.code(), "publisher_other");
}

#[test]
fn what_the_user_published_counts_as_the_users_word() {
    let (mut memory, publisher) = (Memory::default(), Publisher::new());
    memory.published(name(), "1.0".parse().unwrap(), manifest().digest(), publisher.hash());
    let signed = publisher.sign(RECORD_TYP, &record());
    let vouched = vouch(&mut memory, &name(), &app(&record(), signed), Wanted::Newest).unwrap();
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
        let error = vouch(&mut Memory::default(), &name(), &shown, Wanted::Newest).unwrap_err();
        assert!(matches!(error, ReferenceError::RecordOther { .. }), "{error}");
    }
}

#[test]
fn a_digest_that_is_not_the_manifests_is_refused() {
    let wrong = VersionRecord { digest: Digest::from_bytes([1; 32]), ..record() };
    let shown = app(&wrong, Publisher::new().sign(RECORD_TYP, &wrong));
    let error = vouch(&mut Memory::default(), &name(), &shown, Wanted::Newest).unwrap_err();
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
        let error = vouch(&mut memory, &name(), &app(&record(), bad), Wanted::Newest).unwrap_err();
        assert_eq!(error.code(), "record_invalid");
    }
    assert!(memory.publisher(&name()).is_none());
}

/// Rollback, as in "End-to-End Encrypted Cloud Storage in the Wild" (ETH Zürich, eprint 2024/1616): a server that serves an older
/// genuine state is caught by what the client has seen.
#[test]
fn an_older_version_in_place_of_the_newest_is_refused_and_by_its_name_it_is_not() {
    let (mut memory, publisher) = (Memory::default(), Publisher::new());
    let newer = VersionRecord { version: "2.0".parse().unwrap(), ..record() };
    let older = VersionRecord { issued_at: NOW - 1, ..record() };
    let show = |record: &VersionRecord| app(record, publisher.sign(RECORD_TYP, record));
    vouch(&mut memory, &name(), &show(&newer), Wanted::Newest).unwrap();
    // The same manifest is the same program, however it is called: nothing older is run then.
    vouch(&mut memory, &name(), &show(&older), Wanted::Newest).unwrap();
    let mut other = show(&VersionRecord { version: "1.0".parse().unwrap(), issued_at: NOW - 1, ..record() });
    other.manifest = other_manifest();
    other.digest = other.manifest.digest();
    let signed = VersionRecord { digest: other.digest, ..older };
    other.record = publisher.sign(RECORD_TYP, &signed);
    let refused = vouch(&mut memory, &name(), &other, Wanted::Newest).unwrap_err();
    assert_eq!(refused.code(), "version_older");
    let vouched = vouch(&mut memory, &name(), &other, Wanted::Named).unwrap();
    assert_eq!(vouched.reference.digest, other.digest);
}
