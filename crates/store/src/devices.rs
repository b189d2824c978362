//! Codes of devices that wait for a person (RFC 8628), and how often a person has typed a wrong one.

use audit::Event;
use names::Digest;
use sqlx::Row;

use crate::audit::append;
use crate::database::{Record, Write, parsed, parsed_option, signed, unsigned};
use crate::{SessionId, Store, StoreError, UserId};

/// Codes that may wait at one time, of one address and in all.
const WAITING_PER_ADDRESS: i64 = 20;
const WAITING: i64 = 10_000;
/// How long a code that is over is still known as such, in seconds.
const REMEMBERED: u64 = 600;
/// Seconds that are added to the interval of a device which asks too often (RFC 8628, 3.5).
const SLOWER: u64 = 5;
/// Wrong user codes of one account within the time below.
const WRONG_USER_CODES: i64 = 10;
const WRONG_USER_CODES_WITHIN: u64 = 3600;

/// A device that begins to wait.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// SHA-256 of the device code.
    pub device_hash: Digest,
    /// SHA-256 of the user code.
    pub user_code_hash: Digest,
    /// SHA-256 of the device's client certificate.
    pub cnf: Option<Digest>,
    /// Keyed hash of the device's address.
    pub address: String,
    /// What the device calls itself.
    pub agent: String,
    /// Seconds between two questions.
    pub interval: u64,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The device may ask now.
    Waiting,
    /// Too many devices wait, from this address or in all.
    TooMany,
    /// The user code is in use: draw another.
    Again,
}

/// A device that waits, as the person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Keyed hash of its address.
    pub address: String,
    /// What it calls itself.
    pub agent: String,
    /// Whether it has a client certificate, to which its session will be bound.
    pub bound: bool,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
}

/// What a person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The device becomes a session of the person's account.
    Approve,
    /// It does not.
    Deny,
}

/// What a device learns when it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// No such code, or it is redeemed, or asked with another client certificate.
    Unknown,
    /// Nobody has decided.
    Pending,
    /// It asked too often; its interval has grown.
    SlowDown,
    /// The person said no, or the session that said yes has ended.
    Denied,
    /// Nobody has decided in time.
    Expired,
    /// The person said yes, and no other call has been told so.
    Approved {
        /// The session that said yes.
        by: SessionId,
        /// The device's client certificate.
        cnf: Option<Digest>,
    },
}

