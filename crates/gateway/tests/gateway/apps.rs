//! Blobs and apps.

use std::sync::Arc;

use api::apps::RECORD_TYP;
use http::{Method, StatusCode};
use names::Digest;
use pki::jws::{self, KeyHint};
use serde_json::{Value, json};
use workload::Manifest;

use crate::rig::{Identity, Session, now, rig, rig_with};

pub fn manifest(content: &[u8]) -> Manifest {
    let value = json!({
        "command": "/bin/app", "args": [], "env": {}, "endpoint": {"port": 8080},
        "entries": [
            {"type": "directory", "path": "/bin"},
            {"type": "file", "path": "/bin/app", "executable": true, "size": content.len(), "sha256": Digest::of(content)},
        ],
        "writable": [], "resources": {},
    });
    serde_json::from_value(value).unwrap()
}

fn record(publisher: &Identity, version: &str, digest: Digest, issued_at: u64) -> String {
    let claims = json!({"name": "hello", "version": version, "digest": digest, "issued_at": issued_at});
    let chain = KeyHint::Chain(vec![publisher.certificate.der().to_vec()]);
    jws::sign(RECORD_TYP, &chain, &claims, &publisher.key).unwrap()
}

/// Uploads and publishes version `version` of `hello`, which is one file.
pub async fn publish(session: &Session<'_>, version: &str, content: &[u8]) -> crate::rig::Answer {
    session.put(&format!("/v1/blobs/{}", Digest::of(content)), content).await.expect(StatusCode::NO_CONTENT);
    let manifest = manifest(content);
    let record = record(&Identity::new("publisher"), version, manifest.digest(), now());
    session.post("/v1/apps", json!({"manifest": manifest, "record": record})).await
}

/// Replaced content, as in "End-to-End Encrypted Cloud Storage in the Wild" (ETH Zürich, eprint 2024/1616): a blob is its hash, so
/// nothing can be put in its place.
#[tokio::test]
async fn a_blob_is_stored_when_its_hash_is_right() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let (content, digest) = (b"content".as_slice(), Digest::of(b"content"));
    let ask = json!({"digests": [digest, Digest::of(b"other")]});
    assert_eq!(
        alice.post("/v1/blobs/missing", ask.clone()).await.expect(StatusCode::OK)["missing"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    alice.put(&format!("/v1/blobs/{digest}"), b"contend").await.refused("digest_mismatch");
    assert!(!rig.has_file(&format!("blobs/{digest}")));
    for _ in 0..2 {
        alice.put(&format!("/v1/blobs/{digest}"), content).await.expect(StatusCode::NO_CONTENT);
    }
    assert_eq!(rig.file(&format!("blobs/{digest}")), content);
    assert_eq!(
        alice.post("/v1/blobs/missing", ask).await.expect(StatusCode::OK),
        json!({"missing": [Digest::of(b"other")]})
    );
}

#[tokio::test]
async fn a_blob_larger_than_one_piece_arrives_whole() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let content: Vec<u8> = (0..5_000_000u32).map(|number| number.to_le_bytes()[0]).collect();
    let path = format!("/v1/blobs/{}", Digest::of(&content));
    alice.put(&path, &content).await.expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_blob_has_one_name() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let upper = Digest::of(b"x").to_string().to_uppercase();
    for name in ["00", upper.as_str(), "..%2f..%2fdb.sqlite", "%ff"] {
        alice.put(&format!("/v1/blobs/{name}"), b"x").await.refused("invalid_digest");
    }
}

#[tokio::test]
async fn a_version_is_published_once() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let published = publish(&alice, "1.0", b"one").await.expect(StatusCode::CREATED);
    assert_eq!(published["digest"], json!(manifest(b"one").digest()));
    publish(&alice, "1.0", b"one").await.expect(StatusCode::OK);
    publish(&alice, "1.0", b"two").await.refused("version_conflict");
    publish(&alice, "1.1", b"two").await.expect(StatusCode::CREATED);
    assert_eq!(alice.get("/v1/apps/hello").await.expect(StatusCode::OK)["version"], "1.1");
    let first = alice.get("/v1/apps/hello?version=1.0").await.expect(StatusCode::OK);
    assert_eq!(first["record"], published["record"]);
    assert_eq!(serde_json::from_value::<Manifest>(first["manifest"].clone()).unwrap(), manifest(b"one"));
    let list = alice.get("/v1/apps").await.expect(StatusCode::OK);
    assert_eq!(list["apps"].as_array().unwrap().len(), 2);
    for path in ["/v1/apps/other", "/v1/apps/hello?version=9", "/v1/apps/HELLO", "/v1/apps/%ff"] {
        alice.get(path).await.refused("not_found");
    }
    alice.get("/v1/apps/hello?versoin=1.0").await.refused("malformed");
}

#[tokio::test]
async fn a_name_belongs_to_its_first_publisher() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let bob = rig.user("bob", None).await;
    publish(&alice, "1.0", b"one").await.expect(StatusCode::CREATED);
    publish(&bob, "2.0", b"two").await.refused("name_taken");
    publish(&bob, "1.0", b"one").await.refused("name_taken");
}

#[tokio::test]
async fn files_come_before_the_app() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let manifest = manifest(b"never uploaded");
    let record = record(&Identity::new("publisher"), "1.0", manifest.digest(), now());
    alice.post("/v1/apps", json!({"manifest": manifest, "record": record})).await.refused("blobs_missing");
}

