//! A WebSocket (RFC 6455) that gives each message back: the handshake, and frames of at most 64 KiB.

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// RFC 6455, 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// RFC 6455, 5.5.
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Agrees to the handshake; the echo begins when the connection has switched.
pub fn accept<B>(mut request: Request<B>) -> Option<Response<Empty<Bytes>>> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    let proof = Base64::encode_string(&Sha1::digest(format!("{key}{GUID}")));
    let switched = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let echoed = match switched.await {
            Ok(stream) => echo(TokioIo::new(stream)).await,
            Err(error) => Err(std::io::Error::other(error)),
        };
        if let Err(error) = echoed {
            eprintln!("socket: {error}");
        }
    });
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&proof).ok()?);
    Some(response)
}

/// Gives each frame back as it is, unmasked, until the other side closes.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    loop {
        // RFC 6455, 5.2.
        let [first, second] = [stream.read_u8().await?, stream.read_u8().await?];
        let length = match second & 0x7f {
            126 => stream.read_u16().await?,
            127 => return Err(std::io::Error::other("the frame is too large")),
            short => u16::from(short),
        };
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await?;
        let mut payload = vec![0; usize::from(length)];
        stream.read_exact(&mut payload).await?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        let first = if first & 0xf == PING { first & 0xf0 | PONG } else { first };
        let mut frame = match u8::try_from(length) {
            Ok(short) if short < 126 => vec![first, short],
            Ok(_) | Err(_) => [&[first, 126][..], &length.to_be_bytes()].concat(),
        };
        frame.extend(payload);
        stream.write_all(&frame).await?;
        stream.flush().await?;
        if first & 0xf == CLOSE {
            return Ok(());
        }
    }
}
