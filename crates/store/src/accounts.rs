//! Accounts.

use std::fmt;
use std::str::FromStr;

use audit::Event;
use sqlx::Row;

use crate::database::{Record, Write, parsed, signed, unsigned};
use crate::{SessionId, Store, StoreError, UserId};

/// What an account may do beyond its own things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    #[default]
    User,
    /// See and disable accounts, see the audit log. Given and taken only at the database, never over the network.
    Admin,
}

impl Role {
    /// As it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotARole;

impl FromStr for Role {
    type Err = NotARole;
    fn from_str(text: &str) -> Result<Self, NotARole> {
        [Self::User, Self::Admin].into_iter().find(|role| role.as_str() == text).ok_or(NotARole)
    }
}

/// An account. No Debug: it holds the password's hash.
#[derive(Clone)]
pub struct User {
    /// Opaque id.
    pub id: UserId,
    /// Name in lower case, unique.
    pub name: String,
    /// PHC string, or a bcrypt hash that was brought from elsewhere.
    pub password_hash: String,
    /// What it may do.
    pub role: Role,
    /// Unix seconds; a disabled account can't log in and has no sessions.
    pub disabled_at: Option<u64>,
    /// Unix seconds.
    pub created_at: u64,
}

/// A change of a password. No Debug: it holds hashes.
pub struct NewPassword<'a> {
    /// Whose.
    pub user: &'a UserId,
    /// The hash that the old password was checked against.
    pub checked: &'a str,
    /// The hash of the new one.
    pub hash: &'a str,
    /// The session that stays.
    pub keep: &'a SessionId,
}

impl Store {
    /// Adds an account; the caller has folded and checked the name.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        insert(&mut transaction, user).await?;
        transaction.commit().await
    }

    /// Adds an account and says so in the audit log.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn sign_up(&self, user: &User, event: Event) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        insert(&mut transaction, user).await?;
        crate::audit::append(&mut transaction, event).await?;
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

    /// Accounts in the order of their names, after `after`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn users(&self, after: &str, limit: u32) -> Result<Vec<User>, StoreError> {
        let rows = sqlx::query("SELECT * FROM users WHERE name > $1 ORDER BY name LIMIT $2")
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(user).collect()
    }

    /// How many accounts there are, and how many of them still have a bcrypt hash.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn count_users(&self) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS users, COUNT(CASE WHEN password_hash LIKE '$2%' THEN 1 END) AS old FROM users",
        )
        .fetch_one(self.readers())
        .await?;
        Ok((unsigned(&row, "users")?, unsigned(&row, "old")?))
    }

    /// Replaces a password and ends every other session of the account, with their refresh tokens.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] when the password was changed meanwhile or the account is disabled.
    pub async fn change_password(
        &self,
        new: &NewPassword<'_>,
        now: u64,
        event: Event,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query(
            "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL",
        )
        .bind(new.user.to_string())
        .bind(new.checked)
        .bind(new.hash)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::WrongState);
        }
        crate::sessions::revoke_others(&mut transaction, new.user, Some(new.keep), now).await?;
        crate::devices::forget_approvals(&mut transaction, new.user).await?;
        crate::audit::append(&mut transaction, event).await?;
        transaction.commit().await
    }

    /// Disables an account and ends its sessions; `false` when it was disabled.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn disable_user(&self, id: &UserId, now: u64, event: Event) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("UPDATE users SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL")
            .bind(id.to_string())
            .bind(signed(now))
            .execute(&mut *transaction)
            .await?;
        let changed = changed(&mut transaction, id, done.rows_affected()).await?;
        crate::sessions::revoke_others(&mut transaction, id, None, now).await?;
        if changed {
            crate::audit::append(&mut transaction, event).await?;
        }
        transaction.commit().await?;
        Ok(changed)
    }

    /// Lets a disabled account log in again; `false` when it was not disabled.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn enable_user(&self, id: &UserId, event: Event) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done =
            sqlx::query("UPDATE users SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL")
                .bind(id.to_string())
                .execute(&mut *transaction)
                .await?;
        let changed = changed(&mut transaction, id, done.rows_affected()).await?;
        if changed {
            crate::audit::append(&mut transaction, event).await?;
        }
        transaction.commit().await?;
        Ok(changed)
    }

    /// Gives an account a role; `false` when it has it already. No route does this: it is for the operator at the database.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_role(&self, id: &UserId, role: Role, event: Event) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("UPDATE users SET role = $2 WHERE id = $1 AND role <> $2")
            .bind(id.to_string())
            .bind(role.as_str())
            .execute(&mut *transaction)
            .await?;
        let changed = changed(&mut transaction, id, done.rows_affected()).await?;
        if changed {
            crate::audit::append(&mut transaction, event).await?;
        }
        transaction.commit().await?;
        Ok(changed)
    }
}

pub(crate) async fn insert(transaction: &mut Write, user: &User) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO users (id, name, password_hash, role, disabled_at, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(user.id.to_string())
    .bind(&user.name)
    .bind(&user.password_hash)
    .bind(user.role.as_str())
    .bind(user.disabled_at.map(signed))
    .bind(signed(user.created_at))
    .execute(&mut **transaction)
    .await
    .map_err(StoreError::name_taken)?;
    Ok(())
}

/// No row was changed: either it was so before, or there is no such account.
async fn changed(transaction: &mut Write, id: &UserId, rows: u64) -> Result<bool, StoreError> {
    if rows > 0 {
        return Ok(true);
    }
    let row = sqlx::query("SELECT id FROM users WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut **transaction)
        .await?;
    if row.is_some() { Ok(false) } else { Err(StoreError::NotFound) }
}

pub(crate) fn user(row: &Record) -> Result<User, StoreError> {
    let disabled_at: Option<i64> = row.try_get("disabled_at")?;
    Ok(User {
        id: parsed(row, "id")?,
        name: row.try_get("name")?,
        password_hash: row.try_get("password_hash")?,
        role: parsed(row, "role")?,
        disabled_at: disabled_at.map(|at| u64::try_from(at).unwrap_or(0)),
        created_at: unsigned(row, "created_at")?,
    })
}