#[tokio::test]
async fn a_record_must_be_signed_for_exactly_this_manifest() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let (publisher, other) = (Identity::new("publisher"), Identity::new("other"));
    let manifest = manifest(b"one");
    let good = record(&publisher, "1.0", manifest.digest(), now());
    let claims = json!({"name": "hello", "version": "1.0", "digest": manifest.digest(), "issued_at": now()});
    let sign = |typ: &str, chain: Vec<&Identity>, key: &Identity, claims: &Value| {
        let chain = chain.iter().map(|identity| identity.certificate.der().to_vec()).collect();
        jws::sign(typ, &KeyHint::Chain(chain), claims, &key.key).unwrap()
    };
    let mut extra = claims.clone();
    extra["admin"] = json!(true);
    let mut flipped = good.clone();
    let last = if flipped.pop() == Some('A') { 'Q' } else { 'A' };
    flipped.push(last);
    for bad in [
        record(&publisher, "1.0", Digest::of(b"another"), now()),
        record(&publisher, "1.0", manifest.digest(), now() + 3600),
        record(&publisher, "../1.0", manifest.digest(), now()),
        sign("JWT", vec![&publisher], &publisher, &claims),
        sign(RECORD_TYP, vec![&publisher], &other, &claims),
        sign(RECORD_TYP, vec![&publisher, &other], &publisher, &claims),
        sign(RECORD_TYP, vec![&publisher], &publisher, &extra),
        jws::sign(RECORD_TYP, &KeyHint::Id("x".into()), &claims, &publisher.key).unwrap(),
        flipped,
        String::new(),
        "a.b.c".into(),
    ] {
        alice.post("/v1/apps", json!({"manifest": manifest, "record": bad})).await.refused("invalid_record");
    }
}

#[tokio::test]
async fn a_manifest_that_breaks_a_rule_is_malformed() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    for (pointer, value) in [
        ("/command", json!("/bin/other")),
        ("/endpoint", json!({"port": 0})),
        ("/entries/1/path", json!("/bin/../app")),
        ("/surprise", json!(1)),
    ] {
        let mut broken = serde_json::to_value(manifest(b"one")).unwrap();
        match broken.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => broken["surprise"] = value,
        }
        alice
            .call(Method::POST, "/v1/apps", json!({"manifest": broken, "record": "a.b.c"}))
            .await
            .refused("malformed");
    }
}

/// Many uploads of one blob at once leave one whole file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_uploads_of_one_blob_agree() {
    let rig = Arc::new(rig().await);
    let alice = rig.user("alice", None).await;
    let content = vec![7u8; 300_000];
    let path = format!("/v1/blobs/{}", Digest::of(&content));
    let answers = futures_util::future::join_all((0..8).map(|_| alice.put(&path, &content))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::NO_CONTENT));
    assert_eq!(rig.file(path.trim_start_matches("/v1/")), content);
}

/// What one user stores is bounded, whoever says how large it is, and what is there already costs nothing twice.
#[tokio::test]
async fn a_user_stores_no_more_than_the_quota() {
    let rig = rig_with(|config| config.settings.lives.stored_bytes = 100).await;
    let alice = rig.user("alice", None).await;
    let bob = rig.user("bob", None).await;
    let path = |content: &[u8]| format!("/v1/blobs/{}", Digest::of(content));
    let (first, second, third) = ([1u8; 60], [2u8; 41], [3u8; 40]);
    for _ in 0..2 {
        alice.put(&path(&first), &first).await.expect(StatusCode::NO_CONTENT);
    }
    alice.put(&path(&second), &second).await.refused("storage_quota_exceeded");
    assert!(!rig.has_file(&format!("blobs/{}", Digest::of(&second))));
    // A body under a wrong name uses nothing up.
    alice.put(&path(b"other"), &third).await.refused("digest_mismatch");
    alice.put(&path(&third), &third).await.expect(StatusCode::NO_CONTENT);
    alice.put(&path(b"x"), b"x").await.refused("storage_quota_exceeded");
    bob.put(&path(&second), &second).await.expect(StatusCode::NO_CONTENT);
}

/// Files that no version has go after a time and are nobody's any more; those of a version stay.
#[tokio::test]
async fn files_that_no_version_has_are_removed_and_their_room_is_free_again() {
    let rig = rig_with(|config| {
        config.settings.lives.unused_files = 1;
        config.settings.lives.stored_bytes = 100;
    })
    .await;
    let alice = rig.user("alice", None).await;
    publish(&alice, "1.0", &[1; 40]).await.expect(StatusCode::CREATED);
    let unused = [2u8; 60];
    let path = format!("/v1/blobs/{}", Digest::of(&unused));
    alice.put(&path, &unused).await.expect(StatusCode::NO_CONTENT);
    // Half done when a former run was killed: booked, and not there; set aside, and not removed.
    let user = rig.store.user_by_name("alice").await.unwrap().unwrap().id;
    let (booked, aside) = (Digest::of(b"booked"), Digest::of(b"aside"));
    std::fs::write(rig.path(&format!("blobs/.aside-{aside}")), b"aside").unwrap();
    let kept = format!("blobs/{}", Digest::of(&[1; 40]));
    rig.until("unused files removed", async || {
        let left = [Digest::of(&unused), aside].map(|digest| rig.has_file(&format!("blobs/{digest}")));
        let set_aside = rig.has_file(&format!("blobs/.aside-{aside}"));
        left == [false; 2] && !set_aside && rig.store.stored_by(&user, &booked).await.unwrap() == 40
    })
    .await;
    rig.store.book_blob(&user, &booked, 60, 100, now() - 5).await.unwrap();
    rig.until("a booking without a file forgotten", async || {
        rig.store.stored_by(&user, &Digest::of(b"none")).await.unwrap() == 40
    })
    .await;
    assert!(rig.has_file(&kept));
    alice.put(&path, &unused).await.expect(StatusCode::NO_CONTENT);
}
