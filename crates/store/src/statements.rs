//! Running statements: each with a deadline, reads again where they met a dead connection, writes exactly once.
//!
//! A server that was away leaves a whole pool of dead connections, and nothing has happened on any of them: each is passed over, until one
//! lives or none is left.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::any::{Any, AnyArguments, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{AnyPool, Either, Error, Execute, Executor, SqlStr, Transaction};
use tokio::time::{Instant, timeout, timeout_at};

use crate::StoreError;
use crate::database::Dialect;

/// How long a statement may take. The server gives up a little earlier where it can; this is for a server that can't.
const STATEMENT: Duration = Duration::from_secs(10);
/// The one writer's lock of a PostgreSQL database, held to the end of the transaction. The number is ours ("sealwright").
pub(crate) const LOCK: &str = "SELECT pg_advisory_xact_lock(8313494086497495412)";

type Step = Result<Either<AnyQueryResult, AnyRow>, Error>;

/// A transaction that may write. Ends without effect when it is dropped.
#[derive(Debug)]
pub(crate) struct Write {
    statements: Statements,
}

/// What [`Write`] runs statements on.
#[derive(Debug)]
pub(crate) struct Statements {
    transaction: Transaction<'static, Any>,
    /// A statement did not succeed. PostgreSQL would then answer a commit with success and undo everything.
    broken: bool,
}

/// The pool of readers.
#[derive(Debug)]
pub(crate) struct Readers<'p>(pub(crate) &'p AnyPool);

impl Write {
    pub(crate) async fn begin(writer: &AnyPool, dialect: Dialect) -> Result<Self, StoreError> {
        let mut dead = pooled(writer);
        loop {
            match begin(writer, dialect).await {
                Err(error) if dead > 0 && StoreError::is_lost_connection(&error) => dead -= 1,
                begun => return Ok(Self { statements: Statements { transaction: begun?, broken: false } }),
            }
        }
    }

    /// Makes the transaction's changes last.
    ///
    /// # Errors
    /// [`StoreError::OutcomeUnknown`] when the answer was lost: then only a look can tell. Anything else: it has not happened.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let Statements { transaction, broken } = self.statements;
        if broken {
            return Err(StoreError::from(Error::BeginFailed));
        }
        match timeout(STATEMENT, transaction.commit()).await {
            Ok(committed) => committed.map_err(StoreError::commit),
            Err(_) => Err(StoreError::commit(too_late())),
        }
    }
}

async fn begin(writer: &AnyPool, dialect: Dialect) -> Result<Transaction<'static, Any>, Error> {
    let begun = timeout(STATEMENT, async {
        match dialect {
            Dialect::Sqlite => writer.begin_with("BEGIN IMMEDIATE").await,
            Dialect::Postgres => {
                let mut transaction = writer.begin().await?;
                sqlx::raw_sql(LOCK).execute(&mut *transaction).await?;
                Ok(transaction)
            }
        }
    });
    begun.await.unwrap_or(Err(Error::PoolTimedOut))
}

impl Deref for Write {
    type Target = Statements;
    fn deref(&self) -> &Statements {
        &self.statements
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Statements {
        &mut self.statements
    }
}

impl<'c> Executor<'c> for &'c mut Statements {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Statements { transaction, broken } = self;
        within(transaction.fetch_many(query)).inspect_err(|_| *broken = true).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let Statements { transaction, broken } = self;
        let fetched = transaction.fetch_optional(query);
        Box::pin(async move {
            let row = timeout(STATEMENT, fetched).await.unwrap_or_else(|_| Err(too_late()));
            *broken |= row.is_err();
            row
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        self.transaction.prepare_with(sql, parameters)
    }
}

impl<'p> Executor<'p> for Readers<'p> {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let rows = async move {
            let rows = self.read(query).await?;
            Ok::<_, Error>(stream::iter(rows.into_iter().map(|row| Ok(Either::Right(row)))))
        };
        stream::once(rows).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        Box::pin(async move { Ok(self.read(query).await?.into_iter().next()) })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'p: 'e,
    {
        self.0.prepare_with(sql, parameters)
    }
}

impl Readers<'_> {
    /// All rows. Where the connection turns out to be dead, on another one: reading twice does no harm.
    async fn read<'q, E: 'q + Execute<'q, Any>>(&self, mut query: E) -> Result<Vec<AnyRow>, Error> {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let sql = query.sql();
        let mut dead = pooled(self.0);
        loop {
            match self.attempt(sql.clone(), arguments.as_ref().map(copy)).await {
                Attempt::Connection(_) if dead > 0 => dead -= 1,
                Attempt::Rows(rows) => return Ok(rows),
                Attempt::Connection(error) | Attempt::Error(error) => return Err(error),
            }
        }
    }

    async fn attempt(&self, sql: SqlStr, arguments: Option<AnyArguments>) -> Attempt {
        let mut connection = match self.0.acquire().await {
            Ok(connection) => connection,
            Err(error) => return Attempt::Error(error),
        };
        match timeout(STATEMENT, connection.fetch_all((sql, arguments))).await {
            Ok(Ok(rows)) => Attempt::Rows(rows),
            Ok(Err(error)) if StoreError::is_lost_connection(&error) => Attempt::Connection(error),
            Ok(Err(error)) => Attempt::Error(error),
            Err(_) => Attempt::Error(too_late()),
        }
    }
}

enum Attempt {
    Rows(Vec<AnyRow>),
    /// The connection was lost before the answer.
    Connection(Error),
    Error(Error),
}

/// As many connections as can be dead at once.
fn pooled(pool: &AnyPool) -> u32 {
    pool.options().get_max_connections()
}

fn copy(arguments: &AnyArguments) -> AnyArguments {
    let mut copy = AnyArguments::default();
    copy.values.0.clone_from(&arguments.values.0);
    copy
}

/// The steps of a statement, up to its deadline.
fn within<'e>(steps: BoxStream<'e, Step>) -> BoxStream<'e, Step> {
    let deadline = Instant::now() + STATEMENT;
    let next = move |mut steps: BoxStream<'e, Step>| async move {
        match timeout_at(deadline, steps.next()).await {
            Ok(step) => step.map(|step| (step, steps)),
            Err(_) => Some((Err(too_late()), stream::empty().boxed())),
        }
    };
    stream::unfold(steps, next).boxed()
}

/// The answer that did not come.
pub(crate) fn too_late() -> Error {
    Error::Io(std::io::ErrorKind::TimedOut.into())
}
