//! Moving the schema forward: from every released one with rows, by several programs at once, and never back.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::Duration;

use api::enclaves::State;
use fixtures::{Database, Kind, on_both_databases};
use names::{Digest, EnclaveId};
use sqlx::migrate::{Migration, MigrationType};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, SqlSafeStr as _};
use store::{
    Controller, ControllerId, Desired, Process, Quota, Rotation, SessionId, Store, StoreError, UserId,
};

const ALICE: UserId = UserId::from_bytes([1; 16]);
const BOB: UserId = UserId::from_bytes([2; 16]);

on_both_databases! {
    every_released_schema_comes_forward_with_the_first_ones_rows,
    programs_that_start_at_once_do_not_collide,
    a_newer_schema_is_refused,
    a_schema_step_that_was_changed_is_refused,
}

async fn open(database: &Database) -> Result<Store, StoreError> {
    Store::open(&database.url().parse().unwrap()).await
}

/// The steps, as they lie in the folder.
fn steps() -> Vec<Migration> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut steps: Vec<Migration> = files
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let (version, name) = name.split_once('_').unwrap();
            let sql = AssertSqlSafe(std::fs::read_to_string(&path).unwrap()).into_sql_str();
            let (version, name) = (version.parse().unwrap(), name.to_owned().into());
            Migration::new(version, name, MigrationType::Simple, sql, false)
        })
        .collect();
    steps.sort_by_key(|step| step.version);
    steps
}

/// The first released database with its rows, after the first steps, as the program of that time left it.
fn fill(database: &Database, steps: &[Migration]) {
    database.sql(match database.kind() {
        Kind::Sqlite => include_str!("../testdata/0001.sqlite.sql"),
        Kind::Postgres => include_str!("../testdata/0001.postgres.sql"),
    });
    for step in steps.iter().skip(1) {
        let checksum = names::hex(&step.checksum);
        let checksum = match database.kind() {
            Kind::Sqlite => format!("X'{checksum}'"),
            Kind::Postgres => format!("decode('{checksum}', 'hex')"),
        };
        database.sql(&format!(
            "{};\nINSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES ({}, '{}', TRUE, {checksum}, 0)",
            step.sql.as_str(),
            step.version,
            step.description,
        ));
    }
}

async fn every_released_schema_comes_forward_with_the_first_ones_rows(database: Database) {
    let steps = steps();
    for reached in 1..=steps.len() {
        let database = Database::of(database.kind());
        fill(&database, &steps[..reached]);
        let url = database.url().parse().unwrap();
        let last = |steps: &[Migration]| steps.last().unwrap().version;
        let schema = Store::schema(&url).await.unwrap();
        assert_eq!((schema.reached, schema.known), (last(&steps[..reached]), last(&steps)));
        comes_forward(&database).await;
        assert_eq!(Store::schema(&url).await.unwrap().reached, last(&steps));
    }
}

async fn comes_forward(database: &Database) {
    let store = open(database).await.unwrap();
    let alice = store.user_by_name("alice").await.unwrap().unwrap();
    assert_eq!((alice.id, alice.created_at), (ALICE, 1_750_000_000));
    assert!(alice.password_hash.starts_with("$argon2id$v=19$"));
    assert_eq!(store.user(&BOB).await.unwrap().unwrap().name, "bob");

    let session = store.session(&SessionId::from_bytes([0x0a; 16])).await.unwrap().unwrap();
    assert_eq!((session.user, session.generation, session.revoked_at), (ALICE, 3, None));
    assert_eq!(session.cnf, Some(Digest::of(b"certificate")));
    let over = store.session(&SessionId::from_bytes([0x0b; 16])).await.unwrap().unwrap();
    assert_eq!(over.revoked_at, Some(1_750_000_020));

    assert_eq!(store.app_by_digest(&Digest::of(b"two")).await.unwrap().unwrap().version, "2");
    let row = |number| EnclaveId::from_bytes([number; 16]);
    let notes = store.enclave(&row(0x11)).await.unwrap().unwrap();
    assert_eq!((notes.user, notes.state, notes.desired), (ALICE, State::Running, Desired::Running));
    assert_eq!((notes.incarnation, notes.process), (2, Some(Process { pid: 4242, start_time: 777 })));
    let failed = store.enclave(&row(0x12)).await.unwrap().unwrap();
    assert_eq!((failed.state, failed.reason.as_deref()), (State::Failed, Some("spawn")));
    assert_eq!(store.enclave(&row(0x14)).await.unwrap().unwrap().desired, Desired::Deleted);

    // And what was there goes on.
    let certificate = Digest::of(b"certificate");
    let rotated = store
        .rotate_refresh(&Digest::of(b"first"), &Digest::of(b"next"), Some(&certificate), 1_750_000_100)
        .await
        .unwrap();
    assert!(matches!(rotated, Rotation::Rotated(session) if session.generation == 4));
    store.want_running(&row(0x13), Quota::default(), 1_750_000_101).await.unwrap();
    let controller = Controller {
        id: ControllerId::from_bytes([1; 16]),
        node: "local".into(),
        host: "here".into(),
        process: Process { pid: 1, start_time: 1 },
        beat: 0,
    };
    store.register_controller(&controller).await.unwrap();
    let (claim, _) = store.claim(&row(0x13), &controller.id, "local").await.unwrap().unwrap();
    assert_eq!(store.next_incarnation(&row(0x13), &claim).await.unwrap(), 6);
}

async fn programs_that_start_at_once_do_not_collide(database: Database) {
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let url = database.url().parse().unwrap();
            tokio::spawn(async move { Store::open(&url).await })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap().unwrap();
    }
    assert_eq!(database.sql("SELECT COUNT(*) FROM _sqlx_migrations WHERE version = 1").trim(), "1");
}

/// SQLite waits for five seconds, and eight programs that move the schema one after another took longer on a busy machine: "database is locked".
#[tokio::test]
async fn opening_waits_longer_than_sqlite_does() {
    const SQLITES_PATIENCE: Duration = Duration::from_millis(5500);
    let database = Database::of(Kind::Sqlite);
    open(&database).await.unwrap().close().await;
    let options = SqliteConnectOptions::new().filename(database.folder().join("db.sqlite"));
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let mut opening = std::pin::pin!(open(&database));
    // Time itself is what is tested.
    assert!(tokio::time::timeout(SQLITES_PATIENCE, &mut opening).await.is_err(), "it did not wait");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    opening.await.unwrap();
}

async fn a_newer_schema_is_refused(database: Database) {
    open(&database).await.unwrap().close().await;
    database.sql(
        "INSERT INTO _sqlx_migrations SELECT 9000, description, installed_on, success, checksum, execution_time
         FROM _sqlx_migrations WHERE version = 1",
    );
    assert!(matches!(open(&database).await, Err(StoreError::Newer { version: 9000 })));
}

async fn a_schema_step_that_was_changed_is_refused(database: Database) {
    open(&database).await.unwrap().close().await;
    database.sql(
        "UPDATE _sqlx_migrations SET description = 'start', checksum = CAST('00' AS BYTEA)"
            .replace(
                "BYTEA",
                match database.kind() {
                    Kind::Sqlite => "BLOB",
                    Kind::Postgres => "BYTEA",
                },
            )
            .as_str(),
    );
    assert!(matches!(open(&database).await, Err(StoreError::Migrate(_))));
}
