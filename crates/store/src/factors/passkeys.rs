//! Passkeys: whose public keys, how far each authenticator has counted, and which challenges were answered.

use audit::Event;
use names::Digest;
use sqlx::Row;

use crate::database::{Record, parsed, signed, unsigned};
use crate::{Store, StoreError, UserId};

/// Passkeys of one account.
const PASSKEYS_PER_USER: i64 = 20;

/// A stored passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// The credential's id, lower-case hex.
    pub id: String,
    /// Whose.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// `COSE_Key` in hex.
    pub public_key: String,
    /// The authenticator's signature counter.
    pub counter: u64,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub used_at: Option<u64>,
}

/// What came of adding one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddedPasskey {
    /// It is there.
    Added,
    /// The account has as many as allowed.
    TooMany,
    /// The credential's id is in use, of this or another account (WebAuthn L3, 7.1, step 26).
    InUse,
    /// The challenge was answered before.
    Spent,
}

/// What came of using one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyUse {
    /// It counts.
    Used,
    /// The counter has not grown: there may be a copy of the authenticator (WebAuthn L3, 7.2, step 22).
    Regressed,
    /// The challenge was answered before.
    Spent,
    /// It was removed meanwhile.
    Gone,
}

impl Store {
    /// Adds a passkey, spending the challenge that it answered; said in the audit log.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn add_passkey(
        &self,
        passkey: &Passkey,
        challenge: &Digest,
        challenge_ends_at: u64,
        act: Event,
    ) -> Result<AddedPasskey, StoreError> {
        let mut transaction = self.write().await?;
        if !spend(&mut transaction, challenge, challenge_ends_at).await? {
            return Ok(AddedPasskey::Spent);
        }
        let row = sqlx::query("SELECT COUNT(*) AS passkeys FROM passkeys WHERE user_id = $1")
            .bind(passkey.user.to_string())
            .fetch_one(&mut *transaction)
            .await?;
        if row.try_get::<i64, _>("passkeys")? >= PASSKEYS_PER_USER {
            return Ok(AddedPasskey::TooMany);
        }
        let added = sqlx::query(
            "INSERT INTO passkeys (id, user_id, name, public_key, counter, created_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(&passkey.id)
        .bind(passkey.user.to_string())
        .bind(&passkey.name)
        .bind(&passkey.public_key)
        .bind(signed(passkey.counter))
        .bind(signed(passkey.created_at))
        .execute(&mut *transaction)
        .await?;
        if added.rows_affected() != 1 {
            return Ok(AddedPasskey::InUse);
        }
        crate::audit::append(&mut transaction, act).await?;
        transaction.commit().await?;
        Ok(AddedPasskey::Added)
    }

    /// The passkey of this credential id.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn passkey(&self, id: &str) -> Result<Option<Passkey>, StoreError> {
        let row = sqlx::query("SELECT * FROM passkeys WHERE id = $1")
            .bind(id)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(passkey).transpose()
    }

    /// The account's passkeys, the oldest first; there are few.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn passkeys(&self, user: &UserId) -> Result<Vec<Passkey>, StoreError> {
        let rows = sqlx::query("SELECT * FROM passkeys WHERE user_id = $1 ORDER BY created_at, id")
            .bind(user.to_string())
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(passkey).collect()
    }

    /// After a good signature: spends the challenge and moves the counter on.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn use_passkey(
        &self,
        id: &str,
        counter: u64,
        challenge: &Digest,
        challenge_ends_at: u64,
        now: u64,
    ) -> Result<PasskeyUse, StoreError> {
        let mut transaction = self.write().await?;
        if !spend(&mut transaction, challenge, challenge_ends_at).await? {
            return Ok(PasskeyUse::Spent);
        }
        let used = sqlx::query(
            "UPDATE passkeys SET counter = $2, used_at = $3 WHERE id = $1 AND (counter < $2 OR (counter = 0 AND $2 = 0))",
        )
        .bind(id)
        .bind(signed(counter))
        .bind(signed(now))
        .execute(&mut *transaction)
        .await?;
        let there = sqlx::query("SELECT id FROM passkeys WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?
            .is_some();
        // The challenge stays spent whatever the counter says.
        transaction.commit().await?;
        Ok(match (used.rows_affected() == 1, there) {
            (true, _) => PasskeyUse::Used,
            (false, true) => PasskeyUse::Regressed,
            (false, false) => PasskeyUse::Gone,
        })
    }

    /// Removes a passkey of the account; `false` when it has none of this id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove_passkey(&self, user: &UserId, id: &str, act: Event) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("DELETE FROM passkeys WHERE user_id = $1 AND id = $2")
            .bind(user.to_string())
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 1 {
            crate::audit::append(&mut transaction, act).await?;
        }
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Forgets answered challenges that are over anyway, and offers and device codes that nobody asks for any more; how many rows.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune_factors(&self, now: u64) -> Result<u64, StoreError> {
        let mut transaction = self.write().await?;
        let mut pruned = 0;
        for statement in [
            "DELETE FROM spent_challenges WHERE expires_at <= $1",
            "DELETE FROM totp_offers WHERE expires_at <= $1",
        ] {
            let done = sqlx::query(statement).bind(signed(now)).execute(&mut *transaction).await?;
            pruned += done.rows_affected();
        }
        transaction.commit().await?;
        Ok(pruned)
    }
}

/// `false` when the challenge was spent before.
async fn spend(
    transaction: &mut crate::database::Write,
    challenge: &Digest,
    ends_at: u64,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO spent_challenges (hash, expires_at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING",
    )
    .bind(challenge.to_string())
    .bind(signed(ends_at))
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn passkey(row: &Record) -> Result<Passkey, StoreError> {
    let used_at: Option<i64> = row.try_get("used_at")?;
    Ok(Passkey {
        id: row.try_get("id")?,
        user: parsed(row, "user_id")?,
        name: row.try_get("name")?,
        public_key: row.try_get("public_key")?,
        counter: unsigned(row, "counter")?,
        created_at: unsigned(row, "created_at")?,
        used_at: used_at.map(|at| u64::try_from(at).unwrap_or(0)),
    })
}
