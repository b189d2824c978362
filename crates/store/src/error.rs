//! Why the store says no.

use sqlx::error::DatabaseError;

use crate::PasswordFileError;

/// What callers answer (the first group), what passes or operators repair while it runs (the second), and what they repair first (the third).
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
    /// No licence allows it, for this reason.
    #[error("the license: {}", .0.as_str())]
    License(licensing::Code),
    /// The licence's or plan's state does not allow it.
    #[error("the license's state")]
    Transition(#[source] licensing::TransitionError),
    /// Another controller has taken the enclave over.
    #[error("the claim is not held any more")]
    ClaimLost,
    /// It was done too often.
    #[error("too often; once more in {seconds} s")]
    TooOften {
        /// Seconds until once more is allowed.
        seconds: u64,
    },
    /// The user stores as much as allowed.
    #[error("the quota of {limit} bytes is used up")]
    StorageQuota {
        /// Bytes allowed.
        limit: u64,
    },
    /// No such row.
    #[error("no such row")]
    NotFound,

    /// The database does not answer, or the connection to it was lost before anything was decided: nothing has happened.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// Another writer took too long, or the database has too much to do: nothing has happened.
    #[error("the database is busy")]
    Busy(#[source] sqlx::Error),
    /// The disk is full: nothing has happened.
    #[error("the database's disk is full")]
    Full(#[source] sqlx::Error),
    /// The database takes no writes: a standby, or a file system that is mounted read-only.
    #[error("the database is read-only")]
    ReadOnly(#[source] sqlx::Error),
    /// The connection was lost while a change was being made to last: only a look can tell whether it was. Never repeated here.
    #[error("the connection to the database was lost during a commit")]
    OutcomeUnknown(#[source] sqlx::Error),

    /// A stored value is not what this version writes.
    #[error("column {column} holds something that this version does not write")]
    Corrupt {
        /// The column.
        column: &'static str,
    },
    /// The file can't be made or protected.
    #[error("open the database file")]
    File(#[source] std::io::Error),
    /// The database's password can't be had.
    #[error("the database's password")]
    Password(#[from] PasswordFileError),
    /// A newer version of this program has moved the schema on.
    #[error("the database has schema {version}, which a newer version of this program made: use that one")]
    Newer {
        /// The first step that is not known here.
        version: i64,
    },
    /// The schema can't be brought forward: it has been changed.
    #[error("bring the schema forward")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// Anything else that the database says.
    #[error("database")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether the same request may be taken later: the database is away, busy, full or read-only, or it is not known what it did.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_)
                | Self::Busy(_)
                | Self::Full(_)
                | Self::ReadOnly(_)
                | Self::OutcomeUnknown(_)
        )
    }

    /// A unique violation means that a name is in use; everything else stays as it is.
    pub(crate) fn name_taken(error: sqlx::Error) -> Self {
        let unique = error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation);
        if unique { Self::NameTaken } else { error.into() }
    }

    /// What an error of a commit means.
    pub(crate) fn commit(error: sqlx::Error) -> Self {
        if Self::is_lost_connection(&error) { Self::OutcomeUnknown(error) } else { error.into() }
    }

    /// No answer in time.
    pub(crate) fn unanswered() -> Self {
        Self::Unavailable(crate::statements::too_late())
    }

    /// Whether the error says that the connection is gone, not what became of the statement.
    pub(crate) fn is_lost_connection(error: &sqlx::Error) -> bool {
        match error {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
            // Class 08: connection exception; 57P01 to 57P05: the server ends the session.
            sqlx::Error::Database(error) => {
                sqlstate(&**error).is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
            }
            _ => false,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        if Self::is_lost_connection(&error) {
            return Self::Unavailable(error);
        }
        match &error {
            E::Tls(_) | E::PoolTimedOut | E::PoolClosed => Self::Unavailable(error),
            E::Database(cause) => match kind(&**cause) {
                Kind::Unavailable => Self::Unavailable(error),
                Kind::Busy => Self::Busy(error),
                Kind::Full => Self::Full(error),
                Kind::ReadOnly => Self::ReadOnly(error),
                Kind::Other => Self::Database(error),
            },
            _ => Self::Database(error),
        }
    }
}

enum Kind {
    Unavailable,
    Busy,
    Full,
    ReadOnly,
    Other,
}

fn kind(error: &dyn DatabaseError) -> Kind {
    if let Some(code) = sqlstate(error) {
        return postgres_kind(&code);
    }
    // The lower byte of SQLite's extended result codes (sqlite.org/rescode.html) is the primary one.
    let code = error.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
    match code & 0xff {
        5 | 6 => Kind::Busy,          // SQLITE_BUSY, SQLITE_LOCKED
        8 => Kind::ReadOnly,          // SQLITE_READONLY
        13 => Kind::Full,             // SQLITE_FULL
        10 | 14 => Kind::Unavailable, // SQLITE_IOERR, SQLITE_CANTOPEN
        _ => Kind::Other,
    }
}

/// Codes of PostgreSQL's appendix A.
fn postgres_kind(code: &str) -> Kind {
    match code {
        "53100" => Kind::Full,                               // disk_full
        "25006" => Kind::ReadOnly,                           // read_only_sql_transaction
        "55P03" | "57014" | "40001" | "40P01" => Kind::Busy, // lock_not_available, query_canceled, serialization, deadlock
        "25P03" | "58030" => Kind::Unavailable,              // idle_in_transaction_session_timeout, io_error
        // Insufficient resources; who we are and which database, as seen at connecting.
        _ if ["53", "28", "3D"].iter().any(|class| code.starts_with(class)) => Kind::Unavailable,
        _ => Kind::Other,
    }
}

/// The five characters of a PostgreSQL error.
fn sqlstate(error: &dyn DatabaseError) -> Option<String> {
    error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().map(|error| error.code().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use sqlx::Connection as _;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

    use super::*;

    async fn error_of(path: &std::path::Path, statements: &'static str) -> StoreError {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap_err().into()
    }

    #[tokio::test]
    async fn sqlite_says_full_read_only_and_busy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.sqlite");
        let full =
            "CREATE TABLE t (x TEXT); PRAGMA max_page_count = 4; INSERT INTO t VALUES (hex(zeroblob(40000)))";
        assert!(matches!(error_of(&path, full).await, StoreError::Full(_)));
        let read_only = "PRAGMA query_only = ON; INSERT INTO t VALUES ('x')";
        assert!(matches!(error_of(&path, read_only).await, StoreError::ReadOnly(_)));
        let options = SqliteConnectOptions::new().filename(&path);
        let mut other = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
        let busy = "PRAGMA busy_timeout = 1; INSERT INTO t VALUES ('x')";
        assert!(matches!(error_of(&path, busy).await, StoreError::Busy(_)));
    }

    #[test]
    fn postgres_codes_have_their_meaning() {
        for (code, meant) in [
            ("53100", "full"),
            ("25006", "read-only"),
            ("55P03", "busy"),
            ("53300", "away"),
            ("23505", "other"),
        ] {
            let said = match postgres_kind(code) {
                Kind::Full => "full",
                Kind::ReadOnly => "read-only",
                Kind::Busy => "busy",
                Kind::Unavailable => "away",
                Kind::Other => "other",
            };
            assert_eq!(said, meant, "{code}");
        }
    }
}
