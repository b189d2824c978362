//! Every operation that needs a token, as the API's document lists them (which a test compares with the router), against every wrong token; and every
//! operation on a named thing against somebody else's thing (CVE-2026-27898: one route skipped the owner check).

use attested_tls::LocalKey;
use base64ct::{Base64UrlUnpadded, Encoding};
use futures_util::StreamExt;
use futures_util::stream;
use http::{Method, StatusCode};
use pki::SigningKey;
use pki::jwk::Jwk;
use pki::jws::{self, KeyHint};
use serde_json::{Value, json};

use crate::apps::publish;
use crate::contract::DOCUMENT;
use crate::rig::{Identity, PASSWORD, Rig, Session, json_request, now, rig, trust_domain};
use crate::tokens::{forge, payload};

/// Requests at one time.
const AT_ONCE: usize = 8;

struct Operation {
    method: Method,
    template: String,
    body: Value,
}

impl Operation {
    fn path(&self, fill: impl Fn(&str) -> String) -> String {
        let part = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => fill(name),
            None => part.to_owned(),
        };
        self.template.split('/').map(part).collect::<Vec<_>>().join("/")
    }
}

/// Those that need a token.
fn operations() -> Vec<Operation> {
    let mut operations = Vec::new();
    for (template, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
            if operation["security"] == json!([]) {
                continue;
            }
            let body = operation["requestBody"]["content"]["application/json"]["example"].clone();
            let method = method.to_uppercase().parse().unwrap();
            operations.push(Operation { method, template: template.clone(), body });
        }
    }
    assert!(operations.len() > 20, "{}", operations.len());
    operations
}

fn any(name: &str) -> String {
    match name {
        "digest" => "0".repeat(64),
        "id" => "0".repeat(32),
        _ => "a".into(),
    }
}

fn signed_by(key: &LocalKey, kid: &str, claims: &Value) -> String {
    jws::sign("at+jwt", &KeyHint::Id(kid.into()), claims, key).unwrap()
}

fn unsigned(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    format!("{}.{}.{}", part(header), part(claims), Base64UrlUnpadded::encode_string(signature))
}

