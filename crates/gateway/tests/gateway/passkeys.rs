//! Passkeys over the real gateway, with an authenticator in memory. tests/browser does the same with a real browser.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64ct::{Base64UrlUnpadded, Encoding};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::rig::{Answer, PASSWORD, Rig, Session, now, rig};

/// One passkey as an authenticator keeps it.
struct Authenticator {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    handle: String,
    origin: String,
    counter: u32,
}

fn text(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

fn challenge(answer: &Value) -> &str {
    answer["public_key"]["challenge"].as_str().unwrap()
}

impl Authenticator {
    fn new(rig: &Rig, id: &[u8]) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let origin = format!("https://localhost:{}", rig.address.port());
        Self { key, id: id.to_vec(), handle: String::new(), origin, counter: 0 }
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        [digest(&SHA256, b"localhost").as_ref(), &[flags], &self.counter.to_be_bytes()].concat()
    }

    /// `navigator.credentials.create`
    fn create(&mut self, options: &Value) -> Value {
        self.handle = options["public_key"]["user"]["id"].as_str().unwrap().to_owned();
        let point = self.key.public_key().as_ref();
        let cose =
            [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32], &point[1..33], &[0x22, 0x58, 32], &point[33..]]
                .concat();
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        let data = [&self.data(0x45)[..], &[0; 16], &length, &self.id, &cose].concat();
        let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58";
        let object = [&head[..], &[u8::try_from(data.len()).unwrap()], &data].concat();
        json!({
            "id": text(&self.id), "rawId": text(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(&self.client_data("webauthn.create", challenge(options))),
                "attestationObject": text(&object), "transports": ["internal"],
                "publicKeyAlgorithm": -7, "publicKey": "", "authenticatorData": text(&data),
            },
        })
    }

    /// `navigator.credentials.get`
    fn get(&mut self, options: &Value) -> Value {
        self.counter += 1;
        self.sign(options)
    }

    fn sign(&self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.get", challenge(options));
        let data = self.data(0x05);
        let signed = [&data[..], digest(&SHA256, &client_data).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": text(&self.id), "rawId": text(&self.id), "type": "public-key", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(&client_data), "authenticatorData": text(&data),
                "signature": text(signature.as_ref()), "userHandle": self.handle,
            },
        })
    }
}

async fn registration(session: &Session<'_>) -> Value {
    let proof = json!({"password": PASSWORD});
    session.post("/v1/me/passkeys/challenge", proof).await.expect(StatusCode::OK)
}

async fn add(session: &Session<'_>, authenticator: &mut Authenticator) -> Answer {
    let options = registration(session).await;
    let credential = authenticator.create(&options);
    session.post("/v1/me/passkeys", json!({"name": "laptop", "credential": credential})).await
}

async fn sign_in_options(rig: &Rig) -> Value {
    rig.post("/v1/sessions/passkey-challenge", Value::Null).await.expect(StatusCode::OK)
}

async fn sign_in(rig: &Rig, credential: Value) -> Answer {
    rig.post("/v1/sessions/passkey", json!({"credential": credential})).await
}

async fn log_in(rig: &Rig, name: &str, second_factor: Option<Value>) -> Answer {
    let mut body = json!({"name": name, "password": PASSWORD});
    if let Some(second_factor) = second_factor {
        body["second_factor"] = second_factor;
    }
    rig.post("/v1/sessions", body).await
}

#[tokio::test]
async fn a_passkey_signs_in_without_a_password_and_is_a_second_factor() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let mut laptop = Authenticator::new(&rig, b"laptop");
    let added = add(&alice, &mut laptop).await.expect(StatusCode::CREATED);
    assert_eq!((&added["name"], &added["id"]), (&json!("laptop"), &json!(text(b"laptop"))));
    let credential = laptop.get(&sign_in_options(&rig).await);
    let tokens = sign_in(&rig, credential).await.expect(StatusCode::OK);
    assert_eq!(tokens["user"]["name"], "alice");
    let answer = log_in(&rig, "alice", None).await;
    answer.refused("second_factor_required");
    assert_eq!(answer.json()["factors"], json!(["passkey"]));
    let second = json!({"passkey": laptop.get(&sign_in_options(&rig).await)});
    log_in(&rig, "alice", Some(second)).await.expect(StatusCode::OK);
    let listed = alice.get("/v1/me/factors").await.expect(StatusCode::OK);
    assert!(listed["passkeys"][0]["used_at"].is_u64(), "{listed}");
}

