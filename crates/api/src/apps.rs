//! Blobs and apps.

use alloc::{string::String, vec::Vec};

use names::Digest;
use serde::{Deserialize, Serialize};
use workload::{AppName, AppVersion, Manifest};

/// `POST /v1/blobs/missing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobDigests {
    /// SHA-256 of each; at most [`crate::bounds::MISSING_DIGESTS`].
    pub digests: Vec<Digest>,
}

/// Answer: those that must be uploaded by `PUT /v1/blobs/{sha256}` first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingBlobs {
    /// In the order of the question.
    pub missing: Vec<Digest>,
}

/// `POST /v1/apps`: 201 when new, 200 when the same was published before; both answer with [`App`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishApp {
    /// The resolved form of the app.
    pub manifest: Manifest,
    /// Compact ES256 JWS over [`workload::VersionRecord`], `typ` [`RECORD_TYP`], `x5c` = the publisher's self-signed certificate.
    pub record: String,
}

/// `typ` of a record's JWS.
pub const RECORD_TYP: &str = "sealwright-record+jwt";

/// One version of an app: `GET /v1/apps/{name}` (the newest; `?version=` for another).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Name.
    pub name: AppName,
    /// Version.
    pub version: AppVersion,
    /// Version digest.
    pub digest: Digest,
    /// The publisher's signed record; a client that wants to rely on it verifies it itself.
    pub record: String,
    /// The resolved form of the app.
    pub manifest: Manifest,
}

/// `GET /v1/apps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppList {
    /// Newest first, at most [`crate::bounds::PAGE_ROWS`].
    pub apps: Vec<AppSummary>,
    /// For `?cursor=`, when there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One version of an app in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSummary {
    /// Name.
    pub name: AppName,
    /// Version.
    pub version: AppVersion,
    /// Version digest.
    pub digest: Digest,
    /// SHA-256 of the publisher's SPKI.
    pub publisher: Digest,
    /// When it was published, unix seconds.
    pub created_at: u64,
}