impl Store {
    /// Adds a device that waits.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn begin_device(&self, device: &NewDevice) -> Result<Begun, StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM device_codes WHERE expires_at <= $1")
            .bind(signed(device.created_at.saturating_sub(REMEMBERED)))
            .execute(&mut *transaction)
            .await?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS waiting, COUNT(CASE WHEN address = $1 THEN 1 END) AS here FROM device_codes WHERE expires_at > $2",
        )
        .bind(&device.address)
        .bind(signed(device.created_at))
        .fetch_one(&mut *transaction)
        .await?;
        let (waiting, here): (i64, i64) = (row.try_get("waiting")?, row.try_get("here")?);
        if waiting >= WAITING || here >= WAITING_PER_ADDRESS {
            return Ok(Begun::TooMany);
        }
        let added = sqlx::query(
            "INSERT INTO device_codes
             (device_hash, user_code_hash, cnf, address, agent, state, poll_interval, polled_at, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, 'pending', $6, 0, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind(device.device_hash.to_string())
        .bind(device.user_code_hash.to_string())
        .bind(device.cnf.map(|cnf| cnf.to_string()))
        .bind(&device.address)
        .bind(&device.agent)
        .bind(signed(device.interval))
        .bind(signed(device.created_at))
        .bind(signed(device.expires_at))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(if added.rows_affected() == 1 { Begun::Waiting } else { Begun::Again })
    }

    /// The device that waits under this user code.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn waiting_device(&self, user_code: &Digest, now: u64) -> Result<Option<Device>, StoreError> {
        let row = sqlx::query(
            "SELECT * FROM device_codes WHERE user_code_hash = $1 AND state = 'pending' AND expires_at > $2",
        )
        .bind(user_code.to_string())
        .bind(signed(now))
        .fetch_optional(self.readers())
        .await?;
        row.as_ref().map(device).transpose()
    }

    /// Decides about the device that waits under this user code, and says so in the audit log, with the hash of the device's code as the
    /// event's subject; `false` when none waits.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn decide_device(
        &self,
        user_code: &Digest,
        decision: Decision,
        by: &SessionId,
        event: Event,
    ) -> Result<bool, StoreError> {
        let state = match decision {
            Decision::Approve => "approved",
            Decision::Deny => "denied",
        };
        let mut transaction = self.write().await?;
        let row = sqlx::query(
            "UPDATE device_codes SET state = $2, session_id = $3
             WHERE user_code_hash = $1 AND state = 'pending' AND expires_at > $4
             RETURNING device_hash",
        )
        .bind(user_code.to_string())
        .bind(state)
        .bind(by.to_string())
        .bind(signed(event.at))
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(false) };
        let device: Digest = parsed(&row, "device_hash")?;
        append(&mut transaction, Event { subject: device.to_string(), ..event }).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// A device asks. An approval is told once: of many that ask at the same time one wins.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn poll_device(
        &self,
        device_code: &Digest,
        cnf: Option<&Digest>,
        now: u64,
    ) -> Result<Poll, StoreError> {
        // Anybody can make up codes: they do not get as far as the one writer.
        let known = sqlx::query("SELECT 1 FROM device_codes WHERE device_hash = $1")
            .bind(device_code.to_string())
            .fetch_optional(self.readers())
            .await?;
        if known.is_none() {
            return Ok(Poll::Unknown);
        }
        let mut transaction = self.write().await?;
        let row = sqlx::query("SELECT * FROM device_codes WHERE device_hash = $1")
            .bind(device_code.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else { return Ok(Poll::Unknown) };
        let bound: Option<Digest> = parsed_option(&row, "cnf")?;
        if bound.is_some() && bound.as_ref() != cnf {
            return Ok(Poll::Unknown);
        }
        let state: &str = row.try_get("state")?;
        if state != "redeemed" && unsigned(&row, "expires_at")? <= now {
            return Ok(Poll::Expired);
        }
        match state {
            "pending" => pending(transaction, device_code, &row, now).await,
            "approved" => {
                let by: SessionId = parsed(&row, "session_id")?;
                let won = redeem(&mut transaction, device_code).await?;
                transaction.commit().await?;
                Ok(if won { Poll::Approved { by, cnf: bound } } else { Poll::Unknown })
            }
            "denied" => Ok(Poll::Denied),
            "redeemed" => Ok(Poll::Unknown),
            _ => Err(StoreError::Corrupt { column: "state" }),
        }
    }

    /// Whether the account may try a user code now; the attempt is counted as wrong until [`Store::user_code_right`] says otherwise.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn attempt_user_code(&self, user: &UserId, now: u64) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let row = sqlx::query(
            "INSERT INTO user_code_failures (user_id, failures, since) VALUES ($1, 1, $2)
             ON CONFLICT (user_id) DO UPDATE SET
               failures = CASE WHEN user_code_failures.since <= $3 THEN 1 ELSE user_code_failures.failures + 1 END,
               since = CASE WHEN user_code_failures.since <= $3 THEN $2 ELSE user_code_failures.since END
             RETURNING failures",
        )
        .bind(user.to_string())
        .bind(signed(now))
        .bind(signed(now.saturating_sub(WRONG_USER_CODES_WITHIN)))
        .fetch_one(&mut *transaction)
        .await?;
        let failures: i64 = row.try_get("failures")?;
        transaction.commit().await?;
        Ok(failures <= WRONG_USER_CODES)
    }

    /// The user code was right: this attempt was none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn user_code_right(&self, user: &UserId) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "UPDATE user_code_failures SET failures = failures - 1 WHERE user_id = $1 AND failures > 0",
        )
        .bind(user.to_string())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }
}

/// After a change of the password: devices that were let in and have not come yet stay out (CVE-2026-40934).
pub(crate) async fn forget_approvals(transaction: &mut Write, user: &UserId) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE device_codes SET state = 'denied'
         WHERE state = 'approved' AND session_id IN (SELECT id FROM sessions WHERE user_id = $1)",
    )
    .bind(user.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Nobody has decided: is the device too fast?
async fn pending(
    mut transaction: Write,
    device_code: &Digest,
    row: &Record,
    now: u64,
) -> Result<Poll, StoreError> {
    let interval = unsigned(row, "poll_interval")?;
    let early = now < unsigned(row, "polled_at")?.saturating_add(interval);
    let interval = if early { interval.saturating_add(SLOWER) } else { interval };
    sqlx::query("UPDATE device_codes SET polled_at = $2, poll_interval = $3 WHERE device_hash = $1")
        .bind(device_code.to_string())
        .bind(signed(now))
        .bind(signed(interval))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(if early { Poll::SlowDown } else { Poll::Pending })
}

async fn redeem(transaction: &mut Write, device_code: &Digest) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE device_codes SET state = 'redeemed' WHERE device_hash = $1 AND state = 'approved'",
    )
    .bind(device_code.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn device(row: &Record) -> Result<Device, StoreError> {
    Ok(Device {
        address: row.try_get("address")?,
        agent: row.try_get("agent")?,
        bound: parsed_option::<Digest>(row, "cnf")?.is_some(),
        created_at: unsigned(row, "created_at")?,
        expires_at: unsigned(row, "expires_at")?,
    })
}