/// What one passkey says must not open another account's door.
#[tokio::test]
async fn a_passkey_is_a_second_factor_of_its_own_account_only() {
    let rig = rig().await;
    let (alice, mallory) = (rig.user("alice", None).await, rig.user("mallory", None).await);
    let (mut hers, mut his) = (Authenticator::new(&rig, b"hers"), Authenticator::new(&rig, b"his"));
    add(&alice, &mut hers).await.expect(StatusCode::CREATED);
    add(&mallory, &mut his).await.expect(StatusCode::CREATED);
    let second = json!({"passkey": his.get(&sign_in_options(&rig).await)});
    log_in(&rig, "alice", Some(second)).await.refused("second_factor_invalid");
    // Its own signature under her handle, and under her id.
    let mut forged = his.get(&sign_in_options(&rig).await);
    forged["response"]["userHandle"] = json!(hers.handle);
    sign_in(&rig, forged).await.refused("passkey_refused");
    let mut forged = his.get(&sign_in_options(&rig).await);
    forged["id"] = json!(text(b"hers"));
    forged["rawId"] = json!(text(b"hers"));
    forged["response"]["userHandle"] = json!(hers.handle);
    sign_in(&rig, forged).await.refused("passkey_refused");
}

/// WebAuthn L3, 7.1, step 26: a credential id belongs to one account.
#[tokio::test]
async fn a_credential_id_is_unique_across_accounts() {
    let rig = rig().await;
    let (alice, mallory) = (rig.user("alice", None).await, rig.user("mallory", None).await);
    let mut hers = Authenticator::new(&rig, b"the same");
    add(&alice, &mut hers).await.expect(StatusCode::CREATED);
    add(&alice, &mut Authenticator::new(&rig, b"the same")).await.refused("passkey_conflict");
    add(&mallory, &mut Authenticator::new(&rig, b"the same")).await.refused("passkey_conflict");
    let credential = hers.get(&sign_in_options(&rig).await);
    assert_eq!(sign_in(&rig, credential).await.expect(StatusCode::OK)["user"]["name"], "alice");
}

/// WebAuthn L3, 7.2, step 22: a counter that does not grow means that there may be a copy.
#[tokio::test]
async fn a_counter_that_does_not_grow_is_refused() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let mut laptop = Authenticator::new(&rig, b"laptop");
    add(&alice, &mut laptop).await.expect(StatusCode::CREATED);
    laptop.counter = 5;
    sign_in(&rig, laptop.sign(&sign_in_options(&rig).await)).await.expect(StatusCode::OK);
    for counter in [5, 4, 0] {
        laptop.counter = counter;
        sign_in(&rig, laptop.sign(&sign_in_options(&rig).await)).await.refused("passkey_refused");
    }
    laptop.counter = 6;
    sign_in(&rig, laptop.sign(&sign_in_options(&rig).await)).await.expect(StatusCode::OK);
    // Those that do not count say always nothing.
    let mut phone = Authenticator::new(&rig, b"phone");
    add(&alice, &mut phone).await.expect(StatusCode::CREATED);
    for _ in 0..2 {
        sign_in(&rig, phone.sign(&sign_in_options(&rig).await)).await.expect(StatusCode::OK);
    }
}

