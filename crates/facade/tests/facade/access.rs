//! Who reaches the app: connection, host, owner, token.

use std::sync::Arc;
use std::time::Duration;

use attested_tls::Application::{Http1, Http2};
use attested_tls::LocalKey;
use aws_lc_rs::hmac;
use base64ct::{Base64UrlUnpadded, Encoding};
use pki::SigningKey;
use pki::jwk::Jwk;
use pki::jws::{self, KeyHint};
use pki::token::Confirmation;
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::apps;
use crate::http::{Client, empty, read_to_end};
use crate::world::{Gateway, HOST, Person, USER, World, enclave, now};

async fn world() -> World {
    let tasks = server::Tasks::new();
    World::start(apps::real(&tasks).await).await
}

#[tokio::test]
async fn the_owner_with_a_token_reaches_the_app_over_both_protocols() {
    let world = world().await;
    for application in [Http1, Http2] {
        let mut client = Client::connect(&world, &world.owner, application).await;
        let request = client.request("GET", "/echo", &world.token()).body(empty()).unwrap();
        let (status, seen) = client.json(request).await;
        assert_eq!(status, 200);
        assert_eq!(seen["headers"]["x-sealwright-user"], serde_json::json!([USER]));
        assert_eq!(seen["headers"].get("authorization"), None, "the app never sees the token");
    }
}

#[tokio::test]
async fn every_wrong_token_has_its_code() {
    let world = world().await;
    let (good, other) = (world.gateway.claims(&world.owner), Person::new());
    let sign = |change: &dyn Fn(&mut pki::token::AccessClaims)| {
        let mut claims = good.clone();
        change(&mut claims);
        world.gateway.sign(&claims)
    };
    let elsewhere = "spiffe://sealwright.internal/enclave/ffffffffffffffffffffffffffffffff";
    let token = world.token();
    let (head, signature) = token.rsplit_once('.').unwrap();
    let swapped: String = signature.chars().rev().collect();
    let tampered = format!("{head}.{swapped}");
    let cases = [
        (sign(&|claims| claims.exp = now() - 1), 401, "token_expired"),
        (sign(&|claims| claims.aud = elsewhere.to_owned()), 403, "token_audience"),
        (sign(&|claims| claims.iss = elsewhere.to_owned()), 401, "token_invalid"),
        (sign(&|claims| claims.nbf = now() + 60), 401, "token_invalid"),
        (sign(&|claims| claims.exp = now() + 10_000), 401, "token_invalid"),
        (sign(&|claims| claims.cnf = None), 403, "token_certificate"),
        (
            sign(&|claims| claims.cnf = Some(Confirmation::certificate(&other.certificate.sha256()))),
            403,
            "token_certificate",
        ),
        (Gateway::new().token(&world.owner), 401, "token_invalid"),
        (tampered, 401, "token_invalid"),
        ("not-a-token".to_owned(), 401, "token_invalid"),
    ];
    for application in [Http1, Http2] {
        let mut client = Client::connect(&world, &world.owner, application).await;
        for (token, status, code) in &cases {
            let request = client.request("GET", "/echo", token).body(empty()).unwrap();
            assert_eq!(client.code(request).await, (*status, (*code).to_owned()));
        }
        let request = client.anonymous("GET", "/echo").body(empty()).unwrap();
        assert_eq!(client.code(request).await, (401, "token_missing".to_owned()));
        let request = client.anonymous("GET", "/echo").header("authorization", "Basic YTpi");
        assert_eq!(client.code(request.body(empty()).unwrap()).await, (401, "token_invalid".to_owned()));
    }
}

/// Claims of a good token as JSON, changed.
fn claims(world: &World, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
    let mut claims = serde_json::to_value(world.gateway.claims(&world.owner)).unwrap();
    change(claims.as_object_mut().unwrap());
    claims
}

/// A token with any header; `sign` makes its third part from the first two.
fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| Base64UrlUnpadded::encode_string(value.to_string().as_bytes());
    let input = format!("{}.{}", part(header), part(claims));
    let signature = Base64UrlUnpadded::encode_string(&sign(input.as_bytes()));
    format!("{input}.{signature}")
}

