//! The changes: every one is an event of the state machine, applied to the row as it is under its lock.

use ::licensing::Start;
use api::enclaves::State;
use lifecycle::{Deadlines, Event, Refused, StopReason};
use names::EnclaveId;

use super::{Claim, check_active, enclave, events, lock_user};
use crate::database::{Write, signed, unsigned};
use crate::licensing::{Place, take_place};
use crate::{Enclave, Licensing, Process, Quota, Store, StoreError};

/// Who changes something.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// The user, through a gateway.
    User,
    /// The controller that has claimed the enclave.
    Claim(&'a Claim),
}

/// What is told with a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The stage; the new state's name when empty.
    pub stage: String,
    /// A sentence for people.
    pub message: String,
    /// Stable code.
    pub reason: Option<String>,
    /// Stable code below it.
    pub cause: Option<String>,
    /// 0..=100.
    pub progress: u64,
    /// Why it is stopped by itself.
    pub stop_reason: Option<StopReason>,
}

impl Note {
    /// A note about a stage.
    #[must_use]
    pub fn stage(stage: &str, message: &str, progress: u64) -> Self {
        Self { stage: stage.into(), message: message.into(), progress, ..Self::default() }
    }

    /// A note with a sentence only.
    #[must_use]
    pub fn says(message: &str) -> Self {
        Self::stage("", message, 0)
    }
}

impl From<Refused> for StoreError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Deleted | Refused::NotWanted | Refused::WrongState => Self::WrongState,
        }
    }
}

impl Store {
    /// Applies an event. What it was and what became of it is returned; a new state and each stage is an event in the history.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] when the state machine does not allow it, [`StoreError::ClaimLost`], [`StoreError::NotFound`].
    pub async fn change(
        &self,
        id: &EnclaveId,
        by: By<'_>,
        event: Event,
        note: &Note,
        now: u64,
    ) -> Result<(Enclave, Enclave), StoreError> {
        let mut transaction = self.write().await?;
        let before = locked(&mut transaction, id, by).await?;
        let after = apply(&mut transaction, &before, by, event, note, now).await?;
        transaction.commit().await?;
        Ok((before, after))
    }

    /// Says that the user wants it to run again, within the quota; one that is on its way or there stays as it is.
    ///
    /// # Errors
    /// [`StoreError::WrongState`], [`StoreError::QuotaExceeded`], [`StoreError::NotFound`].
    pub async fn want_running(&self, id: &EnclaveId, quota: Quota, now: u64) -> Result<Enclave, StoreError> {
        let mut transaction = self.write().await?;
        let before = locked(&mut transaction, id, By::User).await?;
        if before.state.is_at_rest() {
            lock_user(&mut transaction, &before.user).await?;
            check_active(&mut transaction, &before.user, quota).await?;
            if quota.licensing == Licensing::Required {
                let start = Start::Again;
                let place = Place { enclave: id, user: &before.user, app: &before.app, start, now };
                take_place(&mut transaction, &place).await?;
            }
        }
        let note = Note::says("asked for");
        let after = apply(&mut transaction, &before, By::User, Event::Start, &note, now).await?;
        transaction.commit().await?;
        Ok(after)
    }

