//! The calls about sessions, the password and the audit log, and those of admins about accounts.

use ::http::Method;
use api::accounts::{Account, Accounts, Audit, PasswordChange, Sessions, SessionsEnded};
use api::{Secret, paths};

use super::{As, Call, Gateway, LIST_ROWS, page};
use crate::error::Error;
use crate::names::UserName;

impl Gateway {
    /// `GET /v1/sessions`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn sessions(&mut self) -> Result<Sessions, Error> {
        self.json(Call::new(Method::GET, paths::SESSIONS, As::User)).await
    }

    /// `DELETE /v1/sessions/{id}`; the id is 32 hex.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn end_session(&mut self, id: &str) -> Result<(), Error> {
        self.done(Call::new(Method::DELETE, &format!("{}/{id}", paths::SESSIONS), As::User)).await
    }

    /// `DELETE /v1/sessions`: all but this one; how many there were.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn end_other_sessions(&mut self) -> Result<u64, Error> {
        let ended: SessionsEnded = self.json(Call::new(Method::DELETE, paths::SESSIONS, As::User)).await?;
        Ok(ended.ended)
    }

    /// `PUT /v1/me/password`: every other session ends.
    ///
    /// # Errors
    /// What the gateway says: the old password is another one, the new one is not allowed.
    pub async fn change_password(&mut self, old: Secret, new: Secret) -> Result<(), Error> {
        let change = PasswordChange { old_password: old, new_password: new };
        self.done(Call::new(Method::PUT, paths::ME_PASSWORD, As::User).with_json(&change)?).await
    }

    /// `GET /v1/audit`, the newest entries.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn audit(&mut self) -> Result<Audit, Error> {
        self.json(Call::new(Method::GET, paths::AUDIT, As::User)).await
    }

    /// `GET /v1/admin/audit`, the newest entries of everybody.
    ///
    /// # Errors
    /// What the gateway says; that it is not there, to who is no admin.
    pub async fn admin_audit(&mut self) -> Result<Audit, Error> {
        self.json(Call::new(Method::GET, paths::ADMIN_AUDIT, As::User)).await
    }

    /// `GET /v1/admin/users`, page after page.
    ///
    /// # Errors
    /// What the gateway says; that it is not there, to who is no admin.
    pub async fn accounts(&mut self) -> Result<Accounts, Error> {
        let mut all: Accounts = self.json(Call::new(Method::GET, paths::ADMIN_USERS, As::User)).await?;
        while let Some(cursor) = all.next_cursor.take() {
            let path = page(paths::ADMIN_USERS, Some(&cursor));
            let next: Accounts = self.json(Call::new(Method::GET, &path, As::User)).await?;
            all.users.extend(next.users);
            all.next_cursor = next.next_cursor;
            if all.users.len() >= LIST_ROWS {
                break;
            }
        }
        Ok(all)
    }

    /// `POST /v1/admin/users/{name}/disable`: every session of the account ends.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn disable_account(&mut self, name: &UserName) -> Result<Account, Error> {
        let path = format!("{}/{name}/disable", paths::ADMIN_USERS);
        self.json(Call::new(Method::POST, &path, As::User)).await
    }

    /// `POST /v1/admin/users/{name}/enable`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn enable_account(&mut self, name: &UserName) -> Result<Account, Error> {
        let path = format!("{}/{name}/enable", paths::ADMIN_USERS);
        self.json(Call::new(Method::POST, &path, As::User)).await
    }
}
