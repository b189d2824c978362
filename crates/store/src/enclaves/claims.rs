//! Several controllers on one database: each enclave is worked on by the one that has claimed it.
//!
//! A controller shows that it lives by counting its beat up. Times are not compared: who takes over has watched the beat
//! stand still for the lease, by a clock of its own that nobody sets. A claim has an epoch, and every write of a controller
//! names it, so that one that was buried alive can write nothing any more once the next has claimed.

use names::EnclaveId;
use sqlx::Row;

use super::enclave;
use crate::database::{Record, parsed, signed, unsigned};
use crate::{ControllerId, Enclave, Process, Store, StoreError};

/// A controller's right to an enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub controller: ControllerId,
    /// Which of the enclave's claims it is.
    pub epoch: u64,
}

/// A controller at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// This run of it.
    pub id: ControllerId,
    /// Where it starts processes.
    pub node: String,
    /// Within which process ids mean something: boot and pid namespace.
    pub host: String,
    /// Itself.
    pub process: Process,
    /// Counts up while it lives.
    pub beat: u64,
}

/// What one controller may take: what it has, and what nobody alive has.
const MINE_OR_NOBODYS: &str =
    "(controller = $1 OR controller IS NULL OR controller NOT IN (SELECT id FROM controllers))";

impl Store {
    /// Says that a controller is at work.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn register_controller(&self, controller: &Controller) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO controllers (id, node, host, pid, start_time, beat) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(controller.id.to_string())
        .bind(&controller.node)
        .bind(&controller.host)
        .bind(i64::from(controller.process.pid))
        .bind(signed(controller.process.start_time))
        .bind(signed(controller.beat))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// Counts a controller's beat up; `false` when it was buried, and must end what it runs.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn beat(&self, id: &ControllerId) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("UPDATE controllers SET beat = beat + 1 WHERE id = $1")
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// The controllers that are registered.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn controllers(&self) -> Result<Vec<Controller>, StoreError> {
        let rows = sqlx::query("SELECT * FROM controllers ORDER BY id").fetch_all(self.readers()).await?;
        rows.iter().map(controller).collect()
    }

    /// Buries a controller whose beat has stood still at this number; `false` when it has moved, or somebody was faster.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn bury_controller(&self, id: &ControllerId, beat: u64) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("DELETE FROM controllers WHERE id = $1 AND beat = $2")
            .bind(id.to_string())
            .bind(signed(beat))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// A controller ends in order: it has nothing any more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn sign_off_controller(&self, id: &ControllerId) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM controllers WHERE id = $1")
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// Claims an enclave for a controller that is at work on this node; one that it has already keeps its epoch. `None` when
    /// another one has it, or when it lives on another node.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`].
    pub async fn claim(
        &self,
        id: &EnclaveId,
        controller: &ControllerId,
        node: &str,
    ) -> Result<Option<(Claim, Enclave)>, StoreError> {
        let mut transaction = self.write().await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE enclaves SET epoch = CASE WHEN controller = $1 THEN epoch ELSE epoch + 1 END, controller = $1, node = $3
             WHERE id = $2 AND (node IS NULL OR node = $3) AND {MINE_OR_NOBODYS}
               AND EXISTS (SELECT 1 FROM controllers WHERE id = $1)
             RETURNING *"
        )))
        .bind(controller.to_string())
        .bind(id.to_string())
        .bind(node)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else {
            return if self.enclave(id).await?.is_some() { Ok(None) } else { Err(StoreError::NotFound) };
        };
        let row = enclave(&row)?;
        transaction.commit().await?;
        Ok(Some((Claim { controller: *controller, epoch: row.epoch }, row)))
    }

    /// What there may be to do for a controller: wishes about what it has, and what nobody alive has and somebody should.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn work(&self, controller: &ControllerId, node: &str) -> Result<Vec<Enclave>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT * FROM enclaves WHERE (node IS NULL OR node = $2) AND {MINE_OR_NOBODYS}
               AND (state IN ('stopping', 'deleting')
                    OR extend_until IS NOT NULL
                    OR (controller = $1 AND state IN ('stopped', 'failed', 'pending'))
                    OR ((controller IS NULL OR controller <> $1)
                        AND (state IN ('pending', 'starting', 'running') OR root_pid IS NOT NULL)))
             ORDER BY created_at, id"
        )))
        .bind(controller.to_string())
        .bind(node)
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(enclave).collect()
    }
}

fn controller(row: &Record) -> Result<Controller, StoreError> {
    let pid: i64 = row.try_get("pid")?;
    Ok(Controller {
        id: parsed(row, "id")?,
        node: row.try_get("node")?,
        host: row.try_get("host")?,
        process: Process {
            pid: u32::try_from(pid).map_err(|_| StoreError::Corrupt { column: "pid" })?,
            start_time: unsigned(row, "start_time")?,
        },
        beat: unsigned(row, "beat")?,
    })
}
