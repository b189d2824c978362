//! Enclaves: what users want (`desired`, written by the gateway) and where things stand (`state`, written by the controller).
//!
//! Every change of state names the state that it starts from, so that two writers can't both win.

mod states;

use std::str::FromStr;

use ::licensing::Start;
use api::enclaves::State;
use names::{Digest, EnclaveId};

use sqlx::Row;

use crate::database::{Record, Write, parsed, signed, unsigned};
use crate::licensing::{Place, take_place};
use crate::{Licensing, Store, StoreError, UserId};

/// What a user asks for. State is `pending`, desired `running`, incarnation 0.
#[derive(Clone, Debug)]
pub struct NewEnclave {
    /// New id.
    pub id: EnclaveId,
    /// Whose.
    pub user: UserId,
    /// The account's name.
    pub user_name: String,
    /// Name, unique among the user's.
    pub name: String,
    /// Name of the app.
    pub app: String,
    /// Version of the app.
    pub version: String,
    /// Version digest.
    pub version_digest: Digest,
    /// SHA-256 of the owner's SPKI.
    pub owner: Digest,
    /// Full host name, unique.
    pub host: String,
    /// Seconds without activity after which it is stopped.
    pub idle_timeout: Option<u64>,
    /// Seconds after its start at which it is stopped.
    pub max_age: Option<u64>,
    /// Unix seconds.
    pub created_at: u64,
}

/// A stored enclave.
#[derive(Clone, Debug)]
pub struct Enclave {
    /// Id.
    pub id: EnclaveId,
    /// Whose.
    pub user: UserId,
    /// The account's name.
    pub user_name: String,
    /// Name, unique among the user's.
    pub name: String,
    /// Name of the app.
    pub app: String,
    /// Version of the app.
    pub version: String,
    /// Version digest.
    pub version_digest: Digest,
    /// SHA-256 of the owner's SPKI.
    pub owner: Digest,
    /// Full host name, unique.
    pub host: String,
    /// Where it stands.
    pub state: State,
    /// What the user wants.
    pub desired: Desired,
    /// Stable code, with `failed`.
    pub reason: Option<String>,
    /// Counts starts, from 1; 0 before the first.
    pub incarnation: u64,
    /// The process that holds the enclave, while there is one.
    pub process: Option<Process>,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub updated_at: u64,
}

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desired {
    /// That it runs.
    Running,
    /// That it does not.
    Stopped,
    /// That it goes away; nothing starts it again.
    Deleted,
}

/// A process, told apart from later ones of the same number by its start time (`/proc/PID/stat`, field 22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Clock ticks after boot.
    pub start_time: u64,
}

/// How many enclaves a user may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// That run or are wanted to.
    pub active: u32,
    /// In all.
    pub total: u32,
    /// Whether a licence is needed beside.
    pub licensing: Licensing,
}

impl Default for Quota {
    fn default() -> Self {
        Self { active: 5, total: 50, licensing: Licensing::Off }
    }
}

