//! Second factors of accounts, and how often they were wrong.
//!
//! Whatever works once works once here: a step, a recovery code, a challenge is used up by one statement that only one caller can win.

mod passkeys;
mod totp;

use audit::Event;
use names::Digest;

use crate::database::{signed, unsigned};
use crate::{Store, StoreError, UserId};

pub use passkeys::{AddedPasskey, Passkey, PasskeyUse};

/// Wrong attempts that are free; after them each one has to wait.
const FREE_ATTEMPTS: u64 = 6;
/// The first wait in seconds; each further wrong attempt doubles it.
const FIRST_WAIT: u64 = 15 * 60;
/// The longest wait in seconds.
const LONGEST_WAIT: u64 = 24 * 3600;

/// Which second factors an account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// An authenticator app.
    pub totp: bool,
    /// Passkeys.
    pub passkeys: u64,
    /// Recovery codes that are left.
    pub recovery_codes: u64,
}

impl Factors {
    /// Whether a password alone is not enough. Recovery codes stand in for a factor and are none.
    #[must_use]
    pub const fn required(&self) -> bool {
        self.totp || self.passkeys > 0
    }
}

/// Whether a second factor may be tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It is counted as wrong until [`Store::factor_right`] says otherwise.
    Allowed,
    /// Not before this time, whatever the code.
    Blocked {
        /// Unix seconds.
        until: u64,
    },
}

impl Store {
    /// Which second factors the account has.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn factors(&self, user: &UserId) -> Result<Factors, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM totp WHERE user_id = $1) AS totp,
                    (SELECT COUNT(*) FROM passkeys WHERE user_id = $1) AS passkeys,
                    (SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1) AS recovery_codes",
        )
        .bind(user.to_string())
        .fetch_one(self.readers())
        .await?;
        Ok(Factors {
            totp: unsigned(&row, "totp")? > 0,
            passkeys: unsigned(&row, "passkeys")?,
            recovery_codes: unsigned(&row, "recovery_codes")?,
        })
    }

    /// Counts an attempt before it is judged, so that many at once (CVE-2026-27801) or on several gateways are still so many attempts.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn attempt_factor(&self, user: &UserId, now: u64) -> Result<Attempt, StoreError> {
        let mut transaction = self.write().await?;
        let row = sqlx::query("SELECT failures, last_at FROM factor_failures WHERE user_id = $1")
            .bind(user.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = row {
            let (failures, last_at) = (unsigned(&row, "failures")?, unsigned(&row, "last_at")?);
            let until = last_at.saturating_add(wait_after(failures));
            // What is later than now was written while the clock was ahead.
            if now < until && last_at <= now {
                return Ok(Attempt::Blocked { until });
            }
        }
        sqlx::query(
            "INSERT INTO factor_failures (user_id, failures, last_at) VALUES ($1, 1, $2)
             ON CONFLICT (user_id) DO UPDATE SET failures = factor_failures.failures + 1, last_at = $2",
        )
        .bind(user.to_string())
        .bind(signed(now))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Attempt::Allowed)
    }

    /// The attempt was right: counting begins anew.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn factor_right(&self, user: &UserId) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM factor_failures WHERE user_id = $1")
            .bind(user.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// Replaces the account's recovery codes by these, and says so in the audit log.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn set_recovery_codes(
        &self,
        user: &UserId,
        hashes: &[Digest],
        act: Event,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1")
            .bind(user.to_string())
            .execute(&mut *transaction)
            .await?;
        for hash in hashes {
            sqlx::query("INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)")
                .bind(user.to_string())
                .bind(hash.to_string())
                .execute(&mut *transaction)
                .await?;
        }
        crate::audit::append(&mut transaction, act).await?;
        transaction.commit().await
    }

    /// Uses a recovery code up; `false` when there was none. Of many callers with the same code one wins.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn use_recovery_code(&self, user: &UserId, hash: &Digest) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2")
            .bind(user.to_string())
            .bind(hash.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Seconds after the last of so many wrong attempts.
fn wait_after(failures: u64) -> u64 {
    if failures < FREE_ATTEMPTS {
        return 0;
    }
    let doublings = u32::try_from(failures - FREE_ATTEMPTS).unwrap_or(u32::MAX).min(16);
    (FIRST_WAIT << doublings).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_nothing_to_a_day() {
        for (failures, wait) in
            [(0, 0), (5, 0), (6, 900), (7, 1800), (8, 3600), (13, 86_400), (u64::MAX, 86_400)]
        {
            assert_eq!(wait_after(failures), wait, "{failures}");
        }
    }
}
