//! Accounts of other providers: whose account here a pair of issuer and subject opens. Nothing else is ever compared.

use audit::Event;
use sqlx::Row;

use crate::database::{parsed, signed, unsigned};
use crate::{SessionId, Store, StoreError, User, UserId};

/// An account at another provider that opens an account here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// The provider.
    pub issuer: String,
    /// Unix seconds.
    pub created_at: u64,
}

impl Store {
    /// Whose account this pair opens.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn identity_owner(&self, issuer: &str, subject: &str) -> Result<Option<UserId>, StoreError> {
        let row = sqlx::query("SELECT user_id FROM identities WHERE issuer = $1 AND subject = $2")
            .bind(issuer)
            .bind(subject)
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| parsed(&row, "user_id")).transpose()
    }

    /// Lets the pair open the account, for the session that asked for it; `false` when it opens another one.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] when the session has ended meanwhile, as after a change of the password.
    pub async fn link_identity(
        &self,
        (user, session): (&UserId, &SessionId),
        issuer: &str,
        subject: &str,
        event: Event,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let at = event.at;
        crate::sessions::hold(&mut transaction, session, user, at).await?;
        let done = sqlx::query(
            "INSERT INTO identities (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (issuer, subject) DO NOTHING",
        )
        .bind(issuer)
        .bind(subject)
        .bind(user.to_string())
        .bind(signed(at))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 1 {
            crate::audit::append(&mut transaction, event).await?;
            transaction.commit().await?;
            return Ok(true);
        }
        let row = sqlx::query("SELECT user_id FROM identities WHERE issuer = $1 AND subject = $2")
            .bind(issuer)
            .bind(subject)
            .fetch_one(&mut *transaction)
            .await?;
        Ok(parsed::<UserId>(&row, "user_id")? == *user)
    }

    /// A new account that the pair opens.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], also when the pair opens another account by now.
    pub async fn sign_up_identity(
        &self,
        user: &User,
        issuer: &str,
        subject: &str,
        event: Event,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        crate::accounts::insert(&mut transaction, user).await?;
        sqlx::query("INSERT INTO identities (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4)")
            .bind(issuer)
            .bind(subject)
            .bind(user.id.to_string())
            .bind(signed(user.created_at))
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::name_taken)?;
        crate::audit::append(&mut transaction, event).await?;
        transaction.commit().await
    }

    /// Which providers open the account, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn identities(&self, user: &UserId) -> Result<Vec<LinkedIdentity>, StoreError> {
        let rows = sqlx::query(
            "SELECT issuer, created_at FROM identities WHERE user_id = $1 ORDER BY created_at, issuer LIMIT 100",
        )
        .bind(user.to_string())
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(LinkedIdentity {
                    issuer: row.try_get("issuer")?,
                    created_at: unsigned(row, "created_at")?,
                })
            })
            .collect()
    }

    /// The provider opens the account no more; `false` when it did not.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn unlink_identities(
        &self,
        user: &UserId,
        issuer: &str,
        event: Event,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("DELETE FROM identities WHERE user_id = $1 AND issuer = $2")
            .bind(user.to_string())
            .bind(issuer)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        crate::audit::append(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
