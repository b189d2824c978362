//! Licences over the real gateway: what admins do, what holders see, what a start is refused with, and files that verify offline.

use std::os::unix::fs::PermissionsExt;

use attested_tls::verify_ed25519;
use base64ct::{Base64UrlUnpadded, Encoding};
use http::{Method, StatusCode};
use licensing::{FileError, LicenseFile, VerifyKey};
use serde_json::{Value, json};

use crate::apps::publish;
use crate::rig::{Answer, Identity, Rig, Session, now, rig, rig_with_licenses};

const NODE: &str = "000b1111111111111111111111111111111111111111111111111111111111111111";
const OTHER: &str = "000b2222222222222222222222222222222222222222222222222222222222222222";

pub async fn admin(rig: &Rig) -> Session<'_> {
    rig.admin("root").await
}

pub async fn alice(rig: &Rig) -> Session<'_> {
    let session = rig.user("alice", Some(&Identity::new("alice"))).await;
    publish(&session, "1.0", b"one").await.expect(StatusCode::CREATED);
    session
}

pub fn terms() -> Value {
    json!({"seats": 2, "enclaves": 1, "entitlements": ["hello"], "duration": 30 * 86_400})
}

/// Issues a licence to alice and says its path for admins and for users.
pub async fn issue(admin: &Session<'_>, terms: Value) -> (String, String) {
    admin.post("/v1/admin/plans", json!({"code": "team", "terms": terms})).await.expect(StatusCode::CREATED);
    let request = json!({"plan": "team", "holder": "alice"});
    let license = admin.post("/v1/admin/licenses", request).await.expect(StatusCode::CREATED);
    let id = license["id"].as_str().unwrap();
    (format!("/v1/admin/licenses/{id}"), format!("/v1/licenses/{id}"))
}

pub async fn create(session: &Session<'_>, name: &str) -> Answer {
    session.post("/v1/enclaves", json!({"name": name, "app": "hello"})).await
}

async fn code(session: &Session<'_>, license: &str, scope: Value) -> String {
    let answer = session.post(&format!("{license}/validate"), scope).await.expect(StatusCode::OK);
    assert_eq!(answer["valid"] == true, answer["code"] == "VALID");
    answer["code"].as_str().unwrap().to_owned()
}

#[track_caller]
pub fn refused_because(answer: &Answer, validation: &str) {
    answer.refused("license_refused");
    assert_eq!(answer.json()["validation"], validation);
}

#[tokio::test]
async fn where_licenses_are_required_nothing_starts_without_one() {
    let rig = rig_with_licenses().await;
    let (admin, alice) = (admin(&rig).await, alice(&rig).await);
    refused_because(&create(&alice, "notes").await, "NOT_FOUND");
    let (manage, license) = issue(&admin, terms()).await;
    create(&alice, "notes").await.expect(StatusCode::ACCEPTED);
    refused_because(&create(&alice, "more").await, "TOO_MANY_ENCLAVES");
    let seen = alice.get(&license).await.expect(StatusCode::OK);
    assert_eq!((&seen["status"], &seen["enclaves_used"]), (&json!("ACTIVE"), &json!(1)));
    assert_eq!(admin.get(&manage).await.expect(StatusCode::OK)["id"], seen["id"]);
    alice.stages("notes").await;
    alice.post("/v1/enclaves/notes/stop", Value::Null).await.expect(StatusCode::OK);
    admin.post(&format!("{manage}/suspend"), Value::Null).await.expect(StatusCode::OK);
    refused_because(&alice.post("/v1/enclaves/notes/start", Value::Null).await, "SUSPENDED");
    admin.post(&format!("{manage}/reinstate"), Value::Null).await.expect(StatusCode::OK);
    alice.post("/v1/enclaves/notes/start", Value::Null).await.expect(StatusCode::ACCEPTED);
}

#[tokio::test]
async fn without_the_rule_the_quota_is_all() {
    let rig = rig().await;
    let alice = alice(&rig).await;
    create(&alice, "notes").await.expect(StatusCode::ACCEPTED);
}

