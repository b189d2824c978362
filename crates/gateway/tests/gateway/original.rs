//! The original's routes with its field names (portal.md 1.1).

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::apps::publish;
use crate::rig::{Answer, Identity, PASSWORD, Rig, json_request, rig};

async fn log_in(rig: &Rig, identity: Option<&Identity>, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password});
    rig.send(identity, json_request(Method::POST, "/login", None, &body)).await
}

/// One fixed enclave was shared by everybody, and a second login answered an error as its name (portal.md 1.1, defect 3).
#[tokio::test]
async fn each_user_logs_in_to_an_enclave_of_their_own_and_again_to_the_same() {
    let rig = rig().await;
    publish(&rig.user("publisher", None).await, "1.0", b"one").await.expect(StatusCode::CREATED);
    let mut points = Vec::new();
    for name in ["alice", "bob"] {
        let body = json!({"username": name, "password": PASSWORD});
        let answer = rig.post("/signup", body.clone()).await.expect(StatusCode::OK);
        assert_eq!(answer, json!({"success": true, "message": "Signed up successfully"}));
        let again = rig.post("/signup", body).await;
        assert!(again.expect(StatusCode::BAD_REQUEST)["error"].is_string());
        let identity = Identity::new(name);
        let first = log_in(&rig, Some(&identity), name, PASSWORD).await.expect(StatusCode::OK);
        assert_eq!((&first["success"], &first["enclaveName"]), (&json!(true), &json!("hello")));
        let second = log_in(&rig, Some(&identity), name, PASSWORD).await.expect(StatusCode::OK);
        assert_eq!(first["accessPoint"], second["accessPoint"]);
        let other = Identity::new(name);
        log_in(&rig, Some(&other), name, PASSWORD).await.refused("not_the_owner");
        points.push(first["accessPoint"].clone());
    }
    assert_ne!(points[0], points[1]);
    assert_eq!(rig.controller.starts(), 2);
}

/// The original answered a wrong password with 200, and checked it against the first account (portal.md 1.1, defect 1).
#[tokio::test]
async fn a_wrong_password_is_told_in_the_originals_words_and_starts_nothing() {
    let rig = rig().await;
    rig.user("alice", None).await;
    let identity = Identity::new("alice");
    for name in ["alice", "nobody"] {
        let answer = log_in(&rig, Some(&identity), name, "another long password").await;
        assert_eq!(answer.expect(StatusCode::UNAUTHORIZED), json!({"message": "Invalid credentials"}));
    }
    log_in(&rig, None, "alice", PASSWORD).await.refused("certificate_required");
    assert_eq!(rig.controller.starts(), 0);
    for body in [json!({"username": "x"}), json!({"username": "../x", "password": PASSWORD}), Value::Null] {
        assert!(rig.post("/signup", body).await.status.is_client_error());
    }
}