/// RFC 8725, 2.1 and 3.1: `alg` none, and HS256 with the public key as the secret, in every form in which somebody has that key.
#[tokio::test]
async fn a_token_is_signed_by_the_gateways_key_and_by_its_algorithm_only() {
    let world = world().await;
    let public = Jwk::from_spki(world.gateway.key.public_key_spki()).unwrap();
    let good = claims(&world, |_| {});
    let header = |alg: &str| json!({"alg": alg, "typ": "at+jwt", "kid": public.id()});
    let file = std::fs::read(world.path("jwks.json")).unwrap();
    let spki = world.gateway.key.public_key_spki().to_vec();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64ct::Base64::encode_string(&spki)
    );
    let mut refused = Vec::new();
    for alg in ["none", "None", "NONE", ""] {
        refused.push(token(&header(alg), &good, |_| Vec::new()));
        refused.push(token(&header(alg), &good, |_| vec![7; 64]));
    }
    for secret in [spki.clone(), pem.into_bytes(), file, spki[spki.len() - 65..].to_vec(), Vec::new()] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        refused.push(token(&header("HS256"), &good, |input| hmac::sign(&key, input).as_ref().to_vec()));
        refused.push(token(&header("ES256"), &good, |input| hmac::sign(&key, input).as_ref().to_vec()));
    }
    // The right signature under another algorithm's name.
    let signed = |input: &[u8]| {
        let der = world.gateway.key.sign_sha256(input).unwrap();
        pki::ecdsa_der_to_raw(&der).unwrap().to_vec()
    };
    refused
        .extend(["none", "HS256", "ES384", "RS256", "EdDSA"].map(|alg| token(&header(alg), &good, signed)));
    let accepted = token(&header("ES256"), &good, signed);
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    for token in &refused {
        let request = client.request("GET", "/echo", token).body(empty()).unwrap();
        assert_eq!(client.code(request).await, (401, "token_invalid".to_owned()), "{token}");
    }
    let request = client.request("GET", "/echo", &accepted).body(empty()).unwrap();
    assert_eq!(client.code(request).await.0, 200);
}

/// CVE-2026-25537: a time of another JSON type was taken for none. Every claim has its type and has to be there.
#[tokio::test]
async fn a_signed_token_without_a_claim_or_with_one_of_another_type_is_refused() {
    let world = world().await;
    let hint = KeyHint::Id(Jwk::from_spki(world.gateway.key.public_key_spki()).unwrap().id().into());
    let sign = |claims: &Value| jws::sign("at+jwt", &hint, claims, &world.gateway.key).unwrap();
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    let changes = [
        ("exp", json!((now() + 300).to_string())),
        ("exp", json!(null)),
        ("exp", json!([now() + 300])),
        ("exp", json!(now() as f64 + 300.5)),
        ("exp", json!(-1)),
        ("nbf", json!("0")),
        ("iat", json!({})),
        ("aud", json!([enclave().as_str()])),
        ("aud", json!(null)),
        ("sub", json!(7)),
        ("cnf", json!("x")),
    ];
    for (name, value) in changes {
        let token = sign(&claims(&world, |claims| {
            claims.insert(name.into(), value.clone());
        }));
        let request = client.request("GET", "/echo", &token).body(empty()).unwrap();
        assert_eq!(client.code(request).await, (401, "token_invalid".to_owned()), "{name} {value}");
    }
    for name in ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"] {
        let token = sign(&claims(&world, |claims| drop(claims.remove(name))));
        let request = client.request("GET", "/echo", &token).body(empty()).unwrap();
        assert_eq!(client.code(request).await, (401, "token_invalid".to_owned()), "without {name}");
    }
    let request = client.request("GET", "/echo", &sign(&claims(&world, |_| {}))).body(empty()).unwrap();
    assert_eq!(client.code(request).await.0, 200);
}

#[tokio::test]
async fn a_refusal_is_a_problem_with_a_challenge_and_a_request_id() {
    let world = world().await;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    let request = client.anonymous("GET", "/echo").body(empty()).unwrap();
    let response = client.send(request).await.unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/problem+json");
    assert_eq!(header("www-authenticate"), "Bearer");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-sealwright-request-id").len(), 16);
}

#[tokio::test]
async fn another_key_is_not_the_owner_whatever_it_carries() {
    let world = world().await;
    let other = Person::new();
    for application in [Http1, Http2] {
        let mut client = Client::connect(&world, &other, application).await;
        for token in [world.token(), world.gateway.token(&other)] {
            let request = client.request("GET", "/echo", &token).body(empty()).unwrap();
            assert_eq!(client.code(request).await, (403, "not_owner".to_owned()));
        }
    }
}

/// The owner is a key; a token is bound to one certificate of it.
#[tokio::test]
async fn a_new_certificate_of_the_owners_key_needs_its_own_token() {
    let world = world().await;
    let renewed = Person::with_key(world.owner.key.clone());
    let mut client = Client::connect(&world, &renewed, Http2).await;
    let request = client.request("GET", "/echo", &world.token()).body(empty()).unwrap();
    assert_eq!(client.code(request).await, (403, "token_certificate".to_owned()));
    let request = client.request("GET", "/echo", &world.gateway.token(&renewed)).body(empty()).unwrap();
    assert_eq!(client.code(request).await.0, 200);
}

