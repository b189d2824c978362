//! Opening the database, and the two ways in: many readers, one writer.
//!
//! # One writer, on PostgreSQL too
//! A [`Write`] is alone from its start to its commit, in all processes: on SQLite by `BEGIN IMMEDIATE`, on PostgreSQL by an advisory lock
//! of the transaction. So what it reads stays true until it commits, and no statement needs to be repeated because of another writer. Row
//! locks or SERIALIZABLE with repetition would allow parallel writers, at the price that every function had to be written for it; the
//! writes here are short (no hashing, no waiting for anybody in them), and a thousand of them a second is more than the passwords of
//! as many users can be checked.
//!
//! # Deadlines
//! Every statement has one, here and on the server, and so has a connection that is asked for: a database that does not answer is
//! [`StoreError::Unavailable`] and never a request that hangs.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::str::FromStr;
use std::sync::Once;
use std::time::{Duration, Instant};

use sqlx::any::{Any, AnyConnectOptions, AnyPoolOptions, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::{AnyConnection, AnyPool, Connection as _, Row, SqlSafeStr};

use crate::database_url::{Kind, Postgres, sqlite_url};
use crate::migrations;
use crate::statements::Readers;
use crate::{DatabaseUrl, StoreError};

pub(crate) use crate::statements::Write;

const READERS: u32 = 4;
/// How long a caller waits for a connection of ours.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection that comes back may take to say that it is well.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long opening waits for others that open the same SQLite file, and how often it looks; with PostgreSQL see `migrations`.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
const OPEN_PAUSE: Duration = Duration::from_millis(20);
/// A connection that was idle for longer is asked first whether it is alive.
const FRESH: Duration = Duration::from_millis(500);
pub(crate) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "start", include_str!("../migrations/0001_start.sql")),
    (2, "accounts", include_str!("../migrations/0002_accounts.sql")),
    (3, "factors", include_str!("../migrations/0003_factors.sql")),
    (4, "licensing", include_str!("../migrations/0004_licensing.sql")),
    (5, "lifecycle", include_str!("../migrations/0005_lifecycle.sql")),
    (6, "idempotency", include_str!("../migrations/0006_idempotency.sql")),
    (7, "traces", include_str!("../migrations/0007_traces.sql")),
];

/// Settings of a SQLite connection; the busy timeout is for other processes that write.
const SQLITE: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";
const SQLITE_READER: &str = "PRAGMA query_only = ON;";
/// Settings of a PostgreSQL session. A writer that stands still loses its transaction, and with it the lock.
const POSTGRES: &str =
    "SET statement_timeout = '8s'; SET lock_timeout = '8s'; SET idle_in_transaction_session_timeout = '15s';";
const POSTGRES_READER: &str = "SET default_transaction_read_only = on;";

/// A row, as every reading function takes it.
pub(crate) type Record = AnyRow;

/// Which database it is; only opening, beginning and moving the schema know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    readers: AnyPool,
    /// One connection: there is one writer anyway, and waiting here is fair while SQLite's own busy handler is not.
    writer: AnyPool,
    dialect: Dialect,
}

/// How far a database's schema is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The last step that was taken.
    pub reached: i64,
    /// The last step that this program knows.
    pub known: i64,
}

impl Store {
    /// Opens the database (a SQLite file is made, 0600) and brings its schema forward. Processes that do it at once wait for each other.
    ///
    /// # Errors
    /// [`StoreError::File`], [`StoreError::Password`], [`StoreError::Newer`], [`StoreError::Migrate`], [`StoreError::Unavailable`],
    /// [`StoreError::Database`].
    pub async fn open(database: &DatabaseUrl) -> Result<Self, StoreError> {
        install_drivers();
        match database.kind() {
            Kind::Sqlite(path) => {
                let path = std::path::absolute(path).map_err(StoreError::File)?;
                protect(&path).map_err(StoreError::File)?;
                let options: AnyConnectOptions = sqlite_url(&path).parse()?;
                patiently(|| Self::connect(Dialect::Sqlite, options.clone())).await
            }
            Kind::Postgres(postgres) => Self::connect(Dialect::Postgres, postgres_options(postgres)?).await,
        }
    }

    /// Which step the schema of a database has reached, and which one this program would bring it to. Nothing is changed; a
    /// SQLite file has to be there.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn schema(database: &DatabaseUrl) -> Result<Schema, StoreError> {
        install_drivers();
        let options: AnyConnectOptions = match database.kind() {
            Kind::Sqlite(path) => {
                let path =
                    std::path::absolute(path).and_then(std::fs::canonicalize).map_err(StoreError::File)?;
                sqlite_url(&path).parse()?
            }
            Kind::Postgres(postgres) => postgres_options(postgres)?,
        };
        let connecting = AnyConnection::connect_with(&options);
        let connecting = tokio::time::timeout(ACQUIRE_TIMEOUT, connecting).await;
        let mut connection = connecting.map_err(|_| StoreError::unanswered())??;
        let reached: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        let known = MIGRATIONS.iter().map(|(version, _, _)| *version).max().unwrap_or_default();
        Ok(Schema { reached: reached.unwrap_or_default(), known })
    }

    async fn connect(dialect: Dialect, options: AnyConnectOptions) -> Result<Self, StoreError> {
        // A connection of its own: the pool would repeat an error until its patience ends.
        let connecting = AnyConnection::connect_with(&options);
        let connecting = tokio::time::timeout(ACQUIRE_TIMEOUT, connecting).await;
        let mut first = connecting.map_err(|_| StoreError::unanswered())??;
        configure(&mut first, dialect.settings()).await?;
        migrations::run(&mut first, dialect).await?;
        first.close().await?;
        let writer = pool(dialect, dialect.settings(), 1).connect_with(options.clone()).await?;
        let readers = pool(dialect, dialect.reader_settings(), READERS).connect_with(options).await?;
        Ok(Self { readers, writer, dialect })
    }

    /// Waits for running statements and closes the database.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub(crate) fn readers(&self) -> Readers<'_> {
        Readers(&self.readers)
    }

    /// SQLite's one writing connection, for what can't be in a transaction; `None` with PostgreSQL.
    pub(crate) async fn sqlite_writer(&self) -> Result<Option<PoolConnection<Any>>, StoreError> {
        match self.dialect {
            Dialect::Sqlite => Ok(Some(self.writer.acquire().await?)),
            Dialect::Postgres => Ok(None),
        }
    }

    /// A transaction that no other writer runs beside, so that what it reads stays true until it commits.
    pub(crate) async fn write(&self) -> Result<Write, StoreError> {
        Write::begin(&self.writer, self.dialect).await
    }
}

