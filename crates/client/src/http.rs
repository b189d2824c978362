//! HTTP/1.1 over one connection that this process owns: no pool, no redirect, every size and every wait bounded.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

use ::http::{HeaderMap, Request, StatusCode};
use attested_tls::TlsError;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// Longest time to connect and to finish the TLS handshake.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Longest time until the head of an answer. Hashing a password and waiting for a quote fit in.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Longest pause within a body.
const PAUSE_TIME: Duration = Duration::from_secs(30);
/// Largest head of an answer.
const HEAD_BYTES: usize = 64 << 10;
/// Most headers of an answer.
const HEADERS: usize = 64;
/// Longest line of an event stream.
const EVENT_LINE_BYTES: usize = 64 << 10;
/// Most bytes of one event stream.
const EVENT_STREAM_BYTES: usize = 4 << 20;

/// A request's body: in memory or from a file.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// Bytes as a request's body.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The name has no address, or nobody listens there.
    #[error("{0}")]
    Connect(#[source] io::Error),
    /// The TLS handshake did not come to an end.
    #[error("{0}")]
    Tls(#[source] TlsError),
    /// The HTTP exchange broke off.
    #[error("the connection broke: {0}")]
    Broken(#[source] hyper::Error),
    /// The other side took too long.
    #[error("no {what} within {} s", .after.as_secs())]
    Slow {
        /// For what was waited.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// The answer is larger than this client reads.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// One header's value, where it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What moves a connection.
enum Motion {
    /// Whoever waits for an answer, while they wait.
    Caller(Driver),
    /// A task of its own, which ends with the channel: bodies stream while the caller does something else.
    Task(#[expect(dead_code, reason = "held for its drop")] AbortOnDropHandle<()>),
    /// Nothing: it has ended.
    Over,
}

/// One HTTP/1.1 connection. It moves only while a request is under way, so it needs no task of its own, unless it is
/// [put on one](Channel::on_a_task).
pub(crate) struct Channel {
    sender: SendRequest<Body>,
    motion: Motion,
}

/// A request that did not get its answer.
pub(crate) struct Unanswered {
    /// Why.
    pub(crate) error: ExchangeError,
    /// The request itself, where not a byte of it was sent.
    pub(crate) unsent: Option<Box<Request<Body>>>,
}

impl Channel {
    /// Begins to speak HTTP on a connected stream.
    pub(crate) async fn open<S>(stream: S) -> Result<Self, ExchangeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(ExchangeError::Broken)?;
        // An error of the connection is also the error of the request that is under way.
        let driver: Driver = Box::pin(async move { drop(connection.with_upgrades().await) });
        Ok(Self { sender, motion: Motion::Caller(driver) })
    }

    /// Whether another request can be sent.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.motion, Motion::Over) && !self.sender.is_closed()
    }

    /// Lets the connection move by itself from now on, for bodies that stream and for tunnels.
    pub(crate) fn on_a_task(self) -> Self {
        let Self { sender, motion } = self;
        let motion = match motion {
            Motion::Caller(driver) => Motion::Task(AbortOnDropHandle::new(tokio::spawn(driver))),
            Motion::Task(_) | Motion::Over => motion,
        };
        Self { sender, motion }
    }

    /// Whether the connection is free for the next request, or becomes so within the time.
    pub(crate) async fn is_free(&mut self, within: Duration) -> bool {
        matches!(timeout(within, self.sender.ready()).await, Ok(Ok(())))
    }

    /// Sends one request; the answer's body is still to come. Only for a channel [on a task](Channel::on_a_task). There is
    /// no time limit here: who streams decides.
    pub(crate) async fn stream(
        &mut self,
        request: Request<Body>,
    ) -> Result<hyper::Response<Incoming>, Unanswered> {
        self.sender.try_send_request(request).await.map_err(|mut failed| Unanswered {
            unsent: failed.take_message().map(Box::new),
            error: ExchangeError::Broken(failed.into_error()),
        })
    }

    /// Sends one request and reads the whole answer, at most `limit` bytes of body.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Body>,
        limit: usize,
    ) -> Result<Answer, ExchangeError> {
        let Self { sender, motion } = self;
        let work = async {
            let (head, mut body) = send(sender, request).await?.into_parts();
            let mut bytes = Vec::new();
            while let Some(chunk) = next_chunk(&mut body).await? {
                if bytes.len() + chunk.len() > limit {
                    return Err(ExchangeError::TooLarge(limit));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(Answer { status: head.status, headers: head.headers, body: bytes })
        };
        drive(motion, work).await
    }

    /// Sends one request and hands each `data:` line of the answer to `on_data` until it breaks or the stream ends.
    ///
    /// An answer that is not a success comes back whole, as [`Channel::exchange`] would give it.
    pub(crate) async fn events<T>(
        &mut self,
        request: Request<Body>,
        mut on_data: impl FnMut(&str) -> ControlFlow<T>,
    ) -> Result<Events<T>, ExchangeError> {
        let Self { sender, motion } = self;
        let work = async {
            let (head, mut body) = send(sender, request).await?.into_parts();
            if head.status != StatusCode::OK {
                let bytes = collect(&mut body, EVENT_STREAM_BYTES).await?;
                return Ok(Events::Refused(Answer {
                    status: head.status,
                    headers: head.headers,
                    body: bytes,
                }));
            }
            let (mut line, mut total) = (Vec::new(), 0);
            while let Some(chunk) = next_chunk(&mut body).await? {
                total += chunk.len();
                for byte in chunk {
                    match byte {
                        b'\n' => {
                            if let Some(data) = data_of(&line)
                                && let ControlFlow::Break(out) = on_data(data)
                            {
                                return Ok(Events::Broken(out));
                            }
                            line.clear();
                        }
                        other => line.push(other),
                    }
                    if line.len() > EVENT_LINE_BYTES {
                        return Err(ExchangeError::TooLarge(EVENT_LINE_BYTES));
                    }
                }
                if total > EVENT_STREAM_BYTES {
                    return Err(ExchangeError::TooLarge(EVENT_STREAM_BYTES));
                }
            }
            Ok(Events::Ended)
        };
        drive(motion, work).await
    }
}

/// How an event stream came to its end.
pub(crate) enum Events<T> {
    /// The reader had enough.
    Broken(T),
    /// The server closed it.
    Ended,
    /// There was none.
    Refused(Answer),
}

/// The value of a `data:` line. HTML Living Standard, 9.2.6; we send one line per event and no other fields matter.
fn data_of(line: &[u8]) -> Option<&str> {
    let line = str::from_utf8(line).ok()?.trim_end_matches('\r');
    let value = line.strip_prefix("data:")?;
    Some(value.strip_prefix(' ').unwrap_or(value))
}

async fn send(
    sender: &mut SendRequest<Body>,
    request: Request<Body>,
) -> Result<hyper::Response<Incoming>, ExchangeError> {
    let work = async {
        sender.ready().await?;
        sender.send_request(request).await
    };
    let slow = ExchangeError::Slow { what: "answer", after: ANSWER_TIME };
    timeout(ANSWER_TIME, work).await.map_err(|_| slow)?.map_err(ExchangeError::Broken)
}

async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, ExchangeError> {
    loop {
        let slow = ExchangeError::Slow { what: "more of the answer", after: PAUSE_TIME };
        let Some(frame) = timeout(PAUSE_TIME, body.frame()).await.map_err(|_| slow)? else { return Ok(None) };
        // Trailers carry nothing for us.
        if let Ok(data) = frame.map_err(ExchangeError::Broken)?.into_data() {
            return Ok(Some(data));
        }
    }
}

async fn collect(body: &mut Incoming, limit: usize) -> Result<Vec<u8>, ExchangeError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(body).await? {
        if bytes.len() + chunk.len() > limit {
            return Err(ExchangeError::TooLarge(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Runs `work` while the connection moves. When the connection has ended, `work` learns that by itself.
async fn drive<T>(motion: &mut Motion, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Motion::Caller(connection) = motion {
        tokio::select! {
            out = &mut work => return out,
            () = connection => {}
        }
        *motion = Motion::Over;
    }
    work.await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// A server that reads one request head and then says `answer`.
    async fn serve(mut stream: DuplexStream, answer: Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        // The client may hang up in the middle of a too long answer.
        let _ = stream.write_all(&answer).await;
    }

    fn get() -> Request<Body> {
        Request::get("/").header("host", "h").body(whole(Bytes::new())).unwrap()
    }

    async fn ask(answer: &[u8], limit: usize) -> Result<Answer, ExchangeError> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let client = async {
            let mut channel = Channel::open(near).await?;
            channel.exchange(get(), limit).await
        };
        tokio::join!(client, serve(far, answer.to_vec())).0
    }

    #[tokio::test]
    async fn an_answer_within_its_bound_is_read() {
        let answer =
            ask(b"HTTP/1.1 404 Not Found\r\nx-a: b\r\ncontent-length: 3\r\n\r\nabc", 3).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-a"), answer.body.as_slice()),
            (404, Some("b"), &b"abc"[..])
        );
    }

    #[tokio::test]
    async fn an_answer_above_its_bound_is_refused() {
        let answer = ask(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd", 3).await;
        assert!(matches!(answer, Err(ExchangeError::TooLarge(3))));
    }

    #[tokio::test]
    async fn a_cut_answer_is_an_error() {
        for cut in
            ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc", "nonsense\r\n\r\n"]
        {
            assert!(matches!(ask(cut.as_bytes(), 100).await, Err(ExchangeError::Broken(_))), "{cut:?}");
        }
    }

    #[tokio::test]
    async fn events_are_handed_on_until_the_reader_has_enough() {
        let (near, far) = tokio::io::duplex(1 << 16);
        let answer = b"HTTP/1.1 200 OK\r\n\r\n: hi\n\ndata: one\n\nevent: x\ndata:two\r\n\ndata: three\n\n";
        let mut seen = Vec::new();
        let client = async {
            let mut channel = Channel::open(near).await.unwrap();
            let on_data = |data: &str| {
                seen.push(data.to_owned());
                if data == "two" { ControlFlow::Break(7) } else { ControlFlow::Continue(()) }
            };
            channel.events(get(), on_data).await.unwrap()
        };
        let (events, ()) = tokio::join!(client, serve(far, answer.to_vec()));
        assert!(matches!(events, Events::Broken(7)));
        assert_eq!(seen, ["one", "two"]);
    }
}