/// A route of an admin is not there for anybody else (CVE-2024-41942), and neither is a licence of somebody else (CVE-2026-27898).
#[tokio::test]
async fn what_is_not_ones_own_is_not_there() {
    let rig = rig().await;
    let (admin, alice) = (admin(&rig).await, alice(&rig).await);
    let (manage, license) = issue(&admin, terms()).await;
    let bob = rig.user("bob", Some(&Identity::new("bob"))).await;
    let foreign = [
        (Method::GET, license.clone(), Value::Null),
        (Method::GET, format!("{license}/events"), Value::Null),
        (Method::POST, format!("{license}/validate"), json!({})),
        (Method::POST, format!("{license}/check-in"), Value::Null),
        (Method::POST, format!("{license}/checkout"), json!({})),
        (Method::POST, format!("{license}/heartbeat"), json!({"enclave": "notes"})),
        (Method::GET, "/v1/licenses/nothing".into(), Value::Null),
    ];
    for (method, path, body) in foreign {
        bob.call(method, &path, body).await.refused("not_found");
    }
    assert_eq!(bob.get("/v1/licenses").await.expect(StatusCode::OK)["licenses"], json!([]));
    let plan = json!({"code": "mine", "terms": terms()});
    let grant = json!({"plan": "team", "holder": "bob"});
    let admins = [
        (Method::POST, "/v1/admin/plans".into(), plan),
        (Method::GET, "/v1/admin/plans".into(), Value::Null),
        (Method::GET, "/v1/admin/plans/team".into(), Value::Null),
        (Method::POST, "/v1/admin/plans/team/retire".into(), Value::Null),
        (Method::POST, "/v1/admin/licenses".into(), grant),
        (Method::GET, "/v1/admin/licenses".into(), Value::Null),
        (Method::GET, manage.clone(), Value::Null),
        (Method::GET, format!("{manage}/events"), Value::Null),
        (Method::POST, format!("{manage}/suspend"), Value::Null),
        (Method::POST, format!("{manage}/reinstate"), Value::Null),
        (Method::POST, format!("{manage}/renew"), Value::Null),
        (Method::POST, format!("{manage}/revoke"), Value::Null),
        (Method::PUT, format!("{manage}/node"), json!({"node": NODE})),
        (Method::DELETE, format!("{manage}/node"), Value::Null),
        (Method::PUT, format!("{manage}/users/bob"), Value::Null),
        (Method::DELETE, format!("{manage}/users/alice"), Value::Null),
        (Method::PUT, format!("{manage}/entitlements/notes"), Value::Null),
        (Method::DELETE, format!("{manage}/entitlements/notes"), Value::Null),
        (Method::DELETE, "/v1/admin/license-keys/current".into(), Value::Null),
    ];
    for (method, path, body) in admins {
        for session in [&alice, &bob] {
            session.call(method.clone(), &path, body.clone()).await.refused("not_found");
        }
    }
    let seen = alice.get(&license).await.expect(StatusCode::OK);
    assert_eq!((&seen["status"], &seen["seats_used"]), (&json!("ACTIVE"), &json!(1)));
}