impl Dialect {
    const fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[SQLITE],
            Self::Postgres => &[POSTGRES],
        }
    }

    const fn reader_settings(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[SQLITE, SQLITE_READER],
            Self::Postgres => &[POSTGRES, POSTGRES_READER],
        }
    }
}

/// Two drivers, once for the process.
fn install_drivers() {
    static DRIVERS: Once = Once::new();
    // An error means that somebody has installed them already.
    DRIVERS.call_once(|| {
        drop(sqlx::any::install_drivers(&[sqlx::sqlite::any::DRIVER, sqlx::postgres::any::DRIVER]))
    });
}

/// Tries until the database is not busy any more. SQLite's own patience is not enough for opening: changing to the write-ahead log and closing the
/// last connection lock the file without asking the busy handler, and many that move the schema one after another take longer than one writer may.
async fn patiently<F: Future<Output = Result<Store, StoreError>>>(
    attempt: impl Fn() -> F,
) -> Result<Store, StoreError> {
    let began = Instant::now();
    loop {
        match attempt().await {
            Err(StoreError::Busy(_)) if began.elapsed() < OPEN_TIMEOUT => {
                tokio::time::sleep(OPEN_PAUSE).await
            }
            done => return done,
        }
    }
}

fn postgres_options(postgres: &Postgres) -> Result<AnyConnectOptions, StoreError> {
    use sqlx::ConnectOptions as _;
    let url = postgres.connect_url()?;
    Ok(AnyConnectOptions::from_url(&url)?)
}

fn pool(dialect: Dialect, settings: &'static [&'static str], connections: u32) -> AnyPoolOptions {
    let options = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(move |connection, _| Box::pin(configure(connection, settings)));
    match dialect {
        // SQLite ends a transaction by itself where the disk is full (sqlite.org/lang_transaction.html, 3), and its driver goes on counting
        // it: such a connection would refuse every later transaction.
        Dialect::Sqlite => options.before_acquire(|connection, _| {
            let whole = !connection.is_in_transaction();
            Box::pin(async move { Ok(whole) })
        }),
        // A server can go away and come back, or stop answering; neither may cost more than the request that notices.
        Dialect::Postgres => options
            .before_acquire(|connection, about| {
                Box::pin(
                    async move { if about.idle_for < FRESH { Ok(true) } else { answers(connection).await } },
                )
            })
            .after_release(|connection, _| Box::pin(answers(connection))),
    }
}

/// Whether the connection answers soon; one that does not is closed.
async fn answers(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(crate::statements::too_late()),
    }
}

async fn configure(connection: &mut AnyConnection, settings: &[&'static str]) -> Result<(), sqlx::Error> {
    for setting in settings {
        sqlx::raw_sql(setting.into_sql_str()).execute(&mut *connection).await?;
    }
    Ok(())
}

fn protect(path: &Path) -> std::io::Result<()> {
    // SQLite gives its -wal and -shm files the mode of the main file. One that exists is not opened: closing it would end the locks that
    // another store of this process holds.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => std::fs::set_permissions(path, Permissions::from_mode(0o600)),
    }
}

/// Reads a text column into a type of ours.
pub(crate) fn parsed<T: FromStr>(row: &Record, column: &'static str) -> Result<T, StoreError> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|_| StoreError::Corrupt { column })
}

/// As [`parsed`], for columns that may be null.
pub(crate) fn parsed_option<T: FromStr>(row: &Record, column: &'static str) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|_| StoreError::Corrupt { column })).transpose()
}

/// Reads an integer column that is never negative.
pub(crate) fn unsigned(row: &Record, column: &'static str) -> Result<u64, StoreError> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_| StoreError::Corrupt { column })
}

/// Times and counters go into BIGINT columns; what does not fit is no time of ours.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A row that needs new pages.
    async fn write_much(store: &Store) -> Result<(), StoreError> {
        let mut write = store.write().await?;
        let insert = "INSERT INTO limits (bucket, failures, until, expires_at) VALUES ($1, 0, 0, 0)";
        sqlx::query(insert).bind("x".repeat(1 << 20)).execute(&mut *write).await?;
        write.commit().await
    }

    #[tokio::test]
    async fn a_writer_whose_disk_was_full_writes_again_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::sqlite(folder.path().join("db.sqlite"))).await.unwrap();
        let mut writer = store.sqlite_writer().await.unwrap().unwrap();
        sqlx::raw_sql("PRAGMA max_page_count = 1").execute(&mut *writer).await.unwrap();
        drop(writer);
        let full = write_much(&store).await.unwrap_err();
        assert!(matches!(full, StoreError::Full(_)), "{full:?}");
        write_much(&store).await.unwrap();
    }
}