/// A challenge works once, also when many use it at the same time, and only for what it was given for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_a_challenge_works_once() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let mut phone = Authenticator::new(&rig, b"phone");
    let options = registration(&alice).await;
    let credential = phone.create(&options);
    let body = json!({"name": "phone", "credential": credential});
    alice.post("/v1/me/passkeys", body).await.expect(StatusCode::CREATED);
    let again = json!({"name": "phone", "credential": Authenticator::new(&rig, b"other").create(&options)});
    alice.post("/v1/me/passkeys", again).await.refused("invalid_passkey");
    let answer = phone.sign(&sign_in_options(&rig).await);
    let answers = futures_util::future::join_all((0..20).map(|_| sign_in(&rig, answer.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1);
    sign_in(&rig, phone.sign(&registration(&alice).await)).await.refused("passkey_refused");
    let mallory = rig.user("mallory", None).await;
    let stolen = registration(&alice).await;
    let body = json!({"name": "x", "credential": Authenticator::new(&rig, b"x").create(&stolen)});
    mallory.post("/v1/me/passkeys", body).await.refused("invalid_passkey");
    let made_up = json!({"public_key": {"challenge": text(&[7; 56])}});
    sign_in(&rig, phone.sign(&made_up)).await.refused("passkey_refused");
}

/// The challenge takes no name, so it is the same for every name; and it takes no memory (CVE-2026-34052).
#[tokio::test]
async fn a_challenge_tells_nothing_about_accounts() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let before = sign_in_options(&rig).await;
    add(&alice, &mut Authenticator::new(&rig, b"laptop")).await.expect(StatusCode::CREATED);
    let after = sign_in_options(&rig).await;
    let shape = |mut options: Value| {
        options["public_key"]["challenge"] = Value::Null;
        options
    };
    assert_ne!(challenge(&before), challenge(&after));
    assert_eq!(shape(before), shape(after));
}

#[tokio::test]
async fn a_session_alone_adds_and_removes_no_passkey() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    alice.post("/v1/me/passkeys/challenge", json!({})).await.refused("proof_required");
    let mut laptop = Authenticator::new(&rig, b"laptop");
    add(&alice, &mut laptop).await.expect(StatusCode::CREATED);
    let path = format!("/v1/me/passkeys/{}", text(b"laptop"));
    alice.call(Method::DELETE, &path, json!({})).await.refused("proof_required");
    let mallory = rig.user("mallory", None).await;
    let proof = json!({"password": PASSWORD});
    mallory.call(Method::DELETE, &path, proof.clone()).await.refused("not_found");
    alice.call(Method::DELETE, "/v1/me/passkeys/%20", proof.clone()).await.refused("not_found");
    let fresh = json!({"second_factor": {"passkey": laptop.get(&sign_in_options(&rig).await)}});
    alice.call(Method::DELETE, &path, fresh).await.expect(StatusCode::NO_CONTENT);
    log_in(&rig, "alice", None).await.expect(StatusCode::OK);
    sign_in(&rig, laptop.get(&sign_in_options(&rig).await)).await.refused("passkey_refused");
}

#[tokio::test]
async fn what_is_no_passkey_is_refused_with_its_reason() {
    let rig = rig().await;
    let alice = rig.user("alice", None).await;
    let elsewhere = "https://evil.example".to_owned();
    let mut laptop = Authenticator { origin: elsewhere, ..Authenticator::new(&rig, b"laptop") };
    assert!(add(&alice, &mut laptop).await.refused("invalid_passkey").contains("another origin"));
    for name in ["", "  ", "a\u{7}b", &"x".repeat(65)] {
        let credential = Authenticator::new(&rig, b"x").create(&registration(&alice).await);
        let body = json!({"name": name, "credential": credential});
        alice.post("/v1/me/passkeys", body).await.refused("invalid_name");
    }
    let mut credential = Authenticator::new(&rig, b"x").create(&registration(&alice).await);
    credential["response"]["attestationObject"] = json!("not base64url!");
    let body = json!({"name": "x", "credential": credential});
    alice.post("/v1/me/passkeys", body).await.refused("invalid_passkey");
    let mut laptop = Authenticator::new(&rig, b"laptop");
    add(&alice, &mut laptop).await.expect(StatusCode::CREATED);
    let mut other = laptop.get(&sign_in_options(&rig).await);
    other["response"]["signature"] = json!("AAAA");
    sign_in(&rig, other).await.refused("passkey_refused");
    // An old challenge, as if it had been asked for six minutes ago.
    let key = factors::SealingKey::open_or_make(&rig.path("factors.key")).unwrap();
    let old = factors::challenge::make(&key, factors::challenge::Purpose::SignIn, now() - 360).unwrap();
    let old = json!({"public_key": {"challenge": text(&old)}});
    sign_in(&rig, laptop.get(&old)).await.refused("passkey_refused");
}