/// Wrong tokens, each with its name and the code of its refusal.
fn wrong_tokens(rig: &Rig, session: &Session<'_>) -> Vec<(&'static str, Option<String>, &'static str)> {
    let claims = payload(session.access_token());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims.clone();
        change(&mut claims);
        claims
    };
    let enclave = trust_domain().enclave(&names::EnclaveId::from_bytes([1; 16])).to_string();
    let stranger = LocalKey::generate().unwrap();
    let id = |key: &LocalKey| Jwk::from_spki(key.public_key_spki()).unwrap().id().to_owned();
    let (ours, theirs) = (id(&rig.token_key()), id(&stranger));
    let public = rig.token_key().public_key_spki().to_vec();
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
    let header = |alg: &str| json!({"alg": alg, "typ": "at+jwt", "kid": ours});
    let hs256 = {
        let token = unsigned(&header("HS256"), &claims, &[]);
        let tag = aws_lc_rs::hmac::sign(&secret, token.trim_end_matches('.').as_bytes());
        unsigned(&header("HS256"), &claims, tag.as_ref())
    };
    let expired = with(&|claims| {
        for name in ["iat", "nbf", "exp"] {
            claims[name] = json!(claims[name].as_u64().unwrap() - 700);
        }
    });
    let mallory = json!({"x5t#S256": Base64UrlUnpadded::encode_string(Identity::new("mallory").thumbprint().as_bytes())});
    let token = |claims: &Value| Some(forge(rig, "at+jwt", claims));
    vec![
        ("no token", None, "token_missing"),
        ("nonsense", Some("a.b.c".into()), "token_invalid"),
        ("a refresh token", Some(session.refresh_token().into()), "token_invalid"),
        ("expired", token(&expired), "token_expired"),
        ("audience of an enclave", token(&with(&|claims| claims["aud"] = json!(enclave))), "token_invalid"),
        (
            "no audience",
            token(&with(&|claims| drop(claims.as_object_mut().unwrap().remove("aud")))),
            "token_invalid",
        ),
        ("exp as a string", token(&with(&|claims| claims["exp"] = json!("9999999999"))), "token_invalid"),
        ("nbf in the future", token(&with(&|claims| claims["nbf"] = json!(now() + 3600))), "token_invalid"),
        ("another certificate", token(&with(&|claims| claims["cnf"] = mallory.clone())), "token_invalid"),
        ("wrong type", Some(forge(rig, "JWT", &claims)), "token_invalid"),
        ("wrong key", Some(signed_by(&stranger, &ours, &claims)), "token_invalid"),
        ("unknown key", Some(signed_by(&stranger, &theirs, &claims)), "token_invalid"),
        ("no algorithm", Some(unsigned(&header("none"), &claims, &[])), "token_invalid"),
        ("HS256 with the public key", Some(hs256), "token_invalid"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_operation_takes_a_wrong_token() {
    let rig = rig().await;
    let alice = Identity::new("alice");
    let session = rig.user("alice", Some(&alice)).await;
    let operations = operations();
    let wrong = wrong_tokens(&rig, &session);
    let tries = operations.iter().flat_map(|operation| wrong.iter().map(move |token| (operation, token)));
    stream::iter(tries)
        .for_each_concurrent(AT_ONCE, async |(operation, (name, token, code))| {
            let path = operation.path(any);
            let request = json_request(operation.method.clone(), &path, token.as_deref(), &operation.body);
            let answer = rig.send(Some(&alice), request).await;
            let problem = answer.json();
            assert_eq!(problem["code"], *code, "{} {path}: {name}", operation.method);
        })
        .await;
    // The token that the others were made from is good.
    session.get("/v1/me").await.expect(StatusCode::OK);
}

/// What everybody may see: the catalogue, and content by its digest.
const PUBLIC: [&str; 2] = ["/v1/apps/{name}", "/v1/blobs/{digest}"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_somebody_elses_is_not_there() {
    let rig = rig().await;
    let (alice, bob) = (Identity::new("alice"), Identity::new("bob"));
    let owner = rig.user("alice", Some(&alice)).await;
    let other = rig.user("bob", Some(&bob)).await;
    publish(&owner, "1.0", b"one").await.expect(StatusCode::CREATED);
    owner.post("/v1/enclaves", json!({"name": "notes", "app": "hello"})).await.expect(StatusCode::ACCEPTED);
    owner.stages("notes").await;
    let listed = owner.get("/v1/sessions").await.expect(StatusCode::OK);
    let session = listed["sessions"][0]["id"].as_str().unwrap().to_owned();
    let root = rig.admin("root").await;
    let plan = json!({"code": "a", "terms": {"seats": 2, "enclaves": 1, "entitlements": ["hello"], "duration": 86_400}});
    root.post("/v1/admin/plans", plan).await.expect(StatusCode::CREATED);
    let license = root.post("/v1/admin/licenses", json!({"plan": "a", "holder": "alice"})).await;
    let license = license.expect(StatusCode::CREATED)["id"].as_str().unwrap().to_owned();
    let seen = owner.get(&format!("/v1/licenses/{license}")).await.expect(StatusCode::OK);
    let mut tried = 0;
    for operation in operations() {
        let named = operation.template.contains('{') && !PUBLIC.contains(&operation.template.as_str());
        if !named && !operation.template.starts_with("/v1/admin/") {
            continue;
        }
        let path = operation.path(|name| match name {
            "name" if operation.template.contains("users") => "alice".into(),
            "name" => "notes".into(),
            "id" if operation.template.contains("/licenses/") => license.clone(),
            "id" => session.clone(),
            other => any(other),
        });
        // What changes how an account is opened asks for the password again before it looks at anything.
        let own = operation.template.starts_with("/v1/me/");
        let body = if own { json!({"password": PASSWORD}) } else { operation.body.clone() };
        let answer = other.call(operation.method.clone(), &path, body).await;
        assert_eq!(answer.json()["code"], "not_found", "{} {path}: {:?}", operation.method, answer.body);
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
    assert_eq!(owner.get(&format!("/v1/licenses/{license}")).await.expect(StatusCode::OK), seen);
    assert_eq!(owner.get("/v1/enclaves/notes").await.expect(StatusCode::OK)["state"], "running");
    owner.get("/v1/me").await.expect(StatusCode::OK);
}
