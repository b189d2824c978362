//! Requests with an idempotency key: of all that come with the same one, one is executed, and its answer is kept for a day.

use names::Digest;
use sqlx::Row;

use crate::database::{Record, Write, parsed, signed, unsigned};
use crate::{Store, StoreError, UserId};

/// Keys kept for one user; the oldest that are done with go first.
pub const KEYS_PER_USER: u32 = 256;
/// How long an answer is kept, in seconds.
pub const KEPT_SECONDS: u64 = 24 * 3600;
/// After so many seconds an execution that has not ended is dead: its process was.
pub const LEASE_SECONDS: u64 = 180;

/// A request with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// Whose.
    pub user: UserId,
    /// SHA-256 of the key.
    pub key: Digest,
    /// SHA-256 of what is asked.
    pub fingerprint: Digest,
    /// Chosen at random: tells this execution from one that took its place.
    pub run: Digest,
    /// Unix seconds.
    pub now: u64,
}

/// An answer as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// HTTP status.
    pub status: u16,
    /// Its media type, when there is a body.
    pub media_type: Option<String>,
    /// The body, a text.
    pub body: String,
}

/// What is to be done with an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Execute it, then [`Store::finish_keyed`] or [`Store::forget_keyed`].
    Execute,
    /// It was done: this was the answer.
    Done(KeptAnswer),
    /// It is being done.
    Running,
    /// The key came with another request before.
    Mismatch,
    /// The user has too many requests with keys running.
    Full,
}

impl Store {
    /// Whether this attempt is the one to execute.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn begin_keyed(&self, attempt: &KeyedRequest) -> Result<Turn, StoreError> {
        let mut transaction = self.write().await?;
        drop_old(&mut transaction, attempt.now).await?;
        let row = sqlx::query("SELECT * FROM idempotency WHERE user_id = $1 AND key_hash = $2")
            .bind(attempt.user.to_string())
            .bind(attempt.key.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = row {
            let begun = before(&row, attempt)?;
            if begun != Turn::Execute {
                return Ok(begun);
            }
            delete(&mut transaction, &attempt.user, &attempt.key).await?;
        }
        if !make_room(&mut transaction, &attempt.user).await? {
            return Ok(Turn::Full);
        }
        sqlx::query(
            "INSERT INTO idempotency (user_id, key_hash, fingerprint, run, started_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(attempt.user.to_string())
        .bind(attempt.key.to_string())
        .bind(attempt.fingerprint.to_string())
        .bind(attempt.run.to_string())
        .bind(signed(attempt.now))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Turn::Execute)
    }

    /// Keeps the answer of an attempt that was executed; nothing happens where another execution has taken its place.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn finish_keyed(&self, attempt: &KeyedRequest, answer: &KeptAnswer) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "UPDATE idempotency SET status = $4, media_type = $5, body = $6
             WHERE user_id = $1 AND key_hash = $2 AND run = $3",
        )
        .bind(attempt.user.to_string())
        .bind(attempt.key.to_string())
        .bind(attempt.run.to_string())
        .bind(i64::from(answer.status))
        .bind(answer.media_type.as_deref())
        .bind(&answer.body)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// Frees the key of an attempt that has changed nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forget_keyed(&self, attempt: &KeyedRequest) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM idempotency WHERE user_id = $1 AND key_hash = $2 AND run = $3")
            .bind(attempt.user.to_string())
            .bind(attempt.key.to_string())
            .bind(attempt.run.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }
}

fn before(row: &Record, attempt: &KeyedRequest) -> Result<Turn, StoreError> {
    let status: Option<i64> = row.try_get("status")?;
    let started_at = unsigned(row, "started_at")?;
    if status.is_none() && started_at.saturating_add(LEASE_SECONDS) <= attempt.now {
        return Ok(Turn::Execute);
    }
    if parsed::<Digest>(row, "fingerprint")? != attempt.fingerprint {
        return Ok(Turn::Mismatch);
    }
    let Some(status) = status else { return Ok(Turn::Running) };
    Ok(Turn::Done(KeptAnswer {
        status: u16::try_from(status).map_err(|_| StoreError::Corrupt { column: "status" })?,
        media_type: row.try_get("media_type")?,
        body: row.try_get("body")?,
    }))
}

async fn drop_old(transaction: &mut Write, now: u64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM idempotency WHERE started_at <= $1")
        .bind(signed(now.saturating_sub(KEPT_SECONDS)))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn delete(transaction: &mut Write, user: &UserId, key: &Digest) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM idempotency WHERE user_id = $1 AND key_hash = $2")
        .bind(user.to_string())
        .bind(key.to_string())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Drops the user's oldest answer where there are as many as allowed; `false` where all of them still run.
async fn make_room(transaction: &mut Write, user: &UserId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS rows_of_user FROM idempotency WHERE user_id = $1")
        .bind(user.to_string())
        .fetch_one(&mut **transaction)
        .await?;
    if unsigned(&row, "rows_of_user")? < u64::from(KEYS_PER_USER) {
        return Ok(true);
    }
    let oldest = sqlx::query(
        "SELECT key_hash FROM idempotency WHERE user_id = $1 AND status IS NOT NULL ORDER BY started_at, key_hash LIMIT 1",
    )
    .bind(user.to_string())
    .fetch_optional(&mut **transaction)
    .await?;
    let Some(oldest) = oldest else { return Ok(false) };
    delete(transaction, user, &parsed(&oldest, "key_hash")?).await?;
    Ok(true)
}
