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
use packing::{BlobError, BlobWriter, Blobs};
use store::StoreError;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::extract::{Caller, Json, declared_length, media_type};
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::shared::{Shared, now};
use crate::timeouts::upload_allowance;

mod sweep;

pub(crate) use sweep::sweep;

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
    // Who asks is about to publish: what is there stays there until then.
    tokio::task::spawn_blocking(move || blobs.wanted(&digests)).await.map_err(Refusal::internal)
}

/// `PUT /v1/blobs/{sha256}`: written as it comes, named only when its hash is right and its user has room for it.
pub(crate) async fn upload(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
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
    let limit = shared.lives.stored_bytes;
    if let Some(length) = declared_length(&headers) {
        if length > BLOB_BYTES {
            return Err(too_large());
        }
        // Before a byte is read; what counts is booked below, when the size is known.
        if shared.store.stored_by(&caller.user, &digest).await?.saturating_add(length) > limit {
            return Err(StoreError::StorageQuota { limit }.into());
        }
    }
    let busy = |_| Refusal::new(Code::Busy, "too many uploads at once");
    let turn = Arc::clone(&shared.uploads).try_acquire_owned().map_err(busy)?;
    let (pieces, incoming) = mpsc::channel(PIECES);
    let blobs = shared.blobs.clone();
    let written = tokio::task::spawn_blocking(move || write(&blobs, &digest, incoming));
    let sent = send(body, pieces, shared.timeouts.body()).await;
    // The writer's word first: when the disk is full, it is the reason why the pieces did not go through.
    let written = written.await.map_err(Refusal::internal)?;
    let writer = match (sent, written) {
        (Ok(()), Ok(writer)) => writer,
        (Err(Some(refusal)), _) => return Err(refusal),
        (_, Err(error)) => return Err(error.into()),
        (Err(None), Ok(_)) => return Err(Refusal::new(Code::Malformed, "the body did not arrive whole")),
    };
    // Booked before it is there: a crash in between leaves a booking, which the sweep finds, and never a file that nobody has booked.
    shared.store.book_blob(&caller.user, &digest, writer.size(), limit, now()).await?;
    let named = tokio::task::spawn_blocking(move || writer.finish(&digest)).await;
    named.map_err(Refusal::internal)??;
    drop(turn);
    Ok(StatusCode::NO_CONTENT)
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
fn write(blobs: &Blobs, digest: &Digest, mut pieces: mpsc::Receiver<Bytes>) -> Result<BlobWriter, BlobError> {
    let mut writer = blobs.writer()?;
    while let Some(piece) = pieces.blocking_recv() {
        writer.write(&piece)?;
    }
    writer.check(digest)?;
    Ok(writer)
}

fn too_large() -> Refusal {
    Refusal::new(Code::TooLarge, format!("a blob has at most {BLOB_BYTES} bytes"))
}
