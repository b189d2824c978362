//! Clients that want to use the facade up: each attack ends its own connection, and the next client is served
//! (CVE-2023-44487, CVE-2025-8671, RUSTSEC-2024-0003, -0332, RUSTSEC-2026-0258).

use std::time::Duration;

use attested_tls::Application::{Http1, Http2};
use facade::limits::Limits;
use facade::upstream::Address;
use server::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::apps;
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, HEADERS, PING, RST_STREAM, SETTINGS, block, frame, preface,
};
use crate::http::{Client, empty, read_to_end};
use crate::world::{Evidence, HOST, Person, World};

/// Bytes after which an attack that was not stopped has succeeded.
const ENOUGH: usize = 64 << 20;

/// Sends the opening and then the same kind of frames until the facade ends the connection; how many bytes it took.
async fn attack(world: &World, opening: Vec<u8>, mut next: impl FnMut(u32) -> Vec<u8>) -> usize {
    let (stream, _, _) = world.tls(&world.owner, Http2).await;
    let (mut reading, mut writing) = tokio::io::split(stream);
    let reader = tokio::spawn(async move {
        let mut sink = vec![0; 16 * 1024];
        while reading.read(&mut sink).await.is_ok_and(|count| count > 0) {}
    });
    let mut sent = 0;
    let sending = async {
        let mut piece = [preface(), opening].concat();
        for round in 0.. {
            if writing.write_all(&piece).await.is_err() || sent > ENOUGH {
                return;
            }
            sent += piece.len();
            piece = next(round);
        }
    };
    tokio::select! {
        () = sending => {}
        _ = reader => {}
    }
    sent
}

fn request(world: &World) -> Vec<u8> {
    let token = format!("Bearer {}", world.token());
    block(&[
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/sum"),
        (":authority", HOST),
        ("authorization", &token),
    ])
}

#[tokio::test]
async fn floods_over_http2_end_their_connection_and_nobody_elses() {
    let world = World::start(apps::real(&Tasks::new()).await).await;
    let open = request(&world);
    let stream = |round: u32| 2 * round + 1;

    let headers_and_reset = |round| {
        let headers = frame(HEADERS, END_HEADERS, stream(round), &open);
        [headers, frame(RST_STREAM, 0, stream(round), &[0, 0, 0, 8])].concat()
    };
    let burst = |round: u32| (0..100).flat_map(|step| headers_and_reset(round * 100 + step)).collect();
    let rapid_reset = attack(&world, vec![], burst).await;

    let empty_data = |_| frame(DATA, 0, 1, &[]).repeat(1000);
    let opening = frame(HEADERS, END_HEADERS, 1, &open);
    let empty_data = attack(&world, opening.clone(), empty_data).await;

    let continuation = |_| frame(CONTINUATION, 0, 1, &block(&[("x-a", &"a".repeat(16_000))]));
    let continuation = attack(&world, frame(HEADERS, 0, 1, &open), continuation).await;

    // Zero increments make the server reset its own streams.
    let made_to_reset = |round: u32| {
        (0..100u32)
            .flat_map(|step| {
                let stream = stream(round * 100 + step);
                [frame(HEADERS, END_HEADERS, stream, &open), frame(8, 0, stream, &[0; 4])].concat()
            })
            .collect()
    };
    let made_to_reset = attack(&world, vec![], made_to_reset).await;

    for (case, sent) in [
        ("rapid reset", rapid_reset),
        ("empty data", empty_data),
        ("continuation", continuation),
        ("made to reset", made_to_reset),
    ] {
        assert!(sent <= ENOUGH, "{case} was not stopped");
    }
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let request = client.request("GET", "/echo", &world.token()).body(empty()).unwrap();
    assert_eq!(client.json(request).await.0, 200);
}

/// Frames that want an answer are answered no faster than the client reads.
#[tokio::test]
async fn unread_answers_do_not_pile_up() {
    let world = World::start(Address::Port(1)).await;
    let (mut stream, _, _) = world.tls(&world.owner, Http2).await;
    stream.write_all(&preface()).await.unwrap();
    let flood = [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])].concat().repeat(1000);
    let mut sent = 0;
    // Nothing is read here, so at some point the facade stops reading, too, or ends the connection.
    let stuck = loop {
        match tokio::time::timeout(Duration::from_millis(500), stream.write_all(&flood)).await {
            Ok(Ok(())) if sent > ENOUGH => break false,
            Ok(Ok(())) => sent += flood.len(),
            Ok(Err(_)) | Err(_) => break true,
        }
    };
    assert!(stuck);
}

/// Everybody may connect and ask for evidence; the owner keeps a place.
#[tokio::test]
async fn strangers_can_not_take_the_owners_place() {
    let limits = Limits { strangers: 1, evidence_waiting: 1, ..Limits::default() };
    let world = World::with_limits(Address::Port(1), limits).await;
    *world.agent.evidence.lock().await = Evidence::Hang;
    let ask = format!("/.well-known/sealwright/evidence?nonce={}", "00".repeat(32));
    let mut stranger = Client::connect(&world, &Person::new(), Http2).await;
    let request = stranger.anonymous("GET", &ask).body(empty()).unwrap();
    let waiting = tokio::spawn(async move { stranger.send(request).await });
    world.agent.asked.notified().await;
    let (mut second, _, _) = world.tls(&Person::new(), Http1).await;
    assert_eq!(read_to_end(&mut second).await, "", "a second stranger is not served");
    *world.agent.evidence.lock().await = Evidence::Echo;
    let mut owner = Client::connect(&world, &world.owner, Http2).await;
    let request = owner.anonymous("GET", &ask).body(empty()).unwrap();
    assert_eq!(owner.json(request).await.0, 200);
    waiting.abort();
}

#[tokio::test]
async fn handshakes_and_headers_that_never_end_are_ended() {
    let limits = Limits { handshake: Duration::from_millis(200), ..Limits::default() };
    let world = World::with_limits(Address::Port(1), limits).await;
    let mut silent = UnixStream::connect(world.path("facade.sock")).await.unwrap();
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).await.ok();
    assert_eq!(rest, b"");

    let limits = Limits { header: Duration::from_millis(200), ..Limits::default() };
    let world = World::with_limits(Address::Port(1), limits).await;
    let (mut stream, _, _) = world.tls(&world.owner, Http1).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
}
