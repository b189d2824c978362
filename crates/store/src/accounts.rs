//! Accounts.

use sqlx::Row;

use crate::database::{Record, parsed, signed, unsigned};
use crate::{Store, StoreError, UserId};

/// An account. No Debug: it holds the password's hash.
#[derive(Clone)]
pub struct User {
    /// Opaque id.
    pub id: UserId,
    /// Name in lower case, unique.
    pub name: String,
    /// PHC string.
    pub password_hash: String,
    /// Unix seconds.
    pub created_at: u64,
}

impl Store {
    /// Adds an account; the caller has folded and checked the name.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO users (id, name, password_hash, created_at) VALUES ($1, $2, $3, $4)")
            .bind(user.id.to_string())
            .bind(&user.name)
            .bind(&user.password_hash)
            .bind(signed(user.created_at))
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::name_taken)?;
        transaction.commit().await
    }

    /// The account of exactly this name.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        let row = sqlx::query("SELECT * FROM users WHERE name = $1")
            .bind(name)
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(user).transpose()
    }

    /// The account of this id.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let row = sqlx::query("SELECT * FROM users WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(user).transpose()
    }

    /// Replaces the password's hash (a rehash at login, with stronger parameters).
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_password_hash(&self, id: &UserId, password_hash: &str) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(password_hash)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound);
        }
        transaction.commit().await
    }
}

fn user(row: &Record) -> Result<User, StoreError> {
    Ok(User {
        id: parsed(row, "id")?,
        name: row.try_get("name")?,
        password_hash: row.try_get("password_hash")?,
        created_at: unsigned(row, "created_at")?,
    })
}