    /// Keeps which request asks for the next start (`traceparent`), until that start has come to its end; for an enclave at rest,
    /// before [`Store::want_running`].
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set_trace(&self, id: &EnclaveId, trace: Option<&str>) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE enclaves SET trace = $2 WHERE id = $1 AND state IN ('stopped', 'failed')")
            .bind(id.to_string())
            .bind(trace)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// Says that the user wants it stopped, or its start cancelled; allowed in every state. What it was and what became of it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn want_stopped(&self, id: &EnclaveId, now: u64) -> Result<(Enclave, Enclave), StoreError> {
        self.change(id, By::User, Event::Stop, &Note::says("stopped by its user"), now).await
    }

    /// Says that the user wants it gone. From now on nothing starts it again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn want_deleted(&self, id: &EnclaveId, now: u64) -> Result<Enclave, StoreError> {
        let note = Note::says("deleted by its user");
        self.change(id, By::User, Event::Delete, &note, now).await.map(|(_, after)| after)
    }

    /// Lets go of an enclave that is being deleted: its name and host are free, its user does not see it any more, and
    /// whichever controller has it removes what is left when it can.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] when it is not being deleted, [`StoreError::NotFound`].
    pub async fn orphan(&self, id: &EnclaveId, now: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let row = locked(&mut transaction, id, By::User).await?;
        if row.state != State::Deleting {
            return Err(StoreError::WrongState);
        }
        // No name that a user may choose begins with a tilde.
        sqlx::query("UPDATE enclaves SET name = '~' || id, host = '~' || id, orphaned_at = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(signed(now))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// Drops the row of an enclave that is to be deleted and of which nothing is left; `false` when there is no such row
    /// (any more), or something is. A user's gateway may drop only what no controller ever had.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove_enclave(&self, id: &EnclaveId, by: By<'_>) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let row = match locked(&mut transaction, id, by).await {
            Ok(row) => row,
            Err(StoreError::NotFound | StoreError::ClaimLost) => return Ok(false),
            Err(error) => return Err(error),
        };
        let untouched = row.controller.is_none() && row.incarnation == 0;
        if row.state != State::Deleting || row.process.is_some() || (matches!(by, By::User) && !untouched) {
            return Ok(false);
        }
        for statement in
            ["DELETE FROM enclave_events WHERE enclave_id = $1", "DELETE FROM enclaves WHERE id = $1"]
        {
            sqlx::query(statement).bind(id.to_string()).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Counts one more start and returns its number; no number is ever given twice.
    ///
    /// # Errors
    /// [`StoreError::ClaimLost`], [`StoreError::NotFound`].
    pub async fn next_incarnation(&self, id: &EnclaveId, claim: &Claim) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        locked(&mut transaction, id, By::Claim(claim)).await?;
        let row = sqlx::query(
            "UPDATE enclaves SET incarnation = incarnation + 1 WHERE id = $1 AND desired <> 'deleted' RETURNING incarnation",
        )
        .bind(id.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        let incarnation = unsigned(&row.ok_or(StoreError::NotFound)?, "incarnation")?;
        transaction.commit().await?;
        Ok(incarnation)
    }

    /// Remembers which process holds this incarnation (`None`: it has ended), so that a later run can find what was left over.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] when a later incarnation has begun, [`StoreError::ClaimLost`], [`StoreError::NotFound`].
    pub async fn record_process(
        &self,
        id: &EnclaveId,
        claim: &Claim,
        incarnation: u64,
        process: Option<Process>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        locked(&mut transaction, id, By::Claim(claim)).await?;
        let done = sqlx::query(
            "UPDATE enclaves SET root_pid = $3, pid_start_time = $4 WHERE id = $1 AND incarnation = $2",
        )
        .bind(id.to_string())
        .bind(signed(incarnation))
        .bind(process.map(|process| i64::from(process.pid)))
        .bind(process.map(|process| signed(process.start_time)))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::WrongState);
        }
        transaction.commit().await
    }
}

/// The row, locked until the transaction ends, if whoever asks may change it. An update that changes nothing is the lock
/// that SQLite and PostgreSQL both have.
pub(super) async fn locked(
    transaction: &mut Write,
    id: &EnclaveId,
    by: By<'_>,
) -> Result<Enclave, StoreError> {
    let row = sqlx::query("UPDATE enclaves SET epoch = epoch WHERE id = $1 RETURNING *")
        .bind(id.to_string())
        .fetch_optional(&mut **transaction)
        .await?;
    let row = enclave(&row.ok_or(StoreError::NotFound)?)?;
    match by {
        By::Claim(claim) if row.controller != Some(claim.controller) || row.epoch != claim.epoch => {
            Err(StoreError::ClaimLost)
        }
        By::User | By::Claim(_) => Ok(row),
    }
}

pub(super) async fn apply(
    transaction: &mut Write,
    before: &Enclave,
    by: By<'_>,
    event: Event,
    note: &Note,
    now: u64,
) -> Result<Enclave, StoreError> {
    let (life, _) = before.life().on(event, now, &Deadlines::default())?;
    // A controller gives up what is at rest, so that any other may take it next.
    let released = matches!(by, By::Claim(_)) && life.state.is_at_rest();
    let kept = |value: &Option<String>, new: &Option<String>| match (life.state, before.state) {
        (State::Failed, State::Failed) => value.clone(),
        (State::Failed, _) => new.clone(),
        _ => None,
    };
    let message = Some(note.message.clone()).filter(|message| !message.is_empty());
    let stop_reason = match life.state {
        State::Stopping | State::Stopped => {
            note.stop_reason.map(|reason| reason.as_str().to_owned()).or_else(|| before.stop_reason.clone())
        }
        State::Running => before.stop_reason.clone(),
        _ => None,
    };
    let row = sqlx::query(
        "UPDATE enclaves SET state = $2, desired = $3, since = $4, progress_at = $5, reason = $6, cause = $7, message = $8,
             stops_at = CASE WHEN $2 = 'running' THEN stops_at END,
             extend_until = CASE WHEN $2 = 'running' THEN extend_until END,
             trace = CASE WHEN $2 IN ('pending', 'starting') THEN trace END,
             stop_reason = $9, controller = CASE WHEN $10 = 1 THEN NULL ELSE controller END, updated_at = $11
         WHERE id = $1 RETURNING *",
    )
    .bind(before.id.to_string())
    .bind(life.state.as_str())
    .bind(life.desired.as_str())
    .bind(signed(life.since))
    .bind(signed(life.progress))
    .bind(kept(&before.reason, &note.reason))
    .bind(kept(&before.cause, &note.cause))
    .bind(kept(&before.message, &message))
    .bind(stop_reason)
    .bind(i64::from(released))
    .bind(signed(now))
    .fetch_one(&mut **transaction)
    .await?;
    let mut after = enclave(&row)?;
    if life.state != before.state || event == Event::Progress || event == Event::Begin {
        after.event_seq = events::append(transaction, &before.id, life.state, note, now).await?;
    }
    Ok(after)
}
