//! Published apps. A name belongs to the account that published it first; a version never changes.

use audit::Event;
use names::Digest;
use sqlx::Row;

use crate::audit::append;
use crate::database::{Record, parsed, signed, unsigned};
use crate::{Store, StoreError, UserId};

/// What is published.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Version digest.
    pub digest: Digest,
    /// Manifest as JSON.
    pub manifest: String,
    /// The publisher's JWS.
    pub record: String,
    /// SHA-256 of the publisher's SPKI.
    pub publisher: Digest,
    /// The account.
    pub owner: UserId,
    /// Unix seconds.
    pub created_at: u64,
}

/// A stored version of an app; the same fields.
pub type App = NewApp;

/// A line of the catalogue.
#[derive(Clone, Debug)]
pub struct AppSummary {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Version digest.
    pub digest: Digest,
    /// SHA-256 of the publisher's SPKI.
    pub publisher: Digest,
    /// Its place in the order of publishing.
    pub position: u64,
    /// Unix seconds.
    pub created_at: u64,
}

/// What came of publishing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It was new.
    New,
    /// The same content was published before; the first record stays.
    Before,
}

impl Store {
    /// Adds a version of an app, and says so in the audit log when it is new.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] when the name belongs to another account, [`StoreError::VersionConflict`] when the version has another digest.
    pub async fn publish_app(&self, app: &NewApp, event: Event) -> Result<Published, StoreError> {
        let mut transaction = self.write().await?;
        let rows = sqlx::query("SELECT owner, version, digest FROM apps WHERE name = $1 ORDER BY position")
            .bind(&app.name)
            .fetch_all(&mut *transaction)
            .await?;
        for row in &rows {
            if parsed::<UserId>(row, "owner")? != app.owner {
                return Err(StoreError::NameTaken);
            }
            if row.try_get::<&str, _>("version")? == app.version {
                let same = parsed::<Digest>(row, "digest")? == app.digest;
                return if same { Ok(Published::Before) } else { Err(StoreError::VersionConflict) };
            }
        }
        sqlx::query(
            "INSERT INTO apps (name, version, digest, manifest, record, publisher, owner, position, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, (SELECT COALESCE(MAX(position), 0) + 1 FROM apps), $8)",
        )
        .bind(&app.name)
        .bind(&app.version)
        .bind(app.digest.to_string())
        .bind(&app.manifest)
        .bind(&app.record)
        .bind(app.publisher.to_string())
        .bind(app.owner.to_string())
        .bind(signed(app.created_at))
        .execute(&mut *transaction)
        .await?;
        append(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(Published::New)
    }

    /// The version of an app that was published last.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn newest_app(&self, name: &str) -> Result<Option<App>, StoreError> {
        let row = sqlx::query("SELECT * FROM apps WHERE name = $1 ORDER BY position DESC LIMIT 1")
            .bind(name)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(app).transpose()
    }

    /// One version of an app.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn app_version(&self, name: &str, version: &str) -> Result<Option<App>, StoreError> {
        let row = sqlx::query("SELECT * FROM apps WHERE name = $1 AND version = $2")
            .bind(name)
            .bind(version)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(app).transpose()
    }

    /// An app by its version digest (the same content may have been published under several names: the first).
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn app_by_digest(&self, digest: &Digest) -> Result<Option<App>, StoreError> {
        let row = sqlx::query("SELECT * FROM apps WHERE digest = $1 ORDER BY position LIMIT 1")
            .bind(digest.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(app).transpose()
    }

    /// All versions of all apps without their manifests, the newest first, at most `limit`; those before a position, or from the newest on.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn apps(&self, before: Option<u64>, limit: u32) -> Result<Vec<AppSummary>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, version, digest, publisher, position, created_at FROM apps WHERE position < $1 ORDER BY position DESC LIMIT $2",
        )
        .bind(before.map_or(i64::MAX, signed))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(summary).collect()
    }
}

fn summary(row: &Record) -> Result<AppSummary, StoreError> {
    Ok(AppSummary {
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        digest: parsed(row, "digest")?,
        publisher: parsed(row, "publisher")?,
        position: unsigned(row, "position")?,
        created_at: unsigned(row, "created_at")?,
    })
}

fn app(row: &Record) -> Result<App, StoreError> {
    Ok(App {
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        digest: parsed(row, "digest")?,
        manifest: row.try_get("manifest")?,
        record: row.try_get("record")?,
        publisher: parsed(row, "publisher")?,
        owner: parsed(row, "owner")?,
        created_at: unsigned(row, "created_at")?,
    })
}
