//! What operators ask: does the database answer, and how much is in it.

use sqlx::Row;

use crate::database::unsigned;
use crate::{Store, StoreError};

/// Rows of one kind and state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// `users`, `sessions`, `apps`, `enclaves`.
    pub kind: &'static str,
    /// The state; `all` where there is none.
    pub state: String,
    /// How many.
    pub number: u64,
}

const WHOLE: &[(&str, &str)] = &[
    ("users", "SELECT COUNT(*) AS number FROM users"),
    ("sessions", "SELECT COUNT(*) AS number FROM sessions WHERE revoked_at IS NULL"),
    ("apps", "SELECT COUNT(*) AS number FROM apps"),
];

impl Store {
    /// One statement, so that an answer says that the database works.
    ///
    /// # Errors
    /// What the database says.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 AS one").fetch_one(self.readers()).await?;
        Ok(())
    }

    /// How many rows there are, and enclaves by state.
    ///
    /// # Errors
    /// What the database says.
    pub async fn counts(&self) -> Result<Vec<Count>, StoreError> {
        let mut counts = Vec::new();
        for (kind, statement) in WHOLE {
            let row = sqlx::query(*statement).fetch_one(self.readers()).await?;
            counts.push(Count { kind, state: "all".to_owned(), number: unsigned(&row, "number")? });
        }
        let rows =
            sqlx::query("SELECT state, COUNT(*) AS number FROM enclaves GROUP BY state ORDER BY state")
                .fetch_all(self.readers())
                .await?;
        for row in &rows {
            let (state, number) = (row.try_get("state")?, unsigned(row, "number")?);
            counts.push(Count { kind: "enclaves", state, number });
        }
        Ok(counts)
    }
}
