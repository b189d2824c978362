//! Apps behind the facade: a real HTTP server, and one that says exactly what it got.

use std::collections::HashMap;
use std::convert::Infallible;

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use facade::upstream::Address;
use http_body_util::BodyExt;
use server::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// An axum server on a free port: `/echo` tells what arrived, `/sum` counts a body, `/stream/N` sends N MiB.
pub async fn real(tasks: &Tasks) -> Address {
    let router = axum::Router::new()
        .route("/sum", post(sum))
        .route("/stream/{mebibytes}", get(stream))
        .fallback(any(echo));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn_cancellable(async move { axum::serve(listener, router).await.unwrap() });
    Address::Port(port)
}

async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut headers: HashMap<String, Vec<String>> = HashMap::new();
    for (name, value) in &parts.headers {
        headers.entry(name.to_string()).or_default().push(value.to_str().unwrap().to_owned());
    }
    let body = body.collect().await.unwrap().to_bytes();
    let seen = serde_json::json!({
        "method": parts.method.as_str(),
        "uri": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let leaking =
        [("x-sealwright-user", "app"), ("alt-svc", "h3=\":1\""), ("x-app", "1"), ("connection", "x-hop")];
    (leaking, [("x-hop", "1"), ("set-cookie", "a=1")], Json(seen)).into_response()
}

async fn sum(body: Body) -> String {
    let mut stream = body.into_data_stream();
    let mut bytes = 0usize;
    while let Some(piece) = futures_util::StreamExt::next(&mut stream).await {
        bytes += piece.map_or(0, |piece| piece.len());
    }
    bytes.to_string()
}

async fn stream(axum::extract::Path(mebibytes): axum::extract::Path<usize>) -> Body {
    let pieces = (0..mebibytes).map(|_| Ok::<_, Infallible>(Bytes::from_static(&[7; 1 << 20])));
    Body::from_stream(futures_util::stream::iter(pieces))
}

/// A TCP app that hands each connection to the test.
pub async fn raw(tasks: &Tasks) -> (Address, mpsc::UnboundedReceiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (accepted, connections) = mpsc::unbounded_channel();
    tasks.spawn_cancellable(async move {
        while let Ok((stream, _)) = listener.accept().await {
            accepted.send(stream).ok();
        }
    });
    (Address::Port(port), connections)
}

/// Reads until the bytes end with this; what came.
pub async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut got = Vec::new();
    let mut byte = [0u8];
    while !got.ends_with(end.as_bytes()) {
        match stream.read(&mut byte).await {
            Ok(1) => got.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&got).into_owned()
}

/// Answers one request on a raw connection.
pub async fn answer(stream: &mut TcpStream, response: &str) -> String {
    let head = read_until(stream, "\r\n\r\n").await;
    stream.write_all(response.as_bytes()).await.unwrap();
    head
}
