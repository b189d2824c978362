//! Plans.

use licensing::{Plan, PlanCode};

use super::{terms, time};
use crate::database::{Record, parsed, signed, unsigned};
use crate::{Store, StoreError};

impl Store {
    /// Adds a plan, whose terms the caller has checked, and says so in the audit log.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn create_plan(&self, plan: &Plan, act: audit::Event) -> Result<(), StoreError> {
        let terms =
            serde_json::to_string(&plan.terms).map_err(|_| StoreError::Corrupt { column: "terms" })?;
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO plans (code, terms, created_at) VALUES ($1, $2, $3)")
            .bind(plan.code.as_str())
            .bind(terms)
            .bind(signed(plan.created_at))
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::name_taken)?;
        crate::audit::append(&mut transaction, act).await?;
        transaction.commit().await
    }

    /// The plan of this code.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn plan(&self, code: &PlanCode) -> Result<Option<Plan>, StoreError> {
        let row = sqlx::query("SELECT * FROM plans WHERE code = $1")
            .bind(code.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(plan).transpose()
    }

    /// Plans in the order of their codes, after `after`; retired ones too.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn plans(&self, after: &str, limit: u32) -> Result<Vec<Plan>, StoreError> {
        let rows = sqlx::query("SELECT * FROM plans WHERE code > $1 ORDER BY code LIMIT $2")
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(plan).collect()
    }

    /// Lets a plan issue no more licences. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn retire_plan(&self, code: &PlanCode, act: audit::Event) -> Result<Plan, StoreError> {
        let mut transaction = self.write().await?;
        let row = sqlx::query(
            "UPDATE plans SET retired_at = COALESCE(retired_at, $2) WHERE code = $1
             RETURNING code, terms, created_at, retired_at",
        )
        .bind(code.as_str())
        .bind(signed(act.at))
        .fetch_optional(&mut *transaction)
        .await?;
        let plan = plan(&row.ok_or(StoreError::NotFound)?)?;
        if plan.retired_at == Some(act.at) {
            crate::audit::append(&mut transaction, act).await?;
        }
        transaction.commit().await?;
        Ok(plan)
    }
}

fn plan(row: &Record) -> Result<Plan, StoreError> {
    Ok(Plan {
        code: parsed(row, "code")?,
        terms: terms(row)?,
        created_at: unsigned(row, "created_at")?,
        retired_at: time(row, "retired_at")?,
    })
}
