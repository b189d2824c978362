//! What has happened to an enclave: numbered, bounded, the same for every gateway.

use api::enclaves::State;
use lifecycle::StopReason;
use names::EnclaveId;
use sqlx::Row;

use super::changes::locked;
use super::{By, Claim, Note, enclave};
use crate::database::{Record, Write, signed, unsigned};
use crate::{Enclave, Store, StoreError};

/// Events that are kept of one enclave; older ones are dropped.
pub const KEPT_EVENTS: u64 = 200;
/// Characters of a message.
const MESSAGE: usize = 500;
/// Characters of a code.
const CODE: usize = 64;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnclaveEvent {
    /// From 1, without gaps.
    pub seq: u64,
    /// Unix seconds.
    pub at: u64,
    /// The state that it left the enclave in.
    pub state: State,
    /// The stage, or the state's name.
    pub stage: String,
    /// For people.
    pub message: String,
    /// Stable code.
    pub reason: Option<String>,
    /// Stable code below it.
    pub cause: Option<String>,
    /// 0..=100.
    pub progress: u64,
}

impl Store {
    /// The events after this one, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn enclave_events(
        &self,
        id: &EnclaveId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<EnclaveEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM enclave_events WHERE enclave_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(id.to_string())
        .bind(signed(after))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(event).collect()
    }

    /// Where the newest start begins in the history: the number before its first event.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn newest_start(&self, id: &EnclaveId) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT COALESCE(MAX(seq), 1) AS seq FROM enclave_events WHERE enclave_id = $1 AND stage = 'pending'",
        )
        .bind(id.to_string())
        .fetch_one(self.readers())
        .await?;
        Ok(unsigned(&row, "seq")?.saturating_sub(1))
    }

    /// Adds an event that changes no state: a place in the queue, a warning.
    ///
    /// # Errors
    /// [`StoreError::ClaimLost`], [`StoreError::NotFound`].
    pub async fn tell(&self, id: &EnclaveId, claim: &Claim, note: &Note, now: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let row = locked(&mut transaction, id, By::Claim(claim)).await?;
        append(&mut transaction, id, row.state, note, now).await?;
        transaction.commit().await
    }

    /// Says when a running enclave will be stopped by itself, and why; an extension that led to this is taken.
    ///
    /// # Errors
    /// [`StoreError::ClaimLost`], [`StoreError::NotFound`].
    pub async fn set_stop(
        &self,
        id: &EnclaveId,
        claim: &Claim,
        stop: Option<(u64, StopReason)>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        locked(&mut transaction, id, By::Claim(claim)).await?;
        sqlx::query(
            "UPDATE enclaves SET stops_at = $2, stop_reason = $3, extend_until = NULL WHERE id = $1 AND state = 'running'",
        )
        .bind(id.to_string())
        .bind(stop.map(|(at, _)| signed(at)))
        .bind(stop.map(|(_, reason)| reason.as_str()))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// Asks that a running enclave is not stopped for idleness or age before this time.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] when it does not run, [`StoreError::NotFound`].
    pub async fn extend(&self, id: &EnclaveId, until: u64, now: u64) -> Result<Enclave, StoreError> {
        let mut transaction = self.write().await?;
        let row = locked(&mut transaction, id, By::User).await?;
        if row.state != State::Running {
            return Err(StoreError::WrongState);
        }
        let row = sqlx::query(
            "UPDATE enclaves SET extend_until = $2, updated_at = $3,
                 stops_at = CASE WHEN stop_reason <> 'license' AND stops_at < $2 THEN $2 ELSE stops_at END
             WHERE id = $1 RETURNING *",
        )
        .bind(id.to_string())
        .bind(signed(until))
        .bind(signed(now))
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        enclave(&row)
    }
}

/// Adds the next event, and drops what is too old.
pub(super) async fn append(
    transaction: &mut Write,
    id: &EnclaveId,
    state: State,
    note: &Note,
    now: u64,
) -> Result<u64, StoreError> {
    let row = sqlx::query("UPDATE enclaves SET event_seq = event_seq + 1 WHERE id = $1 RETURNING event_seq")
        .bind(id.to_string())
        .fetch_one(&mut **transaction)
        .await?;
    let seq = unsigned(&row, "event_seq")?;
    let bounded = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let stage = if note.stage.is_empty() { state.as_str() } else { &note.stage };
    sqlx::query(
        "INSERT INTO enclave_events (enclave_id, seq, at, state, stage, message, reason, cause, progress)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id.to_string())
    .bind(signed(seq))
    .bind(signed(now))
    .bind(state.as_str())
    .bind(bounded(stage, CODE))
    .bind(bounded(&note.message, MESSAGE))
    .bind(note.reason.as_deref().map(|code| bounded(code, CODE)))
    .bind(note.cause.as_deref().map(|code| bounded(code, CODE)))
    .bind(signed(note.progress.min(100)))
    .execute(&mut **transaction)
    .await?;
    sqlx::query("DELETE FROM enclave_events WHERE enclave_id = $1 AND seq <= $2")
        .bind(id.to_string())
        .bind(signed(seq.saturating_sub(KEPT_EVENTS)))
        .execute(&mut **transaction)
        .await?;
    Ok(seq)
}

fn event(row: &Record) -> Result<EnclaveEvent, StoreError> {
    let state: &str = row.try_get("state")?;
    Ok(EnclaveEvent {
        seq: unsigned(row, "seq")?,
        at: unsigned(row, "at")?,
        state: State::parse(state).ok_or(StoreError::Corrupt { column: "state" })?,
        stage: row.try_get("stage")?,
        message: row.try_get("message")?,
        reason: row.try_get("reason")?,
        cause: row.try_get("cause")?,
        progress: unsigned(row, "progress")?,
    })
}
