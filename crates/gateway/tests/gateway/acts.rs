//! What is done to licences and factors, as the audit log tells it, and what a licence allows to start.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::licenses::{admin, alice, create, issue, refused_because, terms};
use crate::rig::{Identity, PASSWORD, Session, rig, rig_with_licenses};
use crate::second_factors::{add_app, recovery_codes};

/// Actions in the audit log that this session sees, the oldest first.
async fn actions(session: &Session<'_>, path: &str, prefixes: &[&str]) -> Vec<String> {
    let log = session.get(&format!("{path}?limit=100")).await.expect(StatusCode::OK);
    let mut actions: Vec<String> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap().to_owned())
        .filter(|action| prefixes.iter().any(|prefix| action.starts_with(prefix)))
        .collect();
    actions.reverse();
    actions
}

#[tokio::test]
async fn what_is_done_to_plans_and_licenses_is_in_the_audit_log_and_refusals_are_not() {
    let rig = rig().await;
    let (admin, alice) = (admin(&rig).await, alice(&rig).await);
    let (manage, license) = issue(&admin, terms()).await;
    let put = async |path: String| admin.call(Method::PUT, &path, Value::Null).await.expect(StatusCode::OK);
    for act in ["suspend", "suspend", "reinstate", "renew"] {
        admin.post(&format!("{manage}/{act}"), Value::Null).await.expect(StatusCode::OK);
    }
    put(format!("{manage}/entitlements/notes")).await;
    alice.post(&format!("{license}/checkout"), json!({})).await.expect(StatusCode::OK);
    alice.post(&format!("{manage}/revoke"), Value::Null).await.refused("not_found");
    admin.post(&format!("{manage}/revoke"), Value::Null).await.expect(StatusCode::OK);
    admin.post(&format!("{manage}/suspend"), Value::Null).await.refused("license_state");
    admin.post("/v1/admin/plans/team/retire", Value::Null).await.expect(StatusCode::OK);
    admin.call(Method::DELETE, "/v1/admin/license-keys/current", Value::Null).await.expect(StatusCode::OK);
    assert_eq!(
        actions(&admin, "/v1/admin/audit", &["plan.", "license"]).await,
        [
            "plan.create",
            "license.issue",
            "license.suspend",
            "license.reinstate",
            "license.renew",
            "license.entitlement.attach",
            "license.checkout",
            "license.revoke",
            "plan.retire",
            "license-key.rotate",
        ]
    );
    let entries = rig.store.audit_after(0, 1000).await.unwrap();
    assert_eq!(audit::verify(store::Head::START, &entries), Ok(rig.store.audit_head().await.unwrap()));
}

#[tokio::test]
async fn what_is_done_to_second_factors_is_in_the_audit_log() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    add_app(&alice).await;
    recovery_codes(&alice).await;
    let proof = json!({"password": PASSWORD});
    alice.call(Method::DELETE, "/v1/me/totp", proof.clone()).await.expect(StatusCode::NO_CONTENT);
    alice.call(Method::DELETE, "/v1/me/totp", proof).await.refused("not_found");
    assert_eq!(
        actions(&alice, "/v1/audit", &["totp.", "recovery", "passkey."]).await,
        ["totp.add", "recovery-codes.renew", "totp.remove"]
    );
}

/// A licence names the apps that it covers; nothing else starts on it, and neither does anything of somebody without a seat.
#[tokio::test]
async fn a_license_starts_the_apps_that_it_covers_for_those_who_have_a_seat() {
    let rig = rig_with_licenses().await;
    let (admin, alice) = (admin(&rig).await, alice(&rig).await);
    let (manage, _) = issue(&admin, json!({"seats": 2, "enclaves": 3, "entitlements": ["notes"]})).await;
    let call = async |method: Method, rest: &str| {
        admin.call(method, &format!("{manage}/{rest}"), Value::Null).await.expect(StatusCode::OK)
    };
    refused_because(&create(&alice, "notes").await, "ENTITLEMENTS_MISSING");
    call(Method::PUT, "entitlements/hello").await;
    create(&alice, "notes").await.expect(StatusCode::ACCEPTED);
    let bob = rig.user("bob", Some(&Identity::new("bob"))).await;
    refused_because(&create(&bob, "notes").await, "NOT_FOUND");
    call(Method::PUT, "users/bob").await;
    create(&bob, "notes").await.expect(StatusCode::ACCEPTED);
    bob.stages("notes").await;
    bob.post("/v1/enclaves/notes/stop", Value::Null).await.expect(StatusCode::OK);
    call(Method::DELETE, "users/bob").await;
    refused_because(&bob.post("/v1/enclaves/notes/start", Value::Null).await, "NOT_FOUND");
}
