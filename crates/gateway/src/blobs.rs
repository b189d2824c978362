//! Files of apps, by their SHA-256.

use std::sync::Arc;
use std::time::Duration;

use api::Code;
use api::apps::{BlobDigests, MissingBlobs};
use api::bounds::{BLOB_BYTES, MISSING_DIGESTS};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::{post, put};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use names::Digest;
use packing::{BlobError, Blobs};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::extract::{Caller, Json, declared_length, media_type};
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::shared::Shared;
use crate::timeouts::upload_allowance;

pub(crate) fn routes() -> Routes {
    Routes::new().route("/v1/blobs/missing", post(missing)).route("/v1/blobs/{digest}", put(upload))
}

/// Pieces between the connection and the disk.
const PIECES: usize = 8;

/// `POST /v1/blobs/missing`
pub(crate) async fn missing(
    State(shared): State<Arc<Shared>>,
    _caller: Caller,
    Json(request): Json<BlobDigests>,
) -> Result<axum::Json<MissingBlobs>, Refusal> {
    if request.digests.len() > MISSING_DIGESTS {
        return Err(Refusal::new(
            Code::TooLarge,
            format!("at most {MISSING_DIGESTS} digests in one question"),
        ));
    }
    let missing = look_up(&shared.blobs, request.digests).await?;
    Ok(axum::Json(MissingBlobs { missing }))
}

/// Those of the digests that are not there.
pub(crate) async fn look_up(blobs: &Blobs, digests: Vec<Digest>) -> Result<Vec<Digest>, Refusal> {
    let blobs = blobs.clone();
    tokio::task::spawn_blocking(move || blobs.missing(&digests)).await.map_err(Refusal::internal)
}

/// `PUT /v1/blobs/{sha256}`: written as it comes, named only when its hash is right.
pub(crate) async fn upload(
    State(shared): State<Arc<Shared>>,
    _caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let digest: Option<Digest> = path.ok().and_then(|Path(text)| text.parse().ok());
    let digest =
        digest.ok_or_else(|| Refusal::new(Code::InvalidDigest, "64 lower-case hex digits are needed"))?;
    if media_type(&headers).is_some_and(|media| !media.eq_ignore_ascii_case("application/octet-stream")) {
        return Err(Refusal::new(Code::UnsupportedMediaType, "send application/octet-stream"));
    }
    if declared_length(&headers).is_some_and(|length| length > BLOB_BYTES) {
        return Err(too_large());
    }
    let busy = |_| Refusal::new(Code::Busy, "too many uploads at once");
    let turn = Arc::clone(&shared.uploads).try_acquire_owned().map_err(busy)?;
    let (pieces, incoming) = mpsc::channel(PIECES);
    let blobs = shared.blobs.clone();
    let written = tokio::task::spawn_blocking(move || {
        let written = write(&blobs, &digest, incoming);
        drop(turn);
        written
    });
    let sent = send(body, pieces, shared.timeouts.body()).await;
    // The writer's word first: when the disk is full, it is the reason why the pieces did not go through.
    let written = written.await.map_err(Refusal::internal)?;
    match (sent, written) {
        (Ok(()), Ok(())) => Ok(StatusCode::NO_CONTENT),
        (Err(Some(refusal)), _) => Err(refusal),
        (_, Err(error)) => Err(error.into()),
        (Err(None), Ok(())) => Err(Refusal::new(Code::Malformed, "the body did not arrive whole")),
    }
}

/// Passes the body on; `Err(None)` when the writer has stopped.
async fn send(
    mut body: Body,
    pieces: mpsc::Sender<Bytes>,
    piece_timeout: Duration,
) -> Result<(), Option<Refusal>> {
    let began = Instant::now();
    let mut total: u64 = 0;
    loop {
        let until = (began + upload_allowance(total)).min(Instant::now() + piece_timeout);
        let frame = match tokio::time::timeout_at(until, body.frame()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => {
                return Err(Some(Refusal::new(Code::Malformed, "the body did not arrive whole")));
            }
            Err(_) => return Err(Some(Refusal::new(Code::RequestTimeout, "the body took too long"))),
        };
        let Ok(piece) = frame.into_data() else { continue };
        total = total.saturating_add(piece.len() as u64);
        if total > BLOB_BYTES {
            return Err(Some(too_large()));
        }
        pieces.send(piece).await.map_err(|_| None)?;
    }
}

/// A body that ends early has another hash, so nothing of it stays.
fn write(blobs: &Blobs, digest: &Digest, mut pieces: mpsc::Receiver<Bytes>) -> Result<(), BlobError> {
    let mut writer = blobs.writer()?;
    while let Some(piece) = pieces.blocking_recv() {
        writer.write(&piece)?;
    }
    writer.finish(digest)
}

fn too_large() -> Refusal {
    Refusal::new(Code::TooLarge, format!("a blob has at most {BLOB_BYTES} bytes"))
}
