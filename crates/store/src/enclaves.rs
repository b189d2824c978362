//! Enclaves: what users want (`desired`) and where things stand (`state`); every change goes through `lifecycle::Life`.
//!
//! A controller writes only what it has claimed, with the epoch of its claim, so that one that was given up can't write
//! into the work of the next.

mod changes;
mod claims;
mod events;
mod rates;
mod unattended;

use ::licensing::Start;
use api::enclaves::State;
use names::{Digest, EnclaveId};

use sqlx::Row;

use crate::database::{Record, Write, parsed, parsed_option, signed, unsigned};
use crate::licensing::{Place, take_place};
use crate::{ControllerId, Licensing, Store, StoreError, UserId};

pub use changes::{By, Note};
pub use claims::{Claim, Controller};
pub use events::{EnclaveEvent, KEPT_EVENTS};
pub use lifecycle::Desired;
pub use rates::StartRates;
pub use unattended::{Mark, OnItsWay};

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
    /// The span of the request (`traceparent`), where it is traced.
    pub trace: Option<String>,
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
    /// Stable code below `reason`.
    pub cause: Option<String>,
    /// `reason` as a sentence.
    pub message: Option<String>,
    /// Counts starts, from 1; 0 before the first.
    pub incarnation: u64,
    /// The process that holds the enclave, while there is one.
    pub process: Option<Process>,
    /// Which controller has claimed it.
    pub controller: Option<ControllerId>,
    /// Counts claims.
    pub epoch: u64,
    /// On which node it was started last.
    pub node: Option<String>,
    /// Seconds without activity after which it is stopped.
    pub idle_timeout: Option<u64>,
    /// Seconds after its start at which it is stopped.
    pub max_age: Option<u64>,
    /// An extension that its controller has not taken yet, unix seconds.
    pub extend_until: Option<u64>,
    /// When it will be stopped by itself, unix seconds.
    pub stops_at: Option<u64>,
    /// Why it will be, or was.
    pub stop_reason: Option<String>,
    /// The span of the request that asked for the start that is on its way (`traceparent`), where it is traced.
    pub trace: Option<String>,
    /// Number of its newest event.
    pub event_seq: u64,
    /// When its state was entered, unix seconds.
    pub since: u64,
    /// When anything last went forward, unix seconds.
    pub progress_at: u64,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub updated_at: u64,
}

impl Enclave {
    /// As the rules see it.
    #[must_use]
    pub const fn life(&self) -> lifecycle::Life {
        lifecycle::Life {
            state: self.state,
            desired: self.desired,
            since: self.since,
            progress: self.progress_at,
        }
    }
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
                                   incarnation, idle_timeout, max_age, since, progress_at, created_at, updated_at, trace)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', 'running', 0, $11, $12, $10, $10, $10, $10, $13)",
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
        .bind(enclave.idle_timeout.map(signed))
        .bind(enclave.max_age.map(signed))
        .bind(&enclave.trace)
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::name_taken)?;
        if quota.licensing == Licensing::Required {
            let (start, now) = (Start::New, enclave.created_at);
            let place = Place { enclave: &enclave.id, user: &enclave.user, app: &enclave.app, start, now };
            take_place(&mut transaction, &place).await?;
        }
        let note = Note::stage("pending", "asked for", 0);
        events::append(&mut transaction, &enclave.id, State::Pending, &note, enclave.created_at).await?;
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

    /// The user's enclave of this name, and nobody else's.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn enclave_of(&self, user: &UserId, name: &str) -> Result<Option<Enclave>, StoreError> {
        let row =
            sqlx::query("SELECT * FROM enclaves WHERE user_id = $1 AND name = $2 AND orphaned_at IS NULL")
                .bind(user.to_string())
                .bind(name)
                .fetch_optional(self.readers())
                .await?;
        row.as_ref().map(enclave).transpose()
    }

    /// The user's enclaves, the oldest first, at most `limit`, after the one of that time and id.
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
            "SELECT * FROM enclaves WHERE user_id = $1 AND orphaned_at IS NULL
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
}

/// Takes the user's row first, so that counting and adding is one step also where several writers run at once.
pub(crate) async fn lock_user(transaction: &mut Write, user: &UserId) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE users SET created_at = created_at WHERE id = $1")
        .bind(user.to_string())
        .execute(&mut **transaction)
        .await?;
    if done.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}

async fn check_quota(transaction: &mut Write, user: &UserId, quota: Quota) -> Result<(), StoreError> {
    let row =
        sqlx::query("SELECT COUNT(*) AS number FROM enclaves WHERE user_id = $1 AND orphaned_at IS NULL")
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
         WHERE user_id = $1 AND state IN ('pending', 'starting', 'running', 'stopping')",
    )
    .bind(user.to_string())
    .fetch_one(&mut **transaction)
    .await?;
    if unsigned(&row, "number")? >= u64::from(quota.active) {
        return Err(StoreError::QuotaExceeded { limit: quota.active });
    }
    Ok(())
}

fn enclave(row: &Record) -> Result<Enclave, StoreError> {
    let state: &str = row.try_get("state")?;
    let desired: &str = row.try_get("desired")?;
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
        desired: Desired::parse(desired).ok_or(StoreError::Corrupt { column: "desired" })?,
        reason: row.try_get("reason")?,
        cause: row.try_get("cause")?,
        message: row.try_get("message")?,
        incarnation: unsigned(row, "incarnation")?,
        process: process(row)?,
        controller: parsed_option(row, "controller")?,
        epoch: unsigned(row, "epoch")?,
        node: row.try_get("node")?,
        idle_timeout: unsigned_option(row, "idle_timeout")?,
        max_age: unsigned_option(row, "max_age")?,
        extend_until: unsigned_option(row, "extend_until")?,
        stops_at: unsigned_option(row, "stops_at")?,
        stop_reason: row.try_get("stop_reason")?,
        trace: row.try_get("trace")?,
        event_seq: unsigned(row, "event_seq")?,
        since: unsigned(row, "since")?,
        progress_at: unsigned(row, "progress_at")?,
        created_at: unsigned(row, "created_at")?,
        updated_at: unsigned(row, "updated_at")?,
    })
}

fn unsigned_option(row: &Record, column: &'static str) -> Result<Option<u64>, StoreError> {
    let number: Option<i64> = row.try_get(column)?;
    number.map(|number| u64::try_from(number).map_err(|_| StoreError::Corrupt { column })).transpose()
}

fn process(row: &Record) -> Result<Option<Process>, StoreError> {
    let pid: Option<i64> = row.try_get("root_pid")?;
    let Some(pid) = pid else { return Ok(None) };
    let pid = u32::try_from(pid).map_err(|_| StoreError::Corrupt { column: "root_pid" })?;
    Ok(Some(Process { pid, start_time: unsigned(row, "pid_start_time")? }))
}
