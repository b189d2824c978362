//! HTTP clients for the tests: hyper over HTTP/1.1 and HTTP/2, and raw bytes.

use attested_tls::{Application, Channel, SharedStream};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pki::Certificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::world::{HOST, Person, World};

pub type Body = BoxBody<Bytes, std::io::Error>;

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// A client that owns its one connection.
pub struct Client {
    sender: Sender,
    pub channel: Channel<UnixStream>,
    pub certificate: Certificate,
}

impl Client {
    pub async fn connect(world: &World, person: &Person, application: Application) -> Self {
        let (stream, channel, certificate) = world.tls(person, application).await;
        let io = TokioIo::new(stream);
        let sender = match application {
            Application::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
            Application::Http1 | Application::Http2OrHttp1 => {
                let (sender, connection) = http1::handshake(io).await.unwrap();
                tokio::spawn(connection.with_upgrades());
                Sender::Http1(sender)
            }
        };
        Self { sender, channel, certificate }
    }

    /// A request in the form of this client's protocol, with the owner's token.
    pub fn request(&self, method: &str, path: &str, token: &str) -> hyper::http::request::Builder {
        self.anonymous(method, path).header("authorization", format!("Bearer {token}"))
    }

    pub fn anonymous(&self, method: &str, path: &str) -> hyper::http::request::Builder {
        let builder = Request::builder().method(method);
        match self.sender {
            Sender::Http1(_) => builder.uri(path).header("host", HOST),
            Sender::Http2(_) => builder.uri(format!("https://{HOST}{path}")),
        }
    }

    pub async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Status and JSON of an answer.
    pub async fn json(&mut self, request: Request<Body>) -> (u16, serde_json::Value) {
        let response = self.send(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Status and problem code of an answer.
    pub async fn code(&mut self, request: Request<Body>) -> (u16, String) {
        let (status, json) = self.json(request).await;
        (status, json["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// Sends bytes as they are over the owner's HTTP/1.1 connection and reads to its end.
pub async fn raw(world: &World, bytes: &[u8]) -> String {
    let (mut stream, _, _) = world.tls(&world.owner, Application::Http1).await;
    stream.write_all(bytes).await.unwrap();
    read_to_end(&mut stream).await
}

pub async fn read_to_end(stream: &mut SharedStream<UnixStream>) -> String {
    let mut answer = Vec::new();
    // The facade may close without close_notify after an error; what came is what counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
