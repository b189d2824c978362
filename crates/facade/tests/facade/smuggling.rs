//! Requests that two readers could read differently (RFC 9112 11.2; hyper #4123, RUSTSEC-2021-0020, -0078, -0079,
//! CVE-2026-2833, -2835): one line per attack, sent as raw bytes by an owner with a good token.

use attested_tls::Application::{Http1, Http2};
use server::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::apps;
use crate::frames::{block, frame};
use crate::http::{Client, raw, read_to_end};
use crate::world::{HOST, World};

async fn world() -> (World, mpsc::UnboundedReceiver<TcpStream>) {
    let (app, connections) = apps::raw(&Tasks::new()).await;
    (World::start(app).await, connections)
}

/// A request with these lines after host and token, and this body.
fn request(world: &World, line: &str, lines: &str, body: &str) -> Vec<u8> {
    let token = world.token();
    format!("{line}\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n{lines}\r\n{body}").into_bytes()
}

#[tokio::test]
async fn ambiguous_requests_are_refused_and_nothing_reaches_the_app() {
    let (world, mut connections) = world().await;
    let post = "POST / HTTP/1.1";
    for (case, line, lines, body) in [
        ("two lengths", post, "content-length: 5\r\ncontent-length: 6\r\n", "hello"),
        ("list of lengths", post, "content-length: 5, 5\r\n", "hello"),
        ("signed length", post, "content-length: +5\r\n", "hello"),
        ("hexadecimal length", post, "content-length: 0x5\r\n", "hello"),
        ("negative length", post, "content-length: -5\r\n", "hello"),
        ("huge length", post, "content-length: 99999999999999999999\r\n", "hello"),
        ("coding that is not chunked", post, "transfer-encoding: identity\r\n", ""),
        ("chunked in a list", post, "transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        ("chunked twice", post, "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("chunked not last", post, "transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("obscured coding", post, "transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
        ("coding in HTTP/1.0", "POST / HTTP/1.0", "transfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("space before the colon", post, "content-length : 5\r\n", "hello"),
        ("folded line", post, "x-a: b\r\n c\r\n", ""),
        ("NUL in a value", post, "x-a: b\0c\r\n", ""),
        ("bare CR in a value", post, "x-a: b\rc\r\n", ""),
        ("second host", post, "host: notes-bob.enclaves.localhost\r\n", ""),
        ("other absolute form", "POST https://notes-bob.enclaves.localhost/ HTTP/1.1", "", ""),
        ("stripping the length", post, "connection: content-length\r\ncontent-length: 5\r\n", "hello"),
        ("stripping the token", post, "connection: close, authorization\r\ncontent-length: 0\r\n", ""),
        ("stripping the user", post, "connection: x-sealwright-user\r\ncontent-length: 0\r\n", ""),
    ] {
        let answer =
            raw(&world, &request(&world, line, &format!("{lines}connection: close\r\n"), body)).await;
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(status.starts_with('4'), "{case}: {answer}");
    }
    assert!(connections.try_recv().is_err(), "the app saw a connection");
}

/// RFC 9112 6.3: the coding wins, the length is gone, and the connection is not used again.
#[tokio::test]
async fn length_beside_coding_reaches_the_app_as_coding_alone_and_closes() {
    let (world, mut connections) = world().await;
    for lines in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
        let bytes = request(&world, "POST /first HTTP/1.1", lines, smuggled);
        let (mut stream, _, _) = world.tls(&world.owner, Http1).await;
        stream.write_all(&bytes).await.unwrap();
        let answer = tokio::select! {
            answer = read_to_end(&mut stream) => answer,
            app = connections.recv() => {
                let mut app = app.unwrap();
                let head = apps::read_until(&mut app, "\r\n\r\n").await;
                assert!(head.starts_with("POST /first") && !head.contains("content-length: 4"), "{head}");
                let body = apps::read_until(&mut app, "0\r\n\r\n").await;
                app.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                assert!(!body.contains("smuggled"), "{body}");
                read_to_end(&mut stream).await
            }
        };
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "the second request must not be answered: {answer}"
        );
        assert!(!answer.contains("smuggled"));
    }
    assert!(connections.try_recv().is_err(), "the smuggled request reached the app");
}

/// CVE-2026-2833: bytes behind an upgrade request wait for the app's 101; here it never comes.
#[tokio::test]
async fn bytes_behind_an_upgrade_wait_for_the_app() {
    let (world, mut connections) = world().await;
    let lines = "connection: upgrade\r\nupgrade: websocket\r\n";
    let mut bytes = request(&world, "GET /socket HTTP/1.1", lines, "");
    bytes.extend_from_slice(b"GET /smuggled HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let (mut stream, _, _) = world.tls(&world.owner, Http1).await;
    stream.write_all(&bytes).await.unwrap();
    let mut app = connections.recv().await.unwrap();
    let head = apps::answer(&mut app, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno").await;
    assert!(head.starts_with("GET /socket") && !head.contains("smuggled"));
    // What came behind is an ordinary second request, judged by itself: another host, no token.
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && !answer.contains("smuggled"), "{answer}");
    let rest =
        tokio::time::timeout(std::time::Duration::from_millis(100), apps::read_until(&mut app, "\n")).await;
    assert!(!rest.unwrap_or_default().contains("smuggled"));
}

#[tokio::test]
async fn other_upgrades_are_not_asked_for() {
    let (world, mut connections) = world().await;
    let lines = "connection: upgrade, http2-settings, close\r\nupgrade: h2c\r\nhttp2-settings: x\r\n";
    let bytes = request(&world, "GET / HTTP/1.1", lines, "");
    let (mut stream, _, _) = world.tls(&world.owner, Http1).await;
    stream.write_all(&bytes).await.unwrap();
    let mut app = connections.recv().await.unwrap();
    let head = apps::answer(&mut app, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert!(!head.contains("upgrade") && !head.contains("settings"), "{head}");
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn header_floods_are_refused() {
    let (world, mut connections) = world().await;
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "a".repeat(80 * 1024));
    for lines in [many, large] {
        let lines = format!("{lines}connection: close\r\n");
        let answer = raw(&world, &request(&world, "GET / HTTP/1.1", &lines, "")).await;
        assert!(answer.starts_with("HTTP/1.1 431") || answer.is_empty(), "{answer}");
    }
    let mut client = Client::connect(&world, &world.owner, Http2).await;
    let request = client.request("GET", "/", &world.token()).header("x-large", "a".repeat(40 * 1024));
    let refused = match client.send(request.body(crate::http::empty()).unwrap()).await {
        Ok(response) => response.status() == 431,
        Err(_) => true,
    };
    assert!(refused);
    assert!(connections.try_recv().is_err());
}

/// Sends one request as frames of our own making, since no client library would; the kind of frame and the start of
/// the payload with which stream 1 or the connection is answered.
async fn http2_answer(world: &World, more: &[(&str, &str)], body: &str) -> (u8, Vec<u8>) {
    let token = format!("Bearer {}", world.token());
    let fields = [
        &[(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", HOST)][..],
        &[("authorization", token.as_str())],
        more,
    ]
    .concat();
    let (mut stream, _, _) = world.tls(&world.owner, Http2).await;
    let flight = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),
        frame(1, 4, 1, &block(&fields)),
        frame(0, 1, 1, body.as_bytes()),
    ];
    stream.write_all(&flight.concat()).await.unwrap();
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return (7, vec![]);
        }
        let mut payload =
            vec![0; usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap()];
        stream.read_exact(&mut payload).await.unwrap();
        let on_stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) == 1;
        // HEADERS, RST_STREAM or GOAWAY.
        if (on_stream && matches!(head[3], 1 | 3)) || head[3] == 7 {
            return (head[3], payload);
        }
    }
}

