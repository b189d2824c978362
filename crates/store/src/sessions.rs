//! Login sessions and their rotating refresh tokens (RFC 9700, 4.14).

mod own;

use audit::Event;
use names::Digest;
use sqlx::Row;

use crate::database::{Record, Write, parsed, parsed_option, signed, unsigned};
use crate::{Role, SessionId, Store, StoreError, UserId};

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
    /// What the client said it is; empty when it said nothing.
    pub client: String,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
}

/// What a login was proved with. No Debug: it holds password hashes.
pub enum Proof<'a> {
    /// A password.
    Password {
        /// The hash that it was checked against: when another is stored by now, the password was changed meanwhile.
        checked: &'a str,
        /// A hash with today's parameters, which replaces the stored one.
        rehashed: Option<&'a str>,
        /// The bucket whose failures are forgiven.
        bucket: &'a str,
    },
    /// A passkey.
    Passkey,
    /// Another provider's word.
    Provider,
    /// Another session of the account, which has to hold still.
    Session(&'a SessionId),
}

/// A session that holds, with what its account is at this moment.
#[derive(Clone, Debug)]
pub struct Live {
    /// The session.
    pub session: Session,
    /// The account's name.
    pub name: String,
    /// The account's role.
    pub role: Role,
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
    /// What the client said it is.
    pub client: String,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds, to within a few minutes.
    pub used_at: u64,
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
        insert(&mut transaction, session).await?;
        transaction.commit().await
    }

    /// Opens a session for somebody who has proved to be the account's owner, and says so in the audit log.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] when the account is disabled by now or its password was changed meanwhile.
    pub async fn open_session(
        &self,
        session: &NewSession,
        proof: Proof<'_>,
        event: Event,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let row = sqlx::query("SELECT password_hash FROM users WHERE id = $1 AND disabled_at IS NULL")
            .bind(session.user.to_string())
            .fetch_optional(&mut *transaction)
            .await?
            .ok_or(StoreError::WrongState)?;
        match proof {
            Proof::Password { checked, rehashed, bucket } => {
                if row.try_get::<&str, _>("password_hash")? != checked {
                    return Err(StoreError::WrongState);
                }
                if let Some(hash) = rehashed {
                    sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1")
                        .bind(session.user.to_string())
                        .bind(hash)
                        .execute(&mut *transaction)
                        .await?;
                }
                crate::limits::forgive(&mut transaction, bucket).await?;
            }
            Proof::Session(other) => {
                hold(&mut transaction, other, &session.user, session.created_at).await?;
            }
            Proof::Passkey | Proof::Provider => {}
        }
        insert(&mut transaction, session).await?;
        crate::audit::append(&mut transaction, event).await?;
        transaction.commit().await
    }

    /// The session and its account, when both hold at this moment.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn live_session(&self, id: &SessionId, now: u64) -> Result<Option<Live>, StoreError> {
        let row = sqlx::query(
            "SELECT s.*, u.name, u.role FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.id = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND u.disabled_at IS NULL",
        )
        .bind(id.to_string())
        .bind(signed(now))
        .fetch_optional(self.readers())
        .await?;
        let live = |row: &Record| {
            Ok(Live { session: session(row)?, name: row.try_get("name")?, role: parsed(row, "role")? })
        };
        row.as_ref().map(live).transpose()
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
        // Anybody can make up tokens: they do not get as far as the one writer.
        let known = sqlx::query(
            "SELECT 1 FROM sessions WHERE refresh_hash = $1
             UNION ALL SELECT 1 FROM spent_refresh_tokens WHERE refresh_hash = $1",
        )
        .bind(old.to_string())
        .fetch_optional(self.readers())
        .await?;
        if known.is_none() {
            return Ok(Rotation::Unknown);
        }
        let mut transaction = self.write().await?;
        let row = sqlx::query(
            "SELECT s.*, u.disabled_at FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.refresh_hash = $1",
        )
        .bind(old.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else {
            return revoke_if_spent(transaction, old, now).await;
        };
        let mut session = session(&row)?;
        // Who is disabled by now gets no more tokens, whatever was allowed when the session began.
        if row.try_get::<Option<i64>, _>("disabled_at")?.is_some()
            || session.revoked_at.is_some()
            || session.expires_at <= now
            || signed(session.generation) >= GENERATIONS
        {
            return Ok(Rotation::Ended);
        }
        if session.cnf.is_some() && session.cnf.as_ref() != cnf {
            return Ok(Rotation::WrongCertificate);
        }
        sqlx::query(
            "UPDATE sessions SET refresh_hash = $2, used_at = $3, generation = generation + 1 WHERE id = $1",
        )
        .bind(session.id.to_string())
        .bind(new.to_string())
        .bind(signed(now))
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

/// A session that holds at this moment, of an account that is not disabled.
pub(crate) async fn hold(
    transaction: &mut Write,
    session: &SessionId,
    user: &UserId,
    now: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE s.id = $1 AND s.user_id = $2 AND s.revoked_at IS NULL AND s.expires_at > $3 AND u.disabled_at IS NULL",
    )
    .bind(session.to_string())
    .bind(user.to_string())
    .bind(signed(now))
    .fetch_optional(&mut **transaction)
    .await?
    .map(drop)
    .ok_or(StoreError::WrongState)
}

async fn insert(transaction: &mut Write, session: &NewSession) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sessions (id, user_id, refresh_hash, generation, cnf, client, created_at, used_at, expires_at)
         VALUES ($1, $2, $3, 0, $4, $5, $6, $6, $7)",
    )
    .bind(session.id.to_string())
    .bind(session.user.to_string())
    .bind(session.refresh_hash.to_string())
    .bind(session.cnf.map(|cnf| cnf.to_string()))
    .bind(&session.client)
    .bind(signed(session.created_at))
    .bind(signed(session.expires_at))
    .execute(&mut **transaction)
    .await?;
    sqlx::query(
        "DELETE FROM sessions WHERE user_id = $1 AND id <> $2 AND id NOT IN
         (SELECT id FROM sessions WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT $3)",
    )
    .bind(session.user.to_string())
    .bind(session.id.to_string())
    .bind(SESSIONS_PER_USER)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Ends all sessions of a user but one; how many.
pub(crate) async fn revoke_others(
    transaction: &mut Write,
    user: &UserId,
    keep: Option<&SessionId>,
    now: u64,
) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "UPDATE sessions SET revoked_at = $3 WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL AND expires_at > $3",
    )
    .bind(user.to_string())
    .bind(keep.map(ToString::to_string).unwrap_or_default())
    .bind(signed(now))
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected())
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
        client: row.try_get("client")?,
        created_at: unsigned(row, "created_at")?,
        used_at: unsigned(row, "used_at")?,
        expires_at: unsigned(row, "expires_at")?,
        revoked_at: revoked_at.map(|at| u64::try_from(at).unwrap_or(0)),
    })
}
