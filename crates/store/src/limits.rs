//! Attempts at passwords and codes, counted before the work: per account with a growing pause, per address at a steady rate.
//!
//! Invariant: an attempt that is admitted has been counted, in the same transaction, whatever comes of it; so parallel attempts, and attempts at
//! several gateways, never are more than the limit.

use crate::database::{Write, parsed, signed, unsigned};
use crate::{Store, StoreError};

/// Rows kept; those that expire first go when there are more.
const ROWS: i64 = 200_000;

/// How an account is protected: some attempts are free, then each failure makes the pause twice as long, up to a bound. A pause always ends.
#[derive(Clone, Copy, Debug)]
pub struct Lockout {
    /// Failures before the first pause.
    pub free: u32,
    /// The first pause in seconds.
    pub first: u64,
    /// The longest pause in seconds.
    pub longest: u64,
    /// Seconds without an attempt after which all is forgotten.
    pub forget: u64,
}

impl Lockout {
    /// The pause after this many failures, in milliseconds.
    fn pause(&self, failures: u64) -> u64 {
        let Some(over) = failures.checked_sub(u64::from(self.free)) else { return 0 };
        let doubled = self.first.saturating_mul(1 << over.min(32));
        doubled.min(self.longest).saturating_mul(1000)
    }
}

/// How often something may happen: a bucket of `burst`, refilled with one per `every` milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// Milliseconds per one.
    pub every: u64,
}

/// May the work be done?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes; it has been counted.
    Admitted,
    /// Not before this many seconds.
    Wait(u64),
}

impl Store {
    /// Counts an attempt from an address and at an account; nothing is counted when either says no. `now` in unix milliseconds.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn admit(
        &self,
        address: Option<(&str, Rate)>,
        account: Option<(&str, Lockout)>,
        now: u64,
    ) -> Result<Admission, StoreError> {
        let mut transaction = self.write().await?;
        if let Some((bucket, rate)) = address {
            let waits = take(&mut transaction, bucket, rate, now).await?;
            if waits > 0 {
                return Ok(Admission::Wait(whole_seconds(waits)));
            }
        }
        if let Some((bucket, lockout)) = account {
            let waits = count(&mut transaction, bucket, lockout, now).await?;
            if waits > 0 {
                return Ok(Admission::Wait(whole_seconds(waits)));
            }
        }
        transaction.commit().await?;
        Ok(Admission::Admitted)
    }

    /// Takes back the last attempt at an account: it was one that had been counted before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn uncount(&self, bucket: &str) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query(
            "UPDATE limits SET failures = failures - 1, until = 0 WHERE bucket = $1 AND failures > 0",
        )
        .bind(bucket)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// Forgets the failures of an account: somebody has proved to be its owner.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forgive(&self, bucket: &str) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        forgive(&mut transaction, bucket).await?;
        transaction.commit().await
    }

    /// Drops what no longer counts, and what exceeds the bound; how many rows.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune_limits(&self, now: u64) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        let expired = sqlx::query("DELETE FROM limits WHERE expires_at <= $1")
            .bind(signed(now))
            .execute(&mut *transaction)
            .await?;
        let above = sqlx::query(
            "DELETE FROM limits WHERE bucket IN
             (SELECT bucket FROM limits ORDER BY expires_at DESC, bucket LIMIT 1000000 OFFSET $1)",
        )
        .bind(ROWS)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(expired.rows_affected() + above.rows_affected())
    }

    /// The key of this day's address tags; `fresh` becomes it when there is none. Older keys are deleted.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn address_key(&self, day: u64, fresh: &names::Digest) -> Result<names::Digest, StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO address_keys (day, key) VALUES ($1, $2) ON CONFLICT (day) DO NOTHING")
            .bind(signed(day))
            .bind(fresh.to_string())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM address_keys WHERE day < $1")
            .bind(signed(day))
            .execute(&mut *transaction)
            .await?;
        let row = sqlx::query("SELECT key FROM address_keys WHERE day = $1")
            .bind(signed(day))
            .fetch_one(&mut *transaction)
            .await?;
        let key = parsed(&row, "key")?;
        transaction.commit().await?;
        Ok(key)
    }
}

pub(crate) async fn forgive(transaction: &mut Write, bucket: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM limits WHERE bucket = $1").bind(bucket).execute(&mut **transaction).await?;
    Ok(())
}

/// A token bucket in one number: when it will be full again.
async fn take(transaction: &mut Write, bucket: &str, rate: Rate, now: u64) -> Result<u64, StoreError> {
    let (until, _, _) = look(transaction, bucket).await?;
    let full = now.saturating_add(rate.every.saturating_mul(u64::from(rate.burst)));
    // Nothing is further away than a whole bucket: what is was written while the clock was ahead.
    let until = if until > full { now } else { until.max(now) }.saturating_add(rate.every);
    if until > full {
        return Ok(until - full);
    }
    set(transaction, bucket, 0, until, until / 1000 + 1).await?;
    Ok(0)
}

async fn count(transaction: &mut Write, bucket: &str, lockout: Lockout, now: u64) -> Result<u64, StoreError> {
    let (until, failures, expires_at) = look(transaction, bucket).await?;
    // Nothing is further away than the longest pause: what is was written while the clock was ahead.
    let longest = now.saturating_add(lockout.longest.saturating_mul(1000));
    if until > now && until <= longest {
        return Ok(until - now);
    }
    let forgotten = expires_at <= now / 1000;
    let failures = if forgotten { 1 } else { failures.saturating_add(1) };
    let until = now.saturating_add(lockout.pause(failures));
    set(transaction, bucket, failures, until, (until / 1000).saturating_add(lockout.forget)).await?;
    Ok(0)
}

/// When the bucket is free or full again, its failures, and when it is forgotten; zeros when there is no row.
async fn look(transaction: &mut Write, bucket: &str) -> Result<(u64, u64, u64), StoreError> {
    let row = sqlx::query("SELECT failures, until, expires_at FROM limits WHERE bucket = $1")
        .bind(bucket)
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(row) = row else { return Ok((0, 0, 0)) };
    Ok((unsigned(&row, "until")?, unsigned(&row, "failures")?, unsigned(&row, "expires_at")?))
}

async fn set(
    transaction: &mut Write,
    bucket: &str,
    failures: u64,
    until: u64,
    expires_at: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO limits (bucket, failures, until, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (bucket) DO UPDATE SET failures = excluded.failures, until = excluded.until, expires_at = excluded.expires_at",
    )
        .bind(bucket)
        .bind(signed(failures))
        .bind(signed(until))
        .bind(signed(expires_at))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

const fn whole_seconds(milliseconds: u64) -> u64 {
    milliseconds.div_ceil(1000)
}
