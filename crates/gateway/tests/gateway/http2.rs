//! HTTP/2 by hostile hands: frames written by hand over real TLS (RFC 9113). Whatever is sent, what the gateway takes before it ends the
//! connection is bounded, and others are served.

use std::time::Duration;

use attested_tls::Connection;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;

use crate::rig::{Rig, get, rig};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Longest time until a connection is ended.
const SOON: Duration = Duration::from_secs(30);
/// No hostile connection may make the gateway take more; buffers of both kernels are in it.
const MOST: usize = 16 << 20;

// Frame types and flags (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Settings and errors (RFC 9113, 6.5.2 and 7).
const MAX_CONCURRENT_STREAMS: u16 = 3;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

type Stream = attested_tls::SharedStream<TcpStream>;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A request's fields (RFC 7541: the static table, then literals that nobody indexes).
fn head(method: u8, path: &str) -> Vec<u8> {
    let mut block = vec![method, 0x87, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x01, 7]);
    block.extend(b"gateway");
    block
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// One side of a hostile connection.
struct Reader(ReadHalf<Stream>);

impl Reader {
    /// The next frame; none when the connection has ended.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// All frames until the connection ends, which it must.
    async fn until_the_end(mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let read = async {
            while let Some(frame) = self.next().await {
                frames.push(frame);
            }
        };
        tokio::time::timeout(SOON, read).await.expect("the gateway ends the connection");
        frames
    }
}

async fn open(rig: &Rig) -> (Reader, WriteHalf<Stream>) {
    let Connection { stream, .. } = rig.http2_connection().await;
    let (read, mut write) = tokio::io::split(stream);
    write.write_all(PREFACE).await.unwrap();
    write.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    write.flush().await.unwrap();
    (Reader(read), write)
}

/// Writes the same again and again, until the other side has had enough. How much went out.
async fn flood(mut write: WriteHalf<Stream>, mut next: impl FnMut() -> Vec<u8>) -> usize {
    let mut written = 0;
    while written <= MOST {
        let piece = next();
        if write.write_all(&piece).await.is_err() || write.flush().await.is_err() {
            break;
        }
        written += piece.len();
    }
    written
}

/// What came back, how much was taken, and that others are served meanwhile.
async fn flooded(rig: &Rig, first: Vec<u8>, next: impl FnMut() -> Vec<u8>) -> Vec<Frame> {
    let (reader, mut write) = open(rig).await;
    write.write_all(&first).await.unwrap();
    let (written, frames, other) =
        tokio::join!(flood(write, next), reader.until_the_end(), rig.send(None, get("/v1/health", None)));
    assert!(written <= MOST, "{written} bytes were taken");
    other.expect(StatusCode::OK);
    frames
}

fn goaway(frames: &[Frame]) -> Option<u32> {
    frames.iter().find(|frame| frame.kind == GOAWAY).map(|frame| frame.number(4))
}

/// CVE-2024-27316 and its kin: a header block that never ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_block_without_end_ends_the_connection() {
    let rig = rig().await;
    let first = frame(HEADERS, END_STREAM, 1, &head(GET, "/v1/health"));
    // A literal field, never indexed: name of one byte, value of a thousand.
    let mut field = vec![0x00, 1, b'x', 0x7f, 0xe9, 0x06];
    field.extend([b'a'; 1000]);
    let frames = flooded(&rig, first, || frame(CONTINUATION, 0, 1, &field)).await;
    assert!(!answered(&frames, 1), "the request was never whole");
    // Empty ones cost no bytes of a list.
    let first = frame(HEADERS, END_STREAM, 1, &head(GET, "/v1/health"));
    let frames = flooded(&rig, first, || frame(CONTINUATION, 0, 1, &[]).repeat(100)).await;
    assert!(!answered(&frames, 1), "the request was never whole");
}

fn answered(frames: &[Frame], stream: u32) -> bool {
    // 0x88 is `:status: 200` of the static table.
    frames
        .iter()
        .any(|frame| frame.kind == HEADERS && frame.stream == stream && frame.payload.first() == Some(&0x88))
}

/// CVE-2023-44487: requests that are taken back as soon as they are made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_taken_back_at_once_end_the_connection() {
    let rig = rig().await;
    let mut stream = 1;
    let frames = flooded(&rig, Vec::new(), || {
        let mut pair = frame(HEADERS, END_STREAM | END_HEADERS, stream, &head(GET, "/v1/health"));
        pair.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        stream += 2;
        pair
    })
    .await;
    // Where the end came as a reset, the farewell is lost.
    assert!(goaway(&frames).is_none_or(|error| error == ENHANCE_YOUR_CALM), "{:?}", goaway(&frames));
}

