//! One HTTP/1.1 call over a Unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// Longest wait for an answer: a slow TPM with a full queue included.
const DEADLINE: Duration = Duration::from_secs(60);
/// Largest answer: evidence with its enclave log.
const MAX_ANSWER: usize = evidence::MAX_MESSAGE;

/// Why a call to the agent gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answers at the socket.
    #[error("connect to the agent at {}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The agent refused; the code is stable.
    #[error("the agent refused: {code}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Stable reason code.
        code: String,
        /// A sentence for people.
        detail: String,
    },
    /// The exchange broke off.
    #[error("talk to the agent")]
    Http(#[from] hyper::Error),
    /// The answer is larger than allowed or broke off.
    #[error("read the agent's answer: {0}")]
    Body(String),
    /// No answer in time.
    #[error("the agent did not answer within {} s", DEADLINE.as_secs())]
    Deadline,
    /// The answer is not what the API says.
    #[error("the agent's answer has another form")]
    Form(#[from] serde_json::Error),
}

/// Sends JSON, reads JSON.
pub(crate) async fn call<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<T, CallError> {
    let answer = call_raw(socket, method, path, body).await?;
    Ok(serde_json::from_slice(&answer)?)
}

/// Sends JSON, reads bytes.
pub(crate) async fn call_raw(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<Vec<u8>, CallError> {
    let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
    tokio::time::timeout(DEADLINE, exchange(socket, method, path, body))
        .await
        .map_err(|_| CallError::Deadline)?
}

async fn exchange(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> Result<Vec<u8>, CallError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| CallError::Connect { socket: socket.to_path_buf(), source })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder().method(method).uri(path);
    if let Some(parent) = server::trace::header() {
        request = request.header(server::trace::HEADER, parent);
    }
    let request = request
        .header(header::HOST, "agent")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| CallError::Body(error.to_string()))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let collected = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let bytes = collected.map_err(|error| CallError::Body(error.to_string()))?.to_bytes();
        if status.is_success() { Ok(bytes.to_vec()) } else { Err(refusal(status.as_u16(), &bytes)) }
    };
    // The connection is driven by this call and ends with it.
    tokio::pin!(answer);
    tokio::pin!(connection);
    tokio::select! {
        result = &mut answer => result,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

fn refusal(status: u16, body: &[u8]) -> CallError {
    #[derive(serde::Deserialize)]
    struct Problem {
        code: String,
        detail: String,
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => CallError::Refused { status, code: problem.code, detail: problem.detail },
        Err(_) => CallError::Refused { status, code: "unknown".into(), detail: String::new() },
    }
}
