//! Licences: issue, change, look.

use licensing::{Event, Facts, License, LicenseId, Plan, PlanCode, Transition, TransitionError};
use sqlx::Row;

use super::{facts, tell};
use crate::database::{Write, signed, unsigned};
use crate::{Store, StoreError, UserId};

/// A line of a list.
pub type ListedLicense = Facts;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseEvent {
    /// Counts the events of a licence, from 1.
    pub seq: u64,
    /// Unix seconds.
    pub at: u64,
    /// See [`licensing::Event::as_str`].
    pub event: String,
    /// User id, enclave id, entitlement or node; may be empty.
    pub subject: String,
}

impl Store {
    /// Issues a licence on a plan, and says so in the audit log; its holder gets the first seat.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown plan or holder, [`StoreError::Transition`] for a retired plan.
    pub async fn issue_license(
        &self,
        id: LicenseId,
        plan: &PlanCode,
        holder: &UserId,
        node: Option<licensing::AkName>,
        act: audit::Event,
    ) -> Result<Facts, StoreError> {
        let now = act.at;
        let plan = self.plan(plan).await?.ok_or(StoreError::NotFound)?;
        let mut transaction = self.write().await?;
        let known = sqlx::query("SELECT id FROM users WHERE id = $1")
            .bind(holder.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        if known.is_none() {
            return Err(StoreError::NotFound);
        }
        // The plan may have been retired since it was read; its terms never change.
        let open = sqlx::query("SELECT code FROM plans WHERE code = $1 AND retired_at IS NULL")
            .bind(plan.code.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        let plan = Plan { retired_at: if open.is_some() { None } else { Some(now) }, ..plan };
        let (license, event) =
            License::issue(id, holder.to_string(), &plan, now).map_err(StoreError::Transition)?;
        let license = License { node, ..license };
        insert(&mut transaction, &license).await?;
        super::seats::insert(&mut transaction, &id, holder, now).await?;
        tell(&mut transaction, &id, event, &license.holder, now).await?;
        crate::audit::append(&mut transaction, act).await?;
        let facts = facts!(&mut *transaction, id, "").ok_or(StoreError::NotFound)?;
        transaction.commit().await?;
        Ok(facts)
    }

    /// What is known of a licence.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn license(&self, id: &LicenseId) -> Result<Option<Facts>, StoreError> {
        Ok(facts!(self.readers(), id, ""))
    }

    /// Licences in the order of their ids, after `after`; of one user, the one who holds it or has a seat, or of everybody.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn licenses(
        &self,
        of: Option<&UserId>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ListedLicense>, StoreError> {
        let rows = match of {
            Some(user) => {
                sqlx::query(
                    "SELECT id FROM licenses WHERE id > $2 AND (holder = $1 OR id IN
                     (SELECT license_id FROM license_users WHERE user_id = $1)) ORDER BY id LIMIT $3",
                )
                .bind(user.to_string())
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(self.readers())
                .await?
            }
            None => {
                sqlx::query("SELECT id FROM licenses WHERE id > $1 ORDER BY id LIMIT $2")
                    .bind(after)
                    .bind(i64::from(limit))
                    .fetch_all(self.readers())
                    .await?
            }
        };
        let mut licenses = Vec::with_capacity(rows.len());
        for row in rows {
            licenses.extend(facts!(self.readers(), row.try_get::<String, _>("id")?, ""));
        }
        Ok(licenses)
    }

    /// Does a transition and tells its event, also in the audit log; all or nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Transition`].
    pub async fn change_license(
        &self,
        id: &LicenseId,
        act: audit::Event,
        transition: impl FnOnce(License, &Plan) -> Transition + Send,
    ) -> Result<Facts, StoreError> {
        let mut transaction = self.write().await?;
        let before = facts!(&mut *transaction, id, "").ok_or(StoreError::NotFound)?;
        let (license, event) = transition(before.license, &before.plan)
            .map_err(|error: TransitionError| StoreError::Transition(error))?;
        update(&mut transaction, &license).await?;
        if let Some(event) = event {
            let subject = license.node.filter(|_| event == Event::NodeChanged);
            let subject = subject.map(|node| node.to_string()).unwrap_or_default();
            tell(&mut transaction, id, event, &subject, act.at).await?;
            crate::audit::append(&mut transaction, act).await?;
        }
        transaction.commit().await?;
        Ok(Facts { license, ..before })
    }

    /// Remembers that a licence was used, to within an hour; with an event where there is one to tell.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn use_license(
        &self,
        id: &LicenseId,
        event: Option<(Event, &str)>,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("UPDATE licenses SET used_at = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(signed(now))
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound);
        }
        if let Some((event, subject)) = event {
            tell(&mut transaction, id, event, subject, now).await?;
        }
        transaction.commit().await
    }

    /// What happened to a licence, after the event of this number.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn license_events(
        &self,
        id: &LicenseId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<LicenseEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM license_events WHERE license_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(id.to_string())
        .bind(signed(after))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        let event = |row: &crate::database::Record| {
            Ok(LicenseEvent {
                seq: unsigned(row, "seq")?,
                at: unsigned(row, "at")?,
                event: row.try_get("event")?,
                subject: row.try_get("subject")?,
            })
        };
        rows.iter().map(event).collect()
    }
}

async fn insert(transaction: &mut Write, license: &License) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO licenses (id, plan, holder, node, issued_at, expires_at, checked_in_at, event_seq)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0)",
    )
    .bind(license.id.to_string())
    .bind(license.plan.as_str())
    .bind(&license.holder)
    .bind(license.node.map(|node| node.to_string()))
    .bind(signed(license.issued_at))
    .bind(license.expires_at.map(signed))
    .bind(signed(license.checked_in_at))
    .execute(&mut **transaction)
    .await
    .map_err(StoreError::name_taken)?;
    Ok(())
}

async fn update(transaction: &mut Write, license: &License) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE licenses SET node = $2, expires_at = $3, suspended_at = $4, revoked_at = $5, checked_in_at = $6
         WHERE id = $1",
    )
    .bind(license.id.to_string())
    .bind(license.node.map(|node| node.to_string()))
    .bind(license.expires_at.map(signed))
    .bind(license.suspended_at.map(signed))
    .bind(license.revoked_at.map(signed))
    .bind(signed(license.checked_in_at))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
