//! Files that no published version needs any more, or never did.
//!
//! Invariant: a file goes only when it was neither brought nor asked for within the grace time, and no published version has it, looked up
//! after its name was taken away. Who publishes asks for its files first, so it either is seen here or sees that one is missing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use names::Digest;
use packing::{Aside, BlobError};
use server::telemetry::chain;
use store::StoreError;
use tokio::task::JoinError;
use workload::Manifest;

use crate::apps::blobs_of;
use crate::shared::{Shared, now};

/// Looks in one grace time, and the bounds of the pause between two.
const LOOKS: u64 = 24;
const SHORTEST: u64 = 1;
const LONGEST: u64 = 3600;
/// Bookings without a file that are dropped at once.
const BOOKINGS: u32 = 1000;

/// Why a sweep ended early. What was set aside is put back by the next one.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error("the store")]
    Store(#[from] StoreError),
    #[error("the files")]
    Blob(#[from] BlobError),
    #[error("a published manifest can't be read")]
    Manifest(#[from] serde_json::Error),
    #[error("a thread of the sweep")]
    Thread(#[from] JoinError),
}

/// Sweeps until it is dropped.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    let grace = shared.lives.unused_files;
    let pause = (grace / LOOKS).clamp(SHORTEST, LONGEST);
    loop {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        match once(&shared, grace).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "unused files removed"),
            Err(error) => tracing::warn!(error = %chain(&error), "unused files were not looked for"),
        }
    }
}

/// How many were removed.
async fn once(shared: &Shared, grace: u64) -> Result<usize, SweepError> {
    let since = now().saturating_sub(grace);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(since);
    let unused = blocking(shared, move |blobs| {
        blobs.put_all_back()?;
        blobs.unused_since(time)
    });
    let unused = without_bookings(shared, unused.await?, since).await?;
    let needed = needed(shared).await?;
    let candidates: Vec<Digest> = unused.into_iter().filter(|digest| !needed.contains(digest)).collect();
    let aside = blocking(shared, move |blobs| {
        let set_aside = |digest| Some((digest, blobs.set_aside(&digest).ok()?));
        Ok(candidates.into_iter().filter_map(set_aside).collect::<Vec<_>>())
    });
    let aside = aside.await?;
    // Somebody may have published one of them meanwhile.
    let needed = self::needed(shared).await?;
    let removed = blocking(shared, move |_| end(aside, &needed, time)).await?;
    for digest in &removed {
        shared.store.forget_blob(digest, since).await?;
    }
    forget_bookings(shared, since).await?;
    Ok(removed.len())
}

/// Those that nobody has brought again since.
async fn without_bookings(
    shared: &Shared,
    digests: Vec<Digest>,
    since: u64,
) -> Result<Vec<Digest>, SweepError> {
    let mut unbooked = Vec::new();
    for digest in digests {
        if !shared.store.booked_since(&digest, since).await? {
            unbooked.push(digest);
        }
    }
    Ok(unbooked)
}

/// The files of all published versions. One manifest that can't be read ends the sweep: nothing is guessed.
async fn needed(shared: &Shared) -> Result<BTreeSet<Digest>, SweepError> {
    let mut needed = BTreeSet::new();
    for text in shared.store.manifests().await? {
        let manifest: Manifest = serde_json::from_str(&text)?;
        needed.extend(blobs_of(&manifest));
    }
    Ok(needed)
}

fn end(
    aside: Vec<(Digest, Aside)>,
    needed: &BTreeSet<Digest>,
    time: SystemTime,
) -> Result<Vec<Digest>, BlobError> {
    let mut removed = Vec::new();
    for (digest, file) in aside {
        if needed.contains(&digest) || !file.is_unused_since(time)? {
            file.put_back()?;
        } else {
            file.remove()?;
            removed.push(digest);
        }
    }
    Ok(removed)
}

/// Bookings whose file never came, or has gone.
async fn forget_bookings(shared: &Shared, since: u64) -> Result<(), SweepError> {
    let booked = shared.store.booked_before(since, BOOKINGS).await?;
    let gone = blocking(shared, move |blobs| Ok(blobs.missing(&booked))).await?;
    for digest in gone {
        shared.store.forget_blob(&digest, since).await?;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&packing::Blobs) -> Result<T, BlobError> + Send + 'static,
) -> Result<T, SweepError> {
    let blobs = shared.blobs.clone();
    let done = tokio::task::spawn_blocking(move || work(&blobs)).await;
    Ok(done??)
}
