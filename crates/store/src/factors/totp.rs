//! Secrets of authenticator apps, sealed by the caller, and the newest step that was used of each.

use audit::Event;
use sqlx::Row;

use crate::database::{signed, unsigned};
use crate::{Store, StoreError, UserId};

impl Store {
    /// Keeps a secret that was shown, until it is confirmed or over. An older offer is replaced; the secret in use stays.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn offer_totp(&self, user: &UserId, secret: &str, expires_at: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO totp_offers (user_id, secret, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, expires_at = excluded.expires_at",
        )
        .bind(user.to_string())
        .bind(secret)
        .bind(signed(expires_at))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// The sealed secret that waits for its first code.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn offered_totp(&self, user: &UserId, now: u64) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT secret FROM totp_offers WHERE user_id = $1 AND expires_at > $2")
            .bind(user.to_string())
            .bind(signed(now))
            .fetch_optional(self.readers())
            .await?;
        Ok(row.map(|row| row.try_get("secret")).transpose()?)
    }

    /// Puts the offered secret in the place of the one in use; `step` is that of the code that confirmed it. It is said in the audit log. `false` when the offer has changed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn confirm_totp(
        &self,
        user: &UserId,
        secret: &str,
        step: u64,
        act: Event,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let taken = sqlx::query("DELETE FROM totp_offers WHERE user_id = $1 AND secret = $2")
            .bind(user.to_string())
            .bind(secret)
            .execute(&mut *transaction)
            .await?;
        if taken.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO totp (user_id, secret, last_step, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id) DO UPDATE
             SET secret = excluded.secret, last_step = excluded.last_step, created_at = excluded.created_at",
        )
        .bind(user.to_string())
        .bind(secret)
        .bind(signed(step))
        .bind(signed(act.at))
        .execute(&mut *transaction)
        .await?;
        crate::audit::append(&mut transaction, act).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The sealed secret in use.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn totp_secret(&self, user: &UserId) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT secret FROM totp WHERE user_id = $1")
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await?;
        Ok(row.map(|row| row.try_get("secret")).transpose()?)
    }

    /// Uses a step up, and all before it; `false` when it was used before or the secret has changed. Of many callers with the same step one wins.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn use_totp_step(&self, user: &UserId, secret: &str, step: u64) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query(
            "UPDATE totp SET last_step = $3 WHERE user_id = $1 AND secret = $2 AND last_step < $3",
        )
        .bind(user.to_string())
        .bind(secret)
        .bind(signed(step))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// When the app was added.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn totp_since(&self, user: &UserId) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query("SELECT created_at FROM totp WHERE user_id = $1")
            .bind(user.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| unsigned(&row, "created_at")).transpose()
    }

    /// Forgets the account's secret and offer; `false` when there was no secret.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove_totp(&self, user: &UserId, act: Event) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM totp_offers WHERE user_id = $1")
            .bind(user.to_string())
            .execute(&mut *transaction)
            .await?;
        let done = sqlx::query("DELETE FROM totp WHERE user_id = $1")
            .bind(user.to_string())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 1 {
            crate::audit::append(&mut transaction, act).await?;
        }
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}
