//! One request on one connection: TLS 1.3 with the operator's roots, no redirect, every size and wait bounded.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Largest answer, in bytes.
const ANSWER_BYTES: usize = 256 << 10;
/// The whole exchange.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not `https://HOST…`.
    #[error("{0} is no https address")]
    Address(String),
    /// The provider can't be reached, or its certificate leads to none of the roots.
    #[error("connect")]
    Connect(#[source] std::io::Error),
    /// The exchange broke off.
    #[error("the exchange broke off")]
    Broken(#[source] hyper::Error),
    /// The answer is too large or did not arrive whole.
    #[error("the answer did not arrive whole")]
    Body,
    /// It took too long.
    #[error("no answer in time")]
    Slow,
    /// The request can't be made.
    #[error("make the request")]
    Request(#[source] http::Error),
}

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// What is sent.
pub(crate) struct Form<'a> {
    pub(crate) body: String,
    pub(crate) authorization: Option<&'a str>,
}

pub(crate) async fn get(tls: &TlsConnector, address: &str) -> Result<Answer, FetchError> {
    send(tls, address, None).await
}

pub(crate) async fn post(tls: &TlsConnector, address: &str, form: Form<'_>) -> Result<Answer, FetchError> {
    send(tls, address, Some(form)).await
}

async fn send(tls: &TlsConnector, address: &str, form: Option<Form<'_>>) -> Result<Answer, FetchError> {
    tokio::time::timeout(DEADLINE, exchange(tls, address, form)).await.map_err(|_| FetchError::Slow)?
}

async fn exchange(tls: &TlsConnector, address: &str, form: Option<Form<'_>>) -> Result<Answer, FetchError> {
    let wrong = || FetchError::Address(address.to_owned());
    let uri: Uri = address.parse().map_err(|_| wrong())?;
    if uri.scheme_str() != Some("https") {
        return Err(wrong());
    }
    let authority =
        uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
    let (host, port) = (authority.host(), authority.port_u16().unwrap_or(443));
    let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong())?;
    let stream = TcpStream::connect((host, port)).await.map_err(FetchError::Connect)?;
    let stream = tls.connect(name, stream).await.map_err(FetchError::Connect)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(FetchError::Broken)?;
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut request = Request::builder()
        .uri(path)
        .header(header::HOST, authority.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close");
    let body = match form {
        None => Bytes::new(),
        Some(form) => {
            request = request
                .method(Method::POST)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            if let Some(authorization) = form.authorization {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            Bytes::from(form.body)
        }
    };
    let request = request.body(Full::new(body)).map_err(FetchError::Request)?;
    let work = async {
        let answer = sender.send_request(request).await.map_err(FetchError::Broken)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|_| FetchError::Body)?.to_bytes();
        Ok(Answer { status, body })
    };
    // The connection moves only while it is asked; its own error is also that of the request.
    let (answer, _) = tokio::join!(work, connection);
    answer
}