#[tokio::test]
async fn a_validation_says_what_an_admin_did() {
    let rig = rig().await;
    let (admin, alice) = (admin(&rig).await, alice(&rig).await);
    let (manage, license) = issue(&admin, terms()).await;
    assert_eq!(code(&alice, &license, json!({"entitlements": ["hello"], "plan": "team"})).await, "VALID");
    assert_eq!(code(&alice, &license, json!({"entitlements": ["notes"]})).await, "ENTITLEMENTS_MISSING");
    admin
        .call(Method::PUT, &format!("{manage}/entitlements/notes"), Value::Null)
        .await
        .expect(StatusCode::OK);
    assert_eq!(code(&alice, &license, json!({"entitlements": ["notes"]})).await, "VALID");
    admin
        .call(Method::DELETE, &format!("{manage}/entitlements/notes"), Value::Null)
        .await
        .expect(StatusCode::OK);
    assert_eq!(code(&alice, &license, json!({"entitlements": ["notes"]})).await, "ENTITLEMENTS_MISSING");
    admin.call(Method::PUT, &format!("{manage}/node"), json!({"node": NODE})).await.expect(StatusCode::OK);
    assert_eq!(code(&alice, &license, json!({})).await, "FINGERPRINT_SCOPE_REQUIRED");
    assert_eq!(code(&alice, &license, json!({"node": OTHER})).await, "FINGERPRINT_SCOPE_MISMATCH");
    assert_eq!(code(&alice, &license, json!({"node": NODE})).await, "VALID");
    admin.call(Method::DELETE, &format!("{manage}/node"), Value::Null).await.expect(StatusCode::OK);
    admin.post(&format!("{manage}/suspend"), Value::Null).await.expect(StatusCode::OK);
    assert_eq!(code(&alice, &license, json!({})).await, "SUSPENDED");
    admin.post(&format!("{manage}/reinstate"), Value::Null).await.expect(StatusCode::OK);
    assert_eq!(code(&alice, &license, json!({})).await, "VALID");
    let before = alice.get(&license).await.json()["expires_at"].as_u64().unwrap();
    let renewed = admin.post(&format!("{manage}/renew"), Value::Null).await.expect(StatusCode::OK);
    assert_eq!(renewed["expires_at"], before + 30 * 86_400);
    alice.post(&format!("{license}/check-in"), Value::Null).await.expect(StatusCode::OK);
    admin.post(&format!("{manage}/revoke"), Value::Null).await.expect(StatusCode::OK);
    assert_eq!(code(&alice, &license, json!({})).await, "REVOKED");
    admin.post(&format!("{manage}/reinstate"), Value::Null).await.refused("license_state");
    let events = alice.get(&format!("{license}/events?limit=3")).await.expect(StatusCode::OK);
    assert_eq!(events["events"][0]["event"], "license.created");
    let cursor = events["next_cursor"].as_str().unwrap();
    let more = alice.get(&format!("{license}/events?cursor={cursor}")).await.expect(StatusCode::OK);
    assert_eq!(more["events"].as_array().unwrap().last().unwrap()["event"], "license.revoked");
    let all = admin.get(&format!("{manage}/events")).await.expect(StatusCode::OK);
    assert_eq!(all["events"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn seats_are_given_up_to_the_plan_and_hidden_from_each_other() {
    let rig = rig().await;
    let (admin, alice) = (admin(&rig).await, alice(&rig).await);
    let (manage, license) = issue(&admin, terms()).await;
    let bob = rig.user("bob", None).await;
    rig.user("carol", None).await;
    let seat = |name: &str| format!("{manage}/users/{name}");
    admin.call(Method::PUT, &seat("bob"), Value::Null).await.expect(StatusCode::OK);
    refused_because(&admin.call(Method::PUT, &seat("carol"), Value::Null).await, "TOO_MANY_USERS");
    admin.call(Method::PUT, &seat("nobody"), Value::Null).await.refused("not_found");
    assert_eq!(bob.get(&license).await.json()["users"], json!([bob.user_id()]));
    assert_eq!(alice.get(&license).await.json()["users"].as_array().unwrap().len(), 2);
    bob.get(&format!("{license}/events")).await.refused("not_found");
    admin.call(Method::DELETE, &seat("bob"), Value::Null).await.expect(StatusCode::OK);
    bob.get(&license).await.refused("not_found");
}

#[tokio::test]
async fn plans_never_change_and_retire() {
    let rig = rig().await;
    let (admin, _alice) = (admin(&rig).await, alice(&rig).await);
    let plan = json!({"code": "team", "terms": terms()});
    let made = admin.post("/v1/admin/plans", plan.clone()).await.expect(StatusCode::CREATED);
    assert_eq!(made["terms"]["expiration"], "RESTRICT_ACCESS");
    admin.post("/v1/admin/plans", plan).await.refused("name_taken");
    let mut bad = terms();
    bad["seats"] = json!(0);
    admin.post("/v1/admin/plans", json!({"code": "bad", "terms": bad})).await.refused("invalid_terms");
    admin.get("/v1/admin/plans/none").await.refused("not_found");
    assert_eq!(admin.get("/v1/admin/plans/team").await.expect(StatusCode::OK), made);
    assert_eq!(admin.get("/v1/admin/plans").await.expect(StatusCode::OK)["plans"], json!([made]));
    admin.post("/v1/admin/plans/team/retire", Value::Null).await.expect(StatusCode::OK);
    let request = json!({"plan": "team", "holder": "alice"});
    admin.post("/v1/admin/licenses", request).await.refused("license_state");
    admin.post("/v1/admin/licenses", json!({"plan": "none", "holder": "alice"})).await.refused("not_found");
    admin.post("/v1/admin/licenses", json!({"plan": "team", "holder": "none"})).await.refused("not_found");
    assert_eq!(admin.get("/v1/admin/licenses").await.expect(StatusCode::OK)["licenses"], json!([]));
}

async fn keys(rig: &Rig) -> Vec<VerifyKey> {
    let answer = rig.send(None, crate::rig::get("/.well-known/license-keys.json", None)).await;
    let keys = answer.expect(StatusCode::OK);
    let key = |key: &Value| {
        let bytes = Base64UrlUnpadded::decode_vec(key["x"].as_str().unwrap()).unwrap();
        let known = VerifyKey::from_bytes(bytes.try_into().unwrap());
        assert_eq!(known.id(), key["kid"].as_str().unwrap());
        known
    };
    keys["keys"].as_array().unwrap().iter().map(key).collect()
}

fn verify(file: &Value, keys: &[VerifyKey], now: u64) -> Result<LicenseFile, FileError> {
    let ed25519 = |key: &VerifyKey, message: &[u8], signature: &[u8; 64]| {
        verify_ed25519(key.as_bytes(), message, signature)
    };
    LicenseFile::verify(file["file"].as_str().unwrap(), keys, ed25519, now)
}

#[tokio::test]
async fn a_license_file_verifies_offline_for_its_node_and_key_until_it_ends() {
    let rig = rig().await;
    let (admin, alice) = (admin(&rig).await, alice(&rig).await);
    let (manage, license) = issue(&admin, terms()).await;
    let check_out = format!("{license}/checkout");
    for ttl in [0, 3599, 31 * 86_400 + 1] {
        alice.post(&check_out, json!({"ttl": ttl})).await.refused("malformed");
    }
    let file = alice.post(&check_out, json!({"ttl": 3600, "node": NODE})).await.expect(StatusCode::OK);
    let keys_before = keys(&rig).await;
    let read = verify(&file, &keys_before, now()).unwrap();
    assert_eq!(read.check_node(&NODE.parse().unwrap()), Ok(()));
    assert_eq!(read.check_node(&OTHER.parse().unwrap()), Err(FileError::Node));
    assert_eq!(read.check_holder(&alice.identity.as_ref().unwrap().owner()), Ok(()));
    assert_eq!(
        verify(&file, &keys_before, file["expiry"].as_u64().unwrap()).unwrap_err(),
        FileError::Expired
    );
    // A file never outlasts a licence whose expiry takes access away.
    let long = alice.post(&check_out, json!({"ttl": 31 * 86_400})).await.expect(StatusCode::OK);
    assert_eq!(long["expiry"], alice.get(&license).await.json()["ends_at"]);
    admin.call(Method::PUT, &format!("{manage}/node"), json!({"node": NODE})).await.expect(StatusCode::OK);
    refused_because(&alice.post(&check_out, json!({"node": OTHER})).await, "FINGERPRINT_SCOPE_MISMATCH");
    let locked = alice.post(&check_out, json!({})).await.expect(StatusCode::OK);
    assert!(verify(&locked, &keys_before, now()).unwrap().dataset().node.is_some());
    admin.post(&format!("{manage}/suspend"), Value::Null).await.expect(StatusCode::OK);
    refused_because(&alice.post(&check_out, json!({})).await, "SUSPENDED");
}

#[tokio::test]
async fn a_license_file_needs_a_client_certificate() {
    let rig = rig().await;
    let (admin, _alice) = (admin(&rig).await, alice(&rig).await);
    let (manage, license) = issue(&admin, terms()).await;
    let bob = rig.user("bob", None).await;
    admin.call(Method::PUT, &format!("{manage}/users/bob"), Value::Null).await.expect(StatusCode::OK);
    bob.post(&format!("{license}/checkout"), json!({})).await.refused("certificate_required");
}

#[tokio::test]
async fn the_key_of_license_files_is_private_outlives_restarts_and_can_be_exchanged() {
    let rig = rig().await;
    let (first, file) = {
        let (admin, alice) = (admin(&rig).await, alice(&rig).await);
        let (_, license) = issue(&admin, terms()).await;
        let first = keys(&rig).await;
        (first, alice.post(&format!("{license}/checkout"), json!({})).await.expect(StatusCode::OK))
    };
    let mode = std::fs::metadata(rig.path("license.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let rig = rig.restart().await;
    assert_eq!(keys(&rig).await, first);
    let before = rig.file("license.key");
    let admin = rig.log_in("root", None).await;
    let exchanged = admin.call(Method::DELETE, "/v1/admin/license-keys/current", Value::Null).await;
    exchanged.expect(StatusCode::OK);
    assert_ne!(rig.file("license.key"), before);
    let both = keys(&rig).await;
    assert_eq!(both.len(), 2);
    assert!(verify(&file, &both, now()).is_ok(), "what the old key signed is in force");
    let new: Vec<VerifyKey> = both.into_iter().filter(|key| !first.contains(key)).collect();
    assert_eq!(verify(&file, &new, now()).unwrap_err(), FileError::Signature);
}

#[tokio::test]
async fn a_ping_keeps_the_lease_of_an_enclave() {
    let rig = rig_with_licenses().await;
    let (admin, alice) = (admin(&rig).await, alice(&rig).await);
    let mut terms = terms();
    terms["heartbeat"] = json!({"interval": 60, "resurrection": "5_MINUTE_REVIVE"});
    let (_, license) = issue(&admin, terms).await;
    create(&alice, "notes").await.expect(StatusCode::ACCEPTED);
    alice.stages("notes").await;
    assert_eq!(code(&alice, &license, json!({"enclave": "notes"})).await, "HEARTBEAT_NOT_STARTED");
    let ping = format!("{license}/heartbeat");
    let alive = alice.post(&ping, json!({"enclave": "notes"})).await.expect(StatusCode::OK);
    assert_eq!(alive["status"], "ALIVE");
    assert!(alive["next_by"].as_u64().unwrap() > now());
    assert_eq!(code(&alice, &license, json!({"enclave": "notes"})).await, "VALID");
    alice.post(&ping, json!({"enclave": "none"})).await.refused("not_found");
    alice.post("/v1/enclaves/notes/stop", Value::Null).await.expect(StatusCode::OK);
    refused_because(&alice.post(&ping, json!({"enclave": "notes"})).await, "ENCLAVE_SCOPE_MISMATCH");
}
