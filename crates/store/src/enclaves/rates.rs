//! How often enclaves may be started: every start is three records in the node's enclave log, which ends at a bound.

use lifecycle::{Bucket, Rate};
use names::EnclaveId;

use crate::database::{Write, signed, unsigned};
use crate::{Store, StoreError, UserId};

/// How often starts may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartRates {
    /// By one user.
    pub user: Rate,
    /// Of one enclave.
    pub enclave: Rate,
}

impl Default for StartRates {
    /// A user at full speed for a day makes 9,000 records of the log's 65,536.
    fn default() -> Self {
        Self { user: Rate { burst: 200, every: 30 }, enclave: Rate { burst: 60, every: 60 } }
    }
}

impl Store {
    /// Counts one start against the rates.
    ///
    /// # Errors
    /// [`StoreError::TooOften`].
    pub async fn count_start(
        &self,
        user: &UserId,
        enclave: Option<&EnclaveId>,
        rates: &StartRates,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        // Full ones say nothing any more.
        sqlx::query("DELETE FROM rates WHERE full_at < $1")
            .bind(signed(now))
            .execute(&mut *transaction)
            .await?;
        take(&mut transaction, &format!("start-user-{user}"), &rates.user, now).await?;
        if let Some(enclave) = enclave {
            take(&mut transaction, &format!("start-enclave-{enclave}"), &rates.enclave, now).await?;
        }
        transaction.commit().await
    }
}

async fn take(transaction: &mut Write, name: &str, rate: &Rate, now: u64) -> Result<(), StoreError> {
    // The insert takes the row's lock, whether it is new or not.
    let row = sqlx::query(
        "INSERT INTO rates (name, full_at) VALUES ($1, 0) ON CONFLICT (name) DO UPDATE SET name = excluded.name
         RETURNING full_at",
    )
    .bind(name)
    .fetch_one(&mut **transaction)
    .await?;
    let bucket = Bucket { full_at: unsigned(&row, "full_at")? };
    let bucket = bucket.take(rate, now).map_err(|seconds| StoreError::TooOften { seconds })?;
    sqlx::query("UPDATE rates SET full_at = $2 WHERE name = $1")
        .bind(name)
        .bind(signed(bucket.full_at))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