/// RFC 9113 8.2, 8.3, 8.1.1: no connection-specific fields, no characters that end a line in HTTP/1.1, one authority,
/// no length that lies.
#[tokio::test]
async fn http2_can_not_carry_http1_framing() {
    let (world, mut connections) = world().await;
    for (case, more, body) in [
        ("coding", &[("transfer-encoding", "chunked")][..], "hello"),
        ("connection", &[("connection", "close")], "hello"),
        ("keep-alive", &[("keep-alive", "1")], "hello"),
        ("proxy-connection", &[("proxy-connection", "close")], "hello"),
        ("upgrade", &[("upgrade", "websocket")], "hello"),
        ("te other than trailers", &[("te", "chunked")], "hello"),
        ("shorter length", &[("content-length", "3")], "hello"),
        ("longer length", &[("content-length", "9")], "hello"),
        ("two lengths", &[("content-length", "5"), ("content-length", "6")], "hello"),
        ("the same length twice", &[("content-length", "5"), ("content-length", "5")], "hello"),
        ("length that is no number", &[("content-length", "+5")], "hello"),
        ("line break in a value", &[("x-a", "b\r\ncontent-length: 0")], "hello"),
        ("bare line feed in a value", &[("x-a", "b\nx: y")], "hello"),
        ("NUL in a value", &[("x-a", "b\0c")], "hello"),
        ("line break in a name", &[("x-a: b\r\nx", "y")], "hello"),
        ("colon in a name", &[("x:a", "y")], "hello"),
        ("upper case in a name", &[("X-A", "y")], "hello"),
        ("space in a name", &[("x a", "y")], "hello"),
        ("another host", &[("host", "notes-bob.enclaves.localhost")], "hello"),
        ("a second path", &[(":path", "/other")], "hello"),
        ("line break in a second authority", &[(":authority", "a\r\nb")], "hello"),
    ] {
        let (kind, payload) = http2_answer(&world, more, body).await;
        // 0x8c: the static table's `:status: 400` (RFC 7541 appendix A); others are literals that begin with 0x48.
        let refused = kind == 3 || kind == 7 || payload.first() == Some(&0x8c);
        assert!(refused, "{case}: {kind} {payload:?}");
        if let Ok(mut app) = connections.try_recv() {
            let seen = apps::read_until(&mut app, "0\r\n\r\n").await;
            assert!(
                seen.is_empty() || !seen.ends_with("0\r\n\r\n"),
                "{case}: the app got a whole request: {seen}"
            );
        }
    }
}

