//! Moving the schema forward, all steps in one transaction: a start that is interrupted leaves the schema as it was.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, Connection as _, SqlSafeStr};

use crate::StoreError;
use crate::database::{Dialect, MIGRATIONS};
use crate::statements::LOCK;

/// A step may take longer than a statement of daily work, and so may waiting for another process that moves the schema.
const PATIENCE: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s';";

/// Brings the schema to this program's version.
pub(crate) async fn run(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), StoreError> {
    let mut transaction = match dialect {
        Dialect::Sqlite => connection.begin_with("BEGIN IMMEDIATE").await?,
        Dialect::Postgres => {
            let mut transaction = connection.begin().await?;
            sqlx::raw_sql(PATIENCE).execute(&mut *transaction).await?;
            sqlx::raw_sql(LOCK).execute(&mut *transaction).await?;
            transaction
        }
    };
    match migrator().run_direct(None, &mut *transaction, false).await {
        Ok(()) => Ok(transaction.commit().await?),
        Err(MigrateError::VersionMissing(version)) => Err(StoreError::Newer { version }),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => Err(error.into()),
        Err(error) => Err(StoreError::Migrate(error)),
    }
}

fn migrator() -> Migrator {
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect());
    // The transaction holds the lock of all writers already.
    migrator.set_locking(false);
    migrator
}
