//! Who shares a licence, and what it covers beside its plan. Each change is said in the audit log; what changes nothing is not.

use audit::Event as Act;
use licensing::{Code, Entitlement, Event, Facts, LicenseId};

use super::{facts, tell};
use crate::database::{Write, signed};
use crate::{Store, StoreError, UserId};

/// Most entitlements that a licence has beside its plan's.
const ENTITLEMENTS: usize = 256;

impl Store {
    /// Gives a user a seat, within the plan. Who has one keeps it.
    ///
    /// # Errors
    /// [`StoreError::License`] with `TOO_MANY_USERS`; [`StoreError::NotFound`] for an unknown licence or user.
    pub async fn attach_user(&self, id: &LicenseId, user: &UserId, act: Act) -> Result<Facts, StoreError> {
        let mut transaction = self.write().await?;
        let before = facts!(&mut *transaction, id, "").ok_or(StoreError::NotFound)?;
        let name = user.to_string();
        if before.seats.contains(&name) {
            return Ok(before);
        }
        let limit = before.plan.terms.overage.limit(before.plan.terms.seats);
        if u32::try_from(before.seats.len()).is_ok_and(|seats| seats >= limit) {
            return Err(StoreError::License(Code::TooManyUsers));
        }
        let known = sqlx::query("SELECT id FROM users WHERE id = $1")
            .bind(&name)
            .fetch_optional(&mut *transaction)
            .await?;
        if known.is_none() {
            return Err(StoreError::NotFound);
        }
        insert(&mut transaction, id, user, act.at).await?;
        tell(&mut transaction, id, Event::UserAttached, &name, act.at).await?;
        crate::audit::append(&mut transaction, act).await?;
        transaction.commit().await?;
        let mut after = before;
        after.seats.insert(name);
        Ok(after)
    }

    /// Takes a user's seat; what the user runs on it will be stopped. Who has none stays without.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown licence.
    pub async fn detach_user(&self, id: &LicenseId, user: &UserId, act: Act) -> Result<Facts, StoreError> {
        let mut transaction = self.write().await?;
        let mut facts = facts!(&mut *transaction, id, "").ok_or(StoreError::NotFound)?;
        let name = user.to_string();
        if facts.seats.remove(&name) {
            sqlx::query("DELETE FROM license_users WHERE license_id = $1 AND user_id = $2")
                .bind(id.to_string())
                .bind(&name)
                .execute(&mut *transaction)
                .await?;
            tell(&mut transaction, id, Event::UserDetached, &name, act.at).await?;
            crate::audit::append(&mut transaction, act).await?;
        }
        transaction.commit().await?;
        Ok(facts)
    }

    /// Adds an entitlement to a licence.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::WrongState`] beyond 256 of them.
    pub async fn attach_entitlement(
        &self,
        id: &LicenseId,
        entitlement: &Entitlement,
        act: Act,
    ) -> Result<Facts, StoreError> {
        let mut transaction = self.write().await?;
        let mut facts = facts!(&mut *transaction, id, "").ok_or(StoreError::NotFound)?;
        if facts.entitlements.insert(entitlement.clone()) {
            if facts.entitlements.len() > ENTITLEMENTS {
                return Err(StoreError::WrongState);
            }
            sqlx::query("INSERT INTO license_entitlements (license_id, entitlement) VALUES ($1, $2)")
                .bind(id.to_string())
                .bind(entitlement.as_str())
                .execute(&mut *transaction)
                .await?;
            tell(&mut transaction, id, Event::EntitlementAttached, entitlement.as_str(), act.at).await?;
            crate::audit::append(&mut transaction, act).await?;
        }
        transaction.commit().await?;
        Ok(facts)
    }

    /// Takes an entitlement of the licence's own; those of its plan stay. What runs goes on; it does not start again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn detach_entitlement(
        &self,
        id: &LicenseId,
        entitlement: &Entitlement,
        act: Act,
    ) -> Result<Facts, StoreError> {
        let mut transaction = self.write().await?;
        let mut facts = facts!(&mut *transaction, id, "").ok_or(StoreError::NotFound)?;
        if facts.entitlements.remove(entitlement) {
            sqlx::query("DELETE FROM license_entitlements WHERE license_id = $1 AND entitlement = $2")
                .bind(id.to_string())
                .bind(entitlement.as_str())
                .execute(&mut *transaction)
                .await?;
            tell(&mut transaction, id, Event::EntitlementDetached, entitlement.as_str(), act.at).await?;
            crate::audit::append(&mut transaction, act).await?;
        }
        transaction.commit().await?;
        Ok(facts)
    }
}

pub(super) async fn insert(
    transaction: &mut Write,
    license: &LicenseId,
    user: &UserId,
    now: u64,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO license_users (license_id, user_id, added_at) VALUES ($1, $2, $3)")
        .bind(license.to_string())
        .bind(user.to_string())
        .bind(signed(now))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
