//! The evidence endpoint: bound to this connection, open to every client certificate, bounded.

use attested_tls::Application::{Http1, Http2};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use facade::limits::Limits;
use facade::upstream::Address;
use std::time::Duration;

use crate::http::{Client, empty};
use crate::world::{Evidence, Person, World};

const PATH: &str = "/.well-known/sealwright/evidence";
/// No app is needed for evidence.
const NO_APP: Address = Address::Port(1);

fn hex(nonce: &[u8; 32]) -> String {
    format!("{PATH}?nonce={}", names::hex(nonce))
}

#[tokio::test]
async fn evidence_is_for_this_nonce_client_channel_and_certificate() {
    let world = World::start(NO_APP).await;
    let stranger = Person::new();
    for (person, application) in [(&world.owner, Http1), (&world.owner, Http2), (&stranger, Http2)] {
        let mut client = Client::connect(&world, person, application).await;
        for nonce in [[1u8; 32], [0xfe; 32]] {
            let path = format!("{PATH}?nonce={}", Base64UrlUnpadded::encode_string(&nonce));
            for path in [hex(&nonce), path] {
                let request = client.anonymous("GET", &path).body(empty()).unwrap();
                let response = client.send(request).await.unwrap();
                assert_eq!(response.headers()["cache-control"], "no-store");
                let request = client.anonymous("GET", &path).body(empty()).unwrap();
                let (status, asked) = client.json(request).await;
                assert_eq!(status, 200);
                let exporter = client.channel.evidence_exporter(&nonce).unwrap();
                assert_eq!(asked["nonce"], Base64::encode_string(&nonce));
                assert_eq!(asked["audience"], person.id().to_string());
                assert_eq!(asked["channel"], Base64::encode_string(&exporter));
                assert_eq!(asked["certificate"], names::hex(&client.certificate.sha256()));
            }
        }
    }
}

#[tokio::test]
async fn two_connections_have_two_channels() {
    let world = World::start(NO_APP).await;
    let mut channels = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(&world, &world.owner, Http2).await;
        let request = client.anonymous("GET", &hex(&[1; 32])).body(empty()).unwrap();
        channels.push(client.json(request).await.1["channel"].clone());
    }
    assert_ne!(channels[0], channels[1]);
}

#[tokio::test]
async fn the_endpoint_answers_nothing_else() {
    let world = World::start(NO_APP).await;
    let mut client = Client::connect(&world, &world.owner, Http1).await;
    for (method, path, status, code) in [
        ("GET", PATH.to_owned(), 400, "nonce_invalid"),
        ("GET", format!("{PATH}?nonce=00"), 400, "nonce_invalid"),
        ("GET", format!("{}&channel=00", hex(&[1; 32])), 400, "nonce_invalid"),
        ("POST", hex(&[1; 32]), 405, "method_not_allowed"),
        ("GET", "/.well-known/sealwright/".to_owned(), 404, "no_such_route"),
        ("GET", "/.well-known/sealwright/other".to_owned(), 404, "no_such_route"),
        // What is not exactly ours goes to the app, and only for the owner with a token.
        ("GET", "/.well-known/sealwright".to_owned(), 401, "token_missing"),
        ("GET", format!("//{}", hex(&[1; 32])), 401, "token_missing"),
    ] {
        let request = client.anonymous(method, &path).body(empty()).unwrap();
        assert_eq!(client.code(request).await, (status, code.to_owned()), "{method} {path}");
    }
}

#[tokio::test]
async fn one_connection_can_not_ask_without_end() {
    let world = World::with_limits(NO_APP, Limits { evidence_burst: 3, ..Limits::default() }).await;
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let mut codes = Vec::new();
    for _ in 0..6 {
        let request = client.anonymous("GET", &hex(&[1; 32])).body(empty()).unwrap();
        codes.push(client.code(request).await);
    }
    assert!(codes.contains(&(429, "evidence_rate".to_owned())), "{codes:?}");
    let mut another = Client::connect(&world, &world.owner, Http2).await;
    let request = another.anonymous("GET", &hex(&[1; 32])).body(empty()).unwrap();
    assert_eq!(another.json(request).await.0, 200);
}

#[tokio::test]
async fn an_agent_that_refuses_or_hangs_is_told_apart() {
    let limits = Limits { evidence: Duration::from_millis(200), evidence_waiting: 1, ..Limits::default() };
    let world = World::with_limits(NO_APP, limits).await;
    *world.agent.evidence.lock().await = Evidence::Refuse;
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let request = client.anonymous("GET", &hex(&[1; 32])).body(empty()).unwrap();
    assert_eq!(client.code(request).await, (502, "evidence_unavailable".to_owned()));
    *world.agent.evidence.lock().await = Evidence::Hang;
    let request = client.anonymous("GET", &hex(&[1; 32])).body(empty()).unwrap();
    assert_eq!(client.code(request).await, (504, "evidence_timeout".to_owned()));
}

#[tokio::test]
async fn waiting_questions_are_bounded() {
    let world = World::with_limits(NO_APP, Limits { evidence_waiting: 1, ..Limits::default() }).await;
    *world.agent.evidence.lock().await = Evidence::Hang;
    let mut first = Client::connect(&world, &world.owner, Http2).await;
    let request = first.anonymous("GET", &hex(&[1; 32])).body(empty()).unwrap();
    let waiting = tokio::spawn(async move { first.send(request).await });
    world.agent.asked.notified().await;
    let mut second = Client::connect(&world, &world.owner, Http2).await;
    let request = second.anonymous("GET", &hex(&[1; 32])).body(empty()).unwrap();
    assert_eq!(second.code(request).await, (503, "busy".to_owned()));
    waiting.abort();
}

#[tokio::test]
async fn a_renewed_certificate_serves_new_connections_and_leaves_open_ones_alone() {
    let world = World::with(NO_APP, Limits::default(), 3).await;
    let mut old = Client::connect(&world, &world.owner, Http2).await;
    world.agent.seconds.store(3600, std::sync::atomic::Ordering::SeqCst);
    let mut fresh = Client::connect(&world, &world.owner, Http2).await;
    while fresh.certificate == old.certificate {
        tokio::time::sleep(Duration::from_millis(20)).await;
        fresh = Client::connect(&world, &world.owner, Http2).await;
    }
    assert_eq!(fresh.certificate.spki(), old.certificate.spki(), "the key stays");
    for client in [&mut old, &mut fresh] {
        let request = client.anonymous("GET", &hex(&[2; 32])).body(empty()).unwrap();
        let (status, asked) = client.json(request).await;
        assert_eq!(status, 200);
        assert_eq!(asked["certificate"], names::hex(&client.certificate.sha256()));
    }
    assert!(world.agent.certified.load(std::sync::atomic::Ordering::SeqCst) >= 2);
}