/// The frames of this test are right: without a fault the request arrives.
#[tokio::test]
async fn http2_frames_of_our_own_making_arrive() {
    let (world, mut connections) = world().await;
    let app = tokio::spawn(async move {
        let mut app = connections.recv().await.unwrap();
        let head = apps::read_until(&mut app, "\r\n\r\n").await;
        apps::read_until(&mut app, "hello").await;
        app.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        head
    });
    let (kind, payload) = http2_answer(&world, &[("content-length", "5"), ("x-a", "b")], "hello").await;
    assert_eq!((kind, payload.first()), (1, Some(&0x88)), "0x88 is `:status: 200`");
    let head = app.await.unwrap();
    assert!(head.starts_with("POST / HTTP/1.1\r\n") && head.contains("content-length: 5"), "{head}");
}

#[tokio::test]
async fn two_pipelined_requests_are_two_requests() {
    let (world, mut connections) = world().await;
    let mut bytes = request(&world, "POST /one HTTP/1.1", "content-length: 5\r\n", "hello");
    bytes.extend(request(&world, "GET /two HTTP/1.1", "connection: close\r\n", ""));
    let (mut stream, _, _) = world.tls(&world.owner, Http1).await;
    stream.write_all(&bytes).await.unwrap();
    let mut app = connections.recv().await.unwrap();
    let head = apps::read_until(&mut app, "\r\n\r\n").await;
    let body = apps::read_until(&mut app, "hello").await;
    assert!(head.starts_with("POST /one") && body == "hello");
    app.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none").await.unwrap();
    let second = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo";
    let head = tokio::select! {
        head = apps::answer(&mut app, second) => head,
        another = connections.recv() => apps::answer(&mut another.unwrap(), second).await,
    };
    assert!(head.starts_with("GET /two"));
    let answer = read_to_end(&mut stream).await;
    assert!(answer.contains("one") && answer.ends_with("two"), "{answer}");
}
