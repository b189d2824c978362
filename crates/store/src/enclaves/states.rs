//! The changes: what users want, where things stand, which incarnation, which process.

use ::licensing::Start;
use api::enclaves::State;
use names::EnclaveId;

use super::{check_active, enclave, lock_user};
use crate::database::{Write, signed, unsigned};
use crate::licensing::{Place, take_place};
use crate::{Desired, Licensing, Process, Quota, Store, StoreError};

impl Store {
    /// Says that the user wants it to run again; only from `stopped` and `failed`, and within the quota.
    ///
    /// # Errors
    /// [`StoreError::WrongState`], [`StoreError::QuotaExceeded`], [`StoreError::NotFound`].
    pub async fn want_running(&self, id: &EnclaveId, quota: Quota, now: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let row = sqlx::query("SELECT * FROM enclaves WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        let current = enclave(&row.ok_or(StoreError::NotFound)?)?;
        match (current.state, current.desired) {
            (_, Desired::Deleted) => return Err(StoreError::NotFound),
            (State::Failed, Desired::Running) => return Ok(()), // counted already
            (State::Stopped | State::Failed, Desired::Stopped | Desired::Running) => {}
            (
                State::Pending
                | State::Starting
                | State::Running
                | State::Stopping
                | State::Deleting
                | State::Deleted,
                _,
            ) => {
                return Err(StoreError::WrongState);
            }
        }
        lock_user(&mut transaction, &current.user).await?;
        check_active(&mut transaction, &current.user, quota).await?;
        if quota.licensing == Licensing::Required {
            let start = Start::Again;
            let place = Place { enclave: id, user: &current.user, app: &current.app, start, now };
            take_place(&mut transaction, &place).await?;
        }
        set_desired(&mut transaction, id, "running", now).await?;
        transaction.commit().await
    }

    /// Says that the user wants it stopped.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when it is to be deleted.
    pub async fn want_stopped(&self, id: &EnclaveId, now: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        set_desired(&mut transaction, id, "stopped", now).await?;
        transaction.commit().await
    }

    /// Says that the user wants it gone. From now on the user does not see it, and nothing starts it again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when it is to be deleted already.
    pub async fn want_deleted(&self, id: &EnclaveId, now: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        set_desired(&mut transaction, id, "deleted", now).await?;
        transaction.commit().await
    }

    /// Moves the enclave from `expected` to `next`; `reason` is kept with `failed` and cleared otherwise.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] when it is in another state, when there is no such step, or when it shall not run and `next` is `starting`.
    pub async fn set_state(
        &self,
        id: &EnclaveId,
        expected: State,
        next: State,
        reason: Option<&str>,
        now: u64,
    ) -> Result<(), StoreError> {
        if !is_step(expected, next) {
            return Err(StoreError::WrongState);
        }
        let mut transaction = self.write().await?;
        let done = sqlx::query(
            "UPDATE enclaves SET state = $3, reason = $4, updated_at = $5
             WHERE id = $1 AND state = $2 AND ($3 <> 'starting' OR desired = 'running')",
        )
        .bind(id.to_string())
        .bind(expected.as_str())
        .bind(next.as_str())
        .bind(reason.filter(|_| next == State::Failed))
        .bind(signed(now))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::WrongState);
        }
        transaction.commit().await
    }

    /// Counts one more start and returns its number; no number is ever given twice.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when it is to be deleted.
    pub async fn next_incarnation(&self, id: &EnclaveId) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
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
    /// [`StoreError::WrongState`] when a later incarnation has begun.
    pub async fn record_process(
        &self,
        id: &EnclaveId,
        incarnation: u64,
        process: Option<Process>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
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

/// The steps that there are. A state may follow itself, and `starting` may follow any: after a crash the next run takes up what was left.
fn is_step(from: State, to: State) -> bool {
    match to {
        State::Pending | State::Deleting | State::Deleted => false,
        State::Starting => true,
        State::Running => from == State::Starting,
        State::Stopping => from != State::Stopped,
        State::Stopped => from == State::Stopping || from == State::Failed || from == State::Pending,
        State::Failed => from != State::Stopped,
    }
}

async fn set_desired(
    transaction: &mut Write,
    id: &EnclaveId,
    desired: &'static str,
    now: u64,
) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE enclaves SET desired = $2, updated_at = $3 WHERE id = $1 AND desired <> 'deleted'",
    )
    .bind(id.to_string())
    .bind(desired)
    .bind(signed(now))
    .execute(&mut **transaction)
    .await?;
    if done.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}
