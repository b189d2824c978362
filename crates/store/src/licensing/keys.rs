//! Public halves of the keys that sign licence files.

use licensing::VerifyKey;
use names::{hex, unhex};
use sqlx::Row;

use super::time;
use crate::database::{Record, signed, unsigned};
use crate::{Store, StoreError};

/// A key that signs licence files, or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LicenseKey {
    /// The public key.
    pub key: VerifyKey,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds: no file of it is in force from then on.
    pub retires_at: Option<u64>,
}

impl Store {
    /// Makes a key known; a known one stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn publish_license_key(&self, key: &VerifyKey, now: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO license_keys (kid, public_key, created_at) VALUES ($1, $2, $3) ON CONFLICT (kid) DO NOTHING",
        )
        .bind(key.id())
        .bind(hex(key.as_bytes()))
        .bind(signed(now))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// Says from when on no file of a key is in force.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn retire_license_key(&self, key: &VerifyKey, at: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let done =
            sqlx::query("UPDATE license_keys SET retires_at = COALESCE(retires_at, $2) WHERE kid = $1")
                .bind(key.id())
                .bind(signed(at))
                .execute(&mut *transaction)
                .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound);
        }
        transaction.commit().await
    }

    /// Keys of which files may be in force, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn license_keys(&self, now: u64, limit: u32) -> Result<Vec<LicenseKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM license_keys WHERE retires_at IS NULL OR retires_at > $1 ORDER BY created_at DESC, kid LIMIT $2",
        )
        .bind(signed(now))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(key).collect()
    }
}

fn key(row: &Record) -> Result<LicenseKey, StoreError> {
    let bytes =
        unhex(row.try_get("public_key")?).map_err(|_| StoreError::Corrupt { column: "public_key" })?;
    Ok(LicenseKey {
        key: VerifyKey::from_bytes(bytes),
        created_at: unsigned(row, "created_at")?,
        retires_at: time(row, "retires_at")?,
    })
}
