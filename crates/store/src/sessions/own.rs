//! A user's own sessions: listed, used, ended.

use audit::Event;
use names::Digest;

use super::{SESSIONS_PER_USER, Session, revoke_others, session};
use crate::database::signed;
use crate::{SessionId, Store, StoreError, UserId};

impl Store {
    /// The user's sessions that hold, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn sessions(&self, user: &UserId, now: u64) -> Result<Vec<Session>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
             ORDER BY created_at DESC, id LIMIT $3",
        )
        .bind(user.to_string())
        .bind(signed(now))
        .bind(SESSIONS_PER_USER + 1)
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(session).collect()
    }

    /// Whether this user has ever logged in with this certificate, as far back as sessions are kept.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn knows_certificate(&self, user: &UserId, cnf: &Digest) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT id FROM sessions WHERE user_id = $1 AND cnf = $2 LIMIT 1")
            .bind(user.to_string())
            .bind(cnf.to_string())
            .fetch_optional(self.readers())
            .await?;
        Ok(row.is_some())
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn touch_session(&self, id: &SessionId, now: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE sessions SET used_at = $2 WHERE id = $1 AND used_at < $2")
            .bind(id.to_string())
            .bind(signed(now))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// Ends one session of this user.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the user has no such session that holds.
    pub async fn end_session(
        &self,
        user: &UserId,
        id: &SessionId,
        now: u64,
        event: Event,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query(
            "UPDATE sessions SET revoked_at = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .bind(signed(now))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound);
        }
        crate::audit::append(&mut transaction, event).await?;
        transaction.commit().await
    }

    /// Ends every session of this user but one; how many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn end_other_sessions(
        &self,
        user: &UserId,
        keep: &SessionId,
        now: u64,
        event: Event,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        let ended = revoke_others(&mut transaction, user, Some(keep), now).await?;
        crate::audit::append(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(ended)
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
}