/// CVE-2025-8671: streams that the server has to reset itself, because what comes on them is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_have_to_be_reset_end_the_connection() {
    let rig = rig().await;
    let mut stream = 1;
    let frames = flooded(&rig, Vec::new(), || {
        let mut wrong = frame(HEADERS, END_HEADERS, stream, &head(POST, "/v1/users"));
        // A window beyond 2^31 - 1 is an error of the stream (RFC 9113, 6.9.1).
        wrong.extend(frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffffu32.to_be_bytes()));
        stream += 2;
        wrong
    })
    .await;
    assert!(goaway(&frames).is_none_or(|error| error == ENHANCE_YOUR_CALM), "{:?}", goaway(&frames));
}

/// RFC 9113, 5.1.2: the bound is told, and what goes beyond it is refused by itself.
#[tokio::test]
async fn more_streams_than_were_offered_are_refused() {
    let rig = rig().await;
    let (mut reader, mut write) = open(&rig).await;
    let settings = reader.next().await.unwrap();
    assert_eq!(settings.kind, SETTINGS);
    let setting = |wanted: u16| {
        let mut pairs = settings.payload.chunks(6).map(|pair| pair.split_at(2));
        let value = pairs.find(|(id, _)| *id == wanted.to_be_bytes()).map(|(_, value)| value);
        value.map(|value| u32::from_be_bytes(value.try_into().unwrap()))
    };
    let offered = setting(MAX_CONCURRENT_STREAMS).unwrap();
    assert_eq!(offered, 64);
    // All of them wait for their bodies.
    for number in 0..=offered {
        let request = frame(HEADERS, END_HEADERS, 2 * number + 1, &head(POST, "/v1/users"));
        write.write_all(&request).await.unwrap();
    }
    write.flush().await.unwrap();
    let refused = async {
        loop {
            let frame = reader.next().await.expect("the connection stays");
            if frame.kind == RST_STREAM && frame.number(0) == REFUSED_STREAM {
                return frame.stream;
            }
        }
    };
    let refused = tokio::time::timeout(SOON, refused).await.unwrap();
    assert_eq!(refused, 2 * offered + 1);
}

/// A list of fields above the bound is answered 431 or ends the stream; the connection's other requests are answered.
#[tokio::test]
async fn a_huge_list_of_fields_is_refused_and_the_connection_goes_on() {
    let rig = rig().await;
    let (mut reader, mut write) = open(&rig).await;
    let mut block = head(GET, "/v1/health");
    for _ in 0..40 {
        block.extend([0x00, 1, b'x', 0x7f, 0xe9, 0x06]);
        block.extend([b'a'; 1000]);
    }
    let pieces: Vec<_> = block.chunks(16_000).collect();
    let last = pieces.len() - 1;
    for (index, piece) in pieces.iter().enumerate() {
        let kind = if index == 0 { HEADERS } else { CONTINUATION };
        let flags = if index == 0 { END_STREAM } else { 0 } | if index == last { END_HEADERS } else { 0 };
        write.write_all(&frame(kind, flags, 1, piece)).await.unwrap();
    }
    let good = frame(HEADERS, END_STREAM | END_HEADERS, 3, &head(GET, "/v1/health"));
    write.write_all(&good).await.unwrap();
    write.flush().await.unwrap();
    let mut frames = Vec::new();
    let both = async {
        while !answered(&frames, 3) {
            frames.push(reader.next().await.expect("the connection stays"));
        }
    };
    tokio::time::timeout(SOON, both).await.unwrap();
    assert!(!answered(&frames, 1));
    let refused = frames.iter().any(|frame| frame.stream == 1 && [HEADERS, RST_STREAM].contains(&frame.kind));
    assert!(refused, "the first stream got no answer");
}

/// A body that stands still is answered 408 and the stream ends; so it is with HTTP/1.
#[tokio::test]
async fn a_body_that_stands_still_is_answered() {
    let rig = crate::rig::hasty_rig().await;
    let (mut reader, mut write) = open(&rig).await;
    let mut block = head(POST, "/v1/users");
    // content-type (static index 31): application/json
    block.extend([0x0f, 0x10, 16]);
    block.extend(b"application/json");
    write.write_all(&frame(HEADERS, END_HEADERS, 1, &block)).await.unwrap();
    write.write_all(&frame(DATA, 0, 1, b"{\"name\":")).await.unwrap();
    write.flush().await.unwrap();
    let answer = async {
        let mut body = Vec::new();
        loop {
            let frame = reader.next().await.expect("the connection stays");
            if frame.kind == DATA && frame.stream == 1 {
                body.extend(&frame.payload);
                if frame.flags & END_STREAM != 0 {
                    return String::from_utf8(body).unwrap();
                }
            }
        }
    };
    let answer = tokio::time::timeout(SOON, answer).await.unwrap();
    assert!(answer.contains("request_timeout"), "{answer}");
}
