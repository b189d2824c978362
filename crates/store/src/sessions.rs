//! Login sessions and their rotating refresh tokens (RFC 9700, 4.14).

use names::Digest;

use sqlx::Row;

use crate::database::{Record, Write, parsed, parsed_option, signed, unsigned};
use crate::{SessionId, Store, StoreError, UserId};

/// Sessions kept per user; the oldest go when more come.
const SESSIONS_PER_USER: i64 = 50;
/// Refreshes per session; each leaves a spent token behind.
const GENERATIONS: i64 = 10_000;

/// What a login brings.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// New id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// SHA-256 of the first refresh token.
    pub refresh_hash: Digest,
    /// SHA-256 of the client certificate that the session is bound to.
    pub cnf: Option<Digest>,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
}

/// A stored session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// SHA-256 of the client certificate that it is bound to.
    pub cnf: Option<Digest>,
    /// Counts refreshes.
    pub generation: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// Unix seconds, once signed out or revoked.
    pub revoked_at: Option<u64>,
}

/// What came of an exchange of refresh tokens.
#[derive(Clone, Debug)]
pub enum Rotation {
    /// The new token holds.
    Rotated(Session),
    /// The token had been exchanged before: the session is revoked now.
    Reused(SessionId),
    /// The session is bound to another certificate; nothing has changed.
    WrongCertificate,
    /// The session was over.
    Ended,
    /// No such token.
    Unknown,
}

impl Store {
    /// Adds a session and drops the user's oldest ones above the bound.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn create_session(&self, session: &NewSession) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO sessions (id, user_id, refresh_hash, generation, cnf, created_at, expires_at)
             VALUES ($1, $2, $3, 0, $4, $5, $6)",
        )
        .bind(session.id.to_string())
        .bind(session.user.to_string())
        .bind(session.refresh_hash.to_string())
        .bind(session.cnf.map(|cnf| cnf.to_string()))
        .bind(signed(session.created_at))
        .bind(signed(session.expires_at))
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "DELETE FROM sessions WHERE user_id = $1 AND id <> $2 AND id NOT IN
             (SELECT id FROM sessions WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT $3)",
        )
        .bind(session.user.to_string())
        .bind(session.id.to_string())
        .bind(SESSIONS_PER_USER)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// The session, over or not.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn session(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query("SELECT * FROM sessions WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(session).transpose()
    }

    /// Exchanges a refresh token for the next one; of many callers with the same token one wins. `cnf` is the certificate of this connection.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn rotate_refresh(
        &self,
        old: &Digest,
        new: &Digest,
        cnf: Option<&Digest>,
        now: u64,
    ) -> Result<Rotation, StoreError> {
        let mut transaction = self.write().await?;
        let row = sqlx::query("SELECT * FROM sessions WHERE refresh_hash = $1")
            .bind(old.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else {
            return revoke_if_spent(transaction, old, now).await;
        };
        let mut session = session(&row)?;
        if session.revoked_at.is_some()
            || session.expires_at <= now
            || signed(session.generation) >= GENERATIONS
        {
            return Ok(Rotation::Ended);
        }
        if session.cnf.is_some() && session.cnf.as_ref() != cnf {
            return Ok(Rotation::WrongCertificate);
        }
        sqlx::query("UPDATE sessions SET refresh_hash = $2, generation = generation + 1 WHERE id = $1")
            .bind(session.id.to_string())
            .bind(new.to_string())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("INSERT INTO spent_refresh_tokens (refresh_hash, session_id) VALUES ($1, $2)")
            .bind(old.to_string())
            .bind(session.id.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        session.generation += 1;
        Ok(Rotation::Rotated(session))
    }

    /// Ends a session; `false` when it was over or unknown.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn revoke_session(&self, id: &SessionId, now: u64) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let revoked = revoke(&mut transaction, id, now).await?;
        transaction.commit().await?;
        Ok(revoked)
    }

    /// Drops sessions that are over for good; how many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune_sessions(&self, now: u64) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(signed(now))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

async fn revoke_if_spent(mut transaction: Write, hash: &Digest, now: u64) -> Result<Rotation, StoreError> {
    let row = sqlx::query("SELECT session_id FROM spent_refresh_tokens WHERE refresh_hash = $1")
        .bind(hash.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(row) = row else { return Ok(Rotation::Unknown) };
    let id: SessionId = parsed(&row, "session_id")?;
    revoke(&mut transaction, &id, now).await?;
    transaction.commit().await?;
    Ok(Rotation::Reused(id))
}

async fn revoke(transaction: &mut Write, id: &SessionId, now: u64) -> Result<bool, StoreError> {
    let done = sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
        .bind(id.to_string())
        .bind(signed(now))
        .execute(&mut **transaction)
        .await?;
    Ok(done.rows_affected() == 1)
}

fn session(row: &Record) -> Result<Session, StoreError> {
    let revoked_at: Option<i64> = row.try_get("revoked_at")?;
    Ok(Session {
        id: parsed(row, "id")?,
        user: parsed(row, "user_id")?,
        cnf: parsed_option(row, "cnf")?,
        generation: unsigned(row, "generation")?,
        expires_at: unsigned(row, "expires_at")?,
        revoked_at: revoked_at.map(|at| u64::try_from(at).unwrap_or(0)),
    })
}
