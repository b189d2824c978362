//! A copy of a SQLite database that is of one moment, made while others write.

use std::path::Path;

use crate::{Store, StoreError};

impl Store {
    /// Writes the copy; nothing may be at the path. `false`, and nothing written, with PostgreSQL: it has backups of its own.
    ///
    /// # Errors
    /// What the database says: [`StoreError::Full`] where there is no room.
    pub async fn snapshot(&self, path: &Path) -> Result<bool, StoreError> {
        let Some(mut connection) = self.sqlite_writer().await? else { return Ok(false) };
        // Not in a transaction: SQLite makes one of its own around the copy.
        sqlx::query("VACUUM INTO $1")
            .bind(path.to_string_lossy().into_owned())
            .execute(&mut *connection)
            .await?;
        Ok(true)
    }
}
