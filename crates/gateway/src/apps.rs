//! The catalogue of apps: a version is what its publisher signed.

use std::sync::Arc;

use api::Code;
use api::apps::{App, AppList, AppSummary, PublishApp, RECORD_TYP};
use api::bounds::APP_BODY_BYTES;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use http::StatusCode;
use names::Digest;
use pki::jws::{JwsError, Unverified};
use serde::Deserialize;
use store::{NewApp, Published};
use workload::{AppName, AppVersion, Entry, Manifest, VersionRecord};

use crate::blobs::look_up;
use crate::extract::{Caller, Json, Page};
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::seen::Seen;
use crate::shared::{Shared, now};

pub(crate) fn routes() -> Routes {
    Routes::new().route("/v1/apps", post(publish).get(list)).route("/v1/apps/{name}", get(one))
}

/// How far the publisher's clock may be ahead, in seconds.
const CLOCK_LEEWAY: u64 = 300;

/// `POST /v1/apps`
pub(crate) async fn publish(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    Json(request): Json<PublishApp, APP_BODY_BYTES>,
) -> Result<(StatusCode, axum::Json<App>), Refusal> {
    let (record, publisher) = verify_record(&request.record).map_err(|error| {
        Refusal::because(Code::InvalidRecord, format!("the record is refused: {error}"), error)
    })?;
    if record.digest != request.manifest.digest() {
        return Err(Refusal::new(Code::InvalidRecord, "the record is about another manifest"));
    }
    if record.issued_at > now().saturating_add(CLOCK_LEEWAY) {
        return Err(Refusal::new(Code::InvalidRecord, "the record was issued in the future"));
    }
    let missing = look_up(&shared.blobs, blobs_of(&request.manifest)).await?;
    if !missing.is_empty() {
        return Err(Refusal::new(
            Code::BlobsMissing,
            format!("{} files have not been uploaded", missing.len()),
        ));
    }
    let app = NewApp {
        name: record.name.to_string(),
        version: record.version.to_string(),
        digest: record.digest,
        manifest: serde_json::to_string(&request.manifest).map_err(Refusal::internal)?,
        record: request.record,
        publisher,
        owner: caller.user,
        created_at: now(),
    };
    let event = seen.done(&caller.user, "app.publish", &format!("{}@{}", app.name, app.version));
    let status = match shared.store.publish_app(&app, event).await? {
        Published::New => StatusCode::CREATED,
        Published::Before => StatusCode::OK,
    };
    let stored = shared.store.app_version(&app.name, &app.version).await?.ok_or_else(not_found)?;
    tracing::info!(app = app.name, version = app.version, digest = %app.digest, user = %caller.user, "published");
    Ok((status, axum::Json(view(stored)?)))
}

/// `GET /v1/apps`
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    _caller: Caller,
    page: Page<u64>,
) -> Result<axum::Json<AppList>, Refusal> {
    let mut rows = shared.store.apps(page.after().copied(), page.rows()).await?;
    let next_cursor = page.cut(&mut rows, |row| row.position)?;
    let apps = rows.into_iter().map(|row| {
        let (name, version) = parse(&row.name, &row.version)?;
        Ok(AppSummary {
            name,
            version,
            digest: row.digest,
            publisher: row.publisher,
            created_at: row.created_at,
        })
    });
    Ok(axum::Json(AppList { apps: apps.collect::<Result<_, Refusal>>()?, next_cursor }))
}

/// `?version=`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    version: Option<AppVersion>,
}

/// `GET /v1/apps/{name}`
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    _caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Which>, QueryRejection>,
) -> Result<axum::Json<App>, Refusal> {
    let name: AppName = path.ok().and_then(|Path(text)| text.parse().ok()).ok_or_else(not_found)?;
    let Query(which) = query.map_err(|error| Refusal::new(Code::Malformed, error.body_text()))?;
    Ok(axum::Json(view(find(&shared, &name, which.version.as_ref()).await?)?))
}

/// The version, or the newest.
pub(crate) async fn find(
    shared: &Shared,
    name: &AppName,
    version: Option<&AppVersion>,
) -> Result<store::App, Refusal> {
    let app = match version {
        Some(version) => shared.store.app_version(name.as_str(), version.as_str()).await?,
        None => shared.store.newest_app(name.as_str()).await?,
    };
    app.ok_or_else(not_found)
}

/// Checks the publisher's signature with the key of the certificate that the record itself carries: which publisher is to be believed is the
/// reader's choice, here only the first one keeps the name. Returns the record and the SHA-256 of that key.
fn verify_record(text: &str) -> Result<(VersionRecord, Digest), JwsError> {
    let unverified = Unverified::parse(text)?.expect_type(RECORD_TYP)?;
    let [leaf] = unverified.chain().ok_or(JwsError::NoChain)? else { return Err(JwsError::Header) };
    let certificate = pki::Certificate::from_der(leaf).map_err(|_| JwsError::Header)?;
    let key = certificate.public_key().map_err(|_| JwsError::Header)?;
    certificate.verify_signature(&key)?;
    let publisher = Digest::from_bytes(certificate.spki_sha256());
    Ok((unverified.verify(&key)?.claims()?, publisher))
}

/// The files that a version consists of.
pub(crate) fn blobs_of(manifest: &Manifest) -> Vec<Digest> {
    let digest = |entry: &Entry| match entry {
        Entry::File { sha256, .. } => Some(*sha256),
        Entry::Directory { .. } | Entry::Symlink { .. } => None,
    };
    manifest.entries().iter().filter_map(digest).collect()
}

fn view(app: store::App) -> Result<App, Refusal> {
    let (name, version) = parse(&app.name, &app.version)?;
    let manifest = serde_json::from_str(&app.manifest).map_err(Refusal::internal)?;
    Ok(App { name, version, digest: app.digest, record: app.record, manifest })
}

fn parse(name: &str, version: &str) -> Result<(AppName, AppVersion), Refusal> {
    Ok((name.parse().map_err(Refusal::internal)?, version.parse().map_err(Refusal::internal)?))
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such app or version")
}