impl Store {
    /// Adds an enclave, within the quota.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::QuotaExceeded`], [`StoreError::NotFound`] for an unknown user.
    pub async fn create_enclave(&self, enclave: &NewEnclave, quota: Quota) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        lock_user(&mut transaction, &enclave.user).await?;
        let taken = sqlx::query("SELECT id FROM enclaves WHERE user_id = $1 AND name = $2")
            .bind(enclave.user.to_string())
            .bind(&enclave.name)
            .fetch_optional(&mut *transaction)
            .await?;
        if taken.is_some() {
            return Err(StoreError::NameTaken);
        }
        check_quota(&mut transaction, &enclave.user, quota).await?;
        sqlx::query(
            "INSERT INTO enclaves (id, user_id, user_name, name, app, version, version_digest, owner, host, state, desired,
                                   incarnation, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', 'running', 0, $10, $10)",
        )
        .bind(enclave.id.to_string())
        .bind(enclave.user.to_string())
        .bind(&enclave.user_name)
        .bind(&enclave.name)
        .bind(&enclave.app)
        .bind(&enclave.version)
        .bind(enclave.version_digest.to_string())
        .bind(enclave.owner.to_string())
        .bind(&enclave.host)
        .bind(signed(enclave.created_at))
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::name_taken)?;
        if quota.licensing == Licensing::Required {
            let (start, now) = (Start::New, enclave.created_at);
            let place = Place { enclave: &enclave.id, user: &enclave.user, app: &enclave.app, start, now };
            take_place(&mut transaction, &place).await?;
        }
        transaction.commit().await
    }

    /// The enclave of this id, also one that is to be deleted.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn enclave(&self, id: &EnclaveId) -> Result<Option<Enclave>, StoreError> {
        let row = sqlx::query("SELECT * FROM enclaves WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(enclave).transpose()
    }

    /// The user's enclave of this name; none that is to be deleted, and nobody else's.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn enclave_of(&self, user: &UserId, name: &str) -> Result<Option<Enclave>, StoreError> {
        let row =
            sqlx::query("SELECT * FROM enclaves WHERE user_id = $1 AND name = $2 AND desired <> 'deleted'")
                .bind(user.to_string())
                .bind(name)
                .fetch_optional(self.readers())
                .await?;
        row.as_ref().map(enclave).transpose()
    }

    /// The user's enclaves, the oldest first, at most `limit`, after the one of that time and id; none that is to be deleted.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn enclaves_of(
        &self,
        user: &UserId,
        after: Option<&(u64, EnclaveId)>,
        limit: u32,
    ) -> Result<Vec<Enclave>, StoreError> {
        let (time, id) = after.map_or((-1, String::new()), |(time, id)| (signed(*time), id.to_string()));
        let rows = sqlx::query(
            "SELECT * FROM enclaves WHERE user_id = $1 AND desired <> 'deleted'
             AND (created_at > $2 OR (created_at = $2 AND id > $3)) ORDER BY created_at, id LIMIT $4",
        )
        .bind(user.to_string())
        .bind(time)
        .bind(id)
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(enclave).collect()
    }

    /// All enclaves for which there may be something to do: everything but those that are at rest and shall be.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn enclaves_to_reconcile(&self) -> Result<Vec<Enclave>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM enclaves
             WHERE NOT (desired = 'stopped' AND state IN ('stopped', 'failed') AND root_pid IS NULL) ORDER BY created_at, id",
        )
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(enclave).collect()
    }

    /// Drops the row of an enclave that is to be deleted and has no process; `false` when there is no such row (any more).
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove_enclave(&self, id: &EnclaveId) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done =
            sqlx::query("DELETE FROM enclaves WHERE id = $1 AND desired = 'deleted' AND root_pid IS NULL")
                .bind(id.to_string())
                .execute(&mut *transaction)
                .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Takes the user's row first, so that counting and adding is one step also where several writers run at once.
async fn lock_user(transaction: &mut Write, user: &UserId) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE users SET created_at = created_at WHERE id = $1")
        .bind(user.to_string())
        .execute(&mut **transaction)
        .await?;
    if done.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}

async fn check_quota(transaction: &mut Write, user: &UserId, quota: Quota) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS number FROM enclaves WHERE user_id = $1")
        .bind(user.to_string())
        .fetch_one(&mut **transaction)
        .await?;
    if unsigned(&row, "number")? >= u64::from(quota.total) {
        return Err(StoreError::QuotaExceeded { limit: quota.total });
    }
    check_active(transaction, user, quota).await
}

async fn check_active(transaction: &mut Write, user: &UserId, quota: Quota) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS number FROM enclaves
         WHERE user_id = $1 AND (desired = 'running' OR state IN ('pending', 'starting', 'running', 'stopping'))",
    )
    .bind(user.to_string())
    .fetch_one(&mut **transaction)
    .await?;
    if unsigned(&row, "number")? >= u64::from(quota.active) {
        return Err(StoreError::QuotaExceeded { limit: quota.active });
    }
    Ok(())
}

impl FromStr for Desired {
    type Err = StoreError;
    fn from_str(text: &str) -> Result<Self, StoreError> {
        match text {
            "running" => Ok(Self::Running),
            "stopped" => Ok(Self::Stopped),
            "deleted" => Ok(Self::Deleted),
            _ => Err(StoreError::Corrupt { column: "desired" }),
        }
    }
}

fn enclave(row: &Record) -> Result<Enclave, StoreError> {
    let state: &str = row.try_get("state")?;
    Ok(Enclave {
        id: parsed(row, "id")?,
        user: parsed(row, "user_id")?,
        user_name: row.try_get("user_name")?,
        name: row.try_get("name")?,
        app: row.try_get("app")?,
        version: row.try_get("version")?,
        version_digest: parsed(row, "version_digest")?,
        owner: parsed(row, "owner")?,
        host: row.try_get("host")?,
        state: State::parse(state).ok_or(StoreError::Corrupt { column: "state" })?,
        desired: parsed(row, "desired")?,
        reason: row.try_get("reason")?,
        incarnation: unsigned(row, "incarnation")?,
        process: process(row)?,
        created_at: unsigned(row, "created_at")?,
        updated_at: unsigned(row, "updated_at")?,
    })
}

fn process(row: &Record) -> Result<Option<Process>, StoreError> {
    let pid: Option<i64> = row.try_get("root_pid")?;
    let Some(pid) = pid else { return Ok(None) };
    let pid = u32::try_from(pid).map_err(|_| StoreError::Corrupt { column: "root_pid" })?;
    Ok(Some(Process { pid, start_time: unsigned(row, "pid_start_time")? }))
}
