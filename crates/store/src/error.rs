//! Why the store says no.

/// What callers answer (the first group) and what operators repair (the second).
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The user, enclave, app or host name is in use.
    #[error("the name is in use")]
    NameTaken,
    /// The same name and version exist with another digest.
    #[error("this version exists with another digest")]
    VersionConflict,
    /// The user has as many enclaves as allowed.
    #[error("the quota of {limit} enclaves is used up")]
    QuotaExceeded {
        /// Enclaves allowed.
        limit: u32,
    },
    /// The row is in another state than the caller expected, or the step is not allowed.
    #[error("the enclave is in another state")]
    WrongState,
    /// No such row.
    #[error("no such row")]
    NotFound,

    /// A stored value is not what this version writes.
    #[error("unreadable value in column {column}")]
    Corrupt {
        /// The column.
        column: &'static str,
    },
    /// The file can't be made or protected.
    #[error("open the database file")]
    File(#[source] std::io::Error),
    /// The schema can't be brought forward: the file was written by a newer version or has been changed.
    #[error("bring the schema forward")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Anything else that the database says.
    #[error("database")]
    Database(#[from] sqlx::Error),
}

impl StoreError {
    /// A unique violation means that a name is in use; everything else stays as it is.
    pub(crate) fn name_taken(error: sqlx::Error) -> Self {
        let unique = error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation);
        if unique { Self::NameTaken } else { Self::Database(error) }
    }
}