#[tokio::test]
async fn an_accepted_token_expires_on_an_open_connection() {
    let world = world().await;
    let mut claims = world.gateway.claims(&world.owner);
    claims.exp = now() + 2;
    let token = world.gateway.sign(&claims);
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let mut last = (200, String::new());
    // Asked again and again; the clock decides when the answer changes.
    while last.0 == 200 {
        assert!(now() <= claims.exp, "still accepted after its end");
        let request = client.request("GET", "/echo", &token).body(empty()).unwrap();
        last = client.code(request).await;
    }
    assert_eq!(last, (401, "token_expired".to_owned()));
}

#[tokio::test]
async fn new_keys_are_found_and_old_ones_forgotten_within_a_second() {
    let world = world().await;
    let token = world.token();
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let request = client.request("GET", "/echo", &token).body(empty()).unwrap();
    assert_eq!(client.code(request).await.0, 200);
    let next = Gateway::new();
    next.publish(&world.path("jwks.json"));
    let started = std::time::Instant::now();
    let new_token = next.token(&world.owner);
    loop {
        let request = client.request("GET", "/echo", &new_token).body(empty()).unwrap();
        if client.code(request).await.0 == 200 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "the new key is never seen");
    }
    let request = client.request("GET", "/echo", &token).body(empty()).unwrap();
    assert_eq!(client.code(request).await, (401, "token_invalid".to_owned()), "the old key is gone");
    std::fs::write(world.path("jwks.json"), "{").unwrap();
    let started = std::time::Instant::now();
    loop {
        let request = client.request("GET", "/echo", &new_token).body(empty()).unwrap();
        if client.code(request).await.0 == 401 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "a broken file leaves keys trusted");
    }
}

#[tokio::test]
async fn requests_for_another_host_are_misdirected() {
    let world = world().await;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    let token = format!("Bearer {}", world.token());
    let request = hyper::Request::builder().uri("/echo").header("authorization", &token);
    let request = request.header("host", "notes-bob.enclaves.localhost").body(empty()).unwrap();
    assert_eq!(client.code(request).await, (421, "wrong_host".to_owned()));
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let request = hyper::Request::builder().uri("https://notes-bob.enclaves.localhost/echo");
    let request = request.header("authorization", &token).body(empty()).unwrap();
    assert_eq!(client.code(request).await, (421, "wrong_host".to_owned()));
    let request =
        client.request("GET", "/echo", &world.token()).header("host", "notes-bob.enclaves.localhost");
    let (status, code) = client.code(request.body(empty()).unwrap()).await;
    assert!(status == 400 && (code == "host_unclear" || code.is_empty()), "{status} {code}");
    let request = hyper::Request::builder().uri(format!("https://{HOST}:8443/echo"));
    let request = request.header("authorization", &token).body(empty()).unwrap();
    assert_eq!(client.code(request).await.0, 200, "the edge's port is not ours to know");
}

#[tokio::test]
async fn no_client_certificate_and_another_name_get_no_connection() {
    let world = world().await;
    let nobody =
        attested_tls::AnchoredConnector::new(vec![], attested_tls::ServerIdentity::DialledName, None, Http1);
    let stream = UnixStream::connect(world.path("facade.sock")).await.unwrap();
    assert!(nobody.unwrap().connect(HOST, stream).await.is_err());

    let shown = world.owner.key.certified_key(&[world.owner.certificate.der()]).unwrap();
    let connector = attested_tls::AttestedConnector::new(shown, Http1).unwrap();
    let stream = UnixStream::connect(world.path("facade.sock")).await.unwrap();
    assert!(connector.connect("notes-bob.enclaves.localhost", stream).await.is_err());
}

/// Showing somebody's certificate is not having its key: the handshake proves possession.
#[tokio::test]
async fn a_certificate_without_its_key_gets_no_connection() {
    let world = world().await;
    let thief = Arc::new(LocalKey::generate().unwrap());
    // Our own LocalKey refuses to pair a key with another's certificate, so the thief goes around it.
    let stolen = CertifiedKey::new(vec![world.owner.certificate.der().to_vec().into()], thief);
    let connector = attested_tls::AttestedConnector::new(Arc::new(stolen), Http1).unwrap();
    let stream = UnixStream::connect(world.path("facade.sock")).await.unwrap();
    // In TLS 1.3 the client may be done before the server has read its flight: the refusal comes as the first bytes.
    if let Ok(connection) = connector.connect(HOST, stream).await {
        let (mut stream, _, _) = connection.into_evidence_stream();
        let ask = format!(
            "GET /.well-known/sealwright/evidence?nonce={} HTTP/1.1\r\nhost: {HOST}\r\n\r\n",
            "00".repeat(32)
        );
        stream.write_all(ask.as_bytes()).await.ok();
        assert_eq!(read_to_end(&mut stream).await, "");
    }
}

#[tokio::test]
async fn methods_that_would_leave_the_app_are_refused() {
    let world = world().await;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    let request = client.request("TRACE", "/echo", &world.token()).body(empty()).unwrap();
    assert_eq!(client.code(request).await, (405, "method_not_allowed".to_owned()));
}
