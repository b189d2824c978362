//! An example app: `GET /` greets and shows the headers that reached it, `POST /echo` gives the body back as it comes,
//! `GET /socket` is a WebSocket that does the same with messages.
//!
//! It knows nothing of Sealwright: no TLS, no tokens, no certificates. It listens on the loopback interface of its
//! enclave (`--port`), and who gets through to it was checked by the facade.

mod socket;

use std::convert::Infallible;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

const DEFAULT_PORT: u16 = 8080;

type Body = BoxBody<Bytes, hyper::Error>;

#[tokio::main]
async fn main() -> Result<()> {
    let greeting = std::env::var("GREETING").unwrap_or_else(|_| "hello".to_owned());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port()?)).await.context("listen")?;
    println!("hello listens on {}", listener.local_addr().context("listen")?);
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        let greeting = greeting.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let answer = answer(&greeting, request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            let connection = connection.with_upgrades();
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
    }
}

fn port() -> Result<u16> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next(), args.next()) {
        (None, None, None) => Ok(DEFAULT_PORT),
        (Some("--port"), Some(port), None) => port.parse().with_context(|| format!("port {port}")),
        _ => bail!("usage: hello [--port PORT]"),
    }
}

fn answer(greeting: &str, request: Request<Incoming>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => text(StatusCode::OK, describe(greeting, &request)),
        (&Method::POST, "/echo") => {
            let (head, body) = request.into_parts();
            let mut response = Response::new(body.boxed());
            if let Some(kind) = head.headers.get(CONTENT_TYPE) {
                response.headers_mut().insert(CONTENT_TYPE, kind.clone());
            }
            response
        }
        (&Method::GET, "/socket") => match socket::accept(request) {
            Some(response) => response.map(|empty| empty.map_err(|never| match never {}).boxed()),
            None => text(StatusCode::UPGRADE_REQUIRED, "a WebSocket is needed here\n".to_owned()),
        },
        (_, "/" | "/echo" | "/socket") => {
            text(StatusCode::METHOD_NOT_ALLOWED, "GET /, POST /echo or GET /socket\n".to_owned())
        }
        _ => text(StatusCode::NOT_FOUND, "nothing here\n".to_owned()),
    }
}

fn describe(greeting: &str, request: &Request<Incoming>) -> String {
    let mut lines = format!("{greeting} from inside the enclave\n\nheaders that reached the app:\n");
    for (name, value) in request.headers() {
        lines.push_str(&format!("  {name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    lines
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Full::from(text).map_err(|never: Infallible| match never {}).boxed());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
