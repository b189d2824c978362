//! Who brought which file: what one user stores, and what nobody needs any more.

use std::collections::BTreeSet;

use names::Digest;
use sqlx::Row;

use crate::database::{Record, parsed, signed, unsigned};
use crate::enclaves::lock_user;
use crate::{Store, StoreError, UserId};

impl Store {
    /// Books a file on a user, before it is written. One that is booked already keeps its size and counts once.
    ///
    /// # Errors
    /// [`StoreError::StorageQuota`] when it does not fit, [`StoreError::NotFound`] for an unknown user.
    pub async fn book_blob(
        &self,
        user: &UserId,
        digest: &Digest,
        size: u64,
        limit: u64,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        lock_user(&mut transaction, user).await?;
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS used FROM blob_owners WHERE user_id = $1 AND digest <> $2",
        )
        .bind(user.to_string())
        .bind(digest.to_string())
        .fetch_one(&mut *transaction)
        .await?;
        if unsigned(&row, "used")?.saturating_add(size) > limit {
            return Err(StoreError::StorageQuota { limit });
        }
        sqlx::query(
            "INSERT INTO blob_owners (digest, user_id, size, uploaded_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (digest, user_id) DO UPDATE SET size = excluded.size, uploaded_at = excluded.uploaded_at",
        )
        .bind(digest.to_string())
        .bind(user.to_string())
        .bind(signed(size))
        .bind(signed(now))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// Whether somebody has booked the file at or after this time.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn booked_since(&self, digest: &Digest, since: u64) -> Result<bool, StoreError> {
        let row =
            sqlx::query("SELECT digest FROM blob_owners WHERE digest = $1 AND uploaded_at >= $2 LIMIT 1")
                .bind(digest.to_string())
                .bind(signed(since))
                .fetch_optional(self.readers())
                .await?;
        Ok(row.is_some())
    }

    /// Bytes that a user stores, without this file.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn stored_by(&self, user: &UserId, besides: &Digest) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS used FROM blob_owners WHERE user_id = $1 AND digest <> $2",
        )
        .bind(user.to_string())
        .bind(besides.to_string())
        .fetch_one(self.readers())
        .await?;
        unsigned(&row, "used")
    }

    /// Files that were booked before this time, and by nobody since, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn booked_before(&self, time: u64, limit: u32) -> Result<Vec<Digest>, StoreError> {
        let rows = sqlx::query(
            "SELECT digest FROM blob_owners GROUP BY digest HAVING MAX(uploaded_at) < $1 ORDER BY MAX(uploaded_at) LIMIT $2",
        )
        .bind(signed(time))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(|row| parsed(row, "digest")).collect()
    }

    /// Forgets who brought a file that is not there any more, unless somebody has brought it again since.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forget_blob(&self, digest: &Digest, before: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM blob_owners WHERE digest = $1 AND uploaded_at < $2")
            .bind(digest.to_string())
            .bind(signed(before))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// The manifests of all published versions, as JSON.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn manifests(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT manifest FROM apps").fetch_all(self.readers()).await?;
        rows.iter().map(|row: &Record| Ok(row.try_get("manifest")?)).collect()
    }

    /// The version digests of all enclaves.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn versions_in_use(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let rows =
            sqlx::query("SELECT DISTINCT version_digest FROM enclaves").fetch_all(self.readers()).await?;
        rows.iter().map(|row| parsed(row, "version_digest")).collect()
    }
}
