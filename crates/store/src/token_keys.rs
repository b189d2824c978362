//! Public halves of the keys that gateways sign tokens with. Private halves never leave their gateway's memory.

use crate::database::{Record, signed, unsigned};
use crate::{Store, StoreError};
use sqlx::Row;

/// A key in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    /// RFC 7638 thumbprint.
    pub id: String,
    /// JSON of the public key (RFC 7517).
    pub jwk: String,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds from which on no token of it is accepted.
    pub retires_at: u64,
}

impl Store {
    /// Adds a key, or lets it live longer.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn keep_token_key(&self, key: &TokenKey) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO token_keys (kid, jwk, created_at, retires_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (kid) DO UPDATE SET retires_at = excluded.retires_at",
        )
        .bind(&key.id)
        .bind(&key.jwk)
        .bind(signed(key.created_at))
        .bind(signed(key.retires_at))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// The keys that are not retired, those that live longest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn token_keys(&self, now: u64, limit: u32) -> Result<Vec<TokenKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM token_keys WHERE retires_at > $1 ORDER BY retires_at DESC, created_at DESC, kid LIMIT $2",
        )
        .bind(signed(now))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(token_key).collect()
    }

    /// Drops keys that were retired before this time; how many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune_token_keys(&self, before: u64) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("DELETE FROM token_keys WHERE retires_at <= $1")
            .bind(signed(before))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

fn token_key(row: &Record) -> Result<TokenKey, StoreError> {
    Ok(TokenKey {
        id: row.try_get("kid")?,
        jwk: row.try_get("jwk")?,
        created_at: unsigned(row, "created_at")?,
        retires_at: unsigned(row, "retires_at")?,
    })
}
