//! A copy of the database while it is in use: SQLite's is ours to make, PostgreSQL has its own.
#![allow(clippy::unwrap_used, missing_docs)]

use fixtures::{Database, Kind};
use store::{DatabaseUrl, Store, StoreError};

async fn open(database: &Database) -> Store {
    Store::open(&database.url().parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_snapshot_has_what_was_acknowledged_and_opens_by_itself() {
    let database = Database::of(Kind::Sqlite);
    let live = open(&database).await;
    let before = live.counts().await.unwrap();
    let copy = database.folder().join("copy.sqlite");
    assert!(live.snapshot(&copy).await.unwrap());
    // Never over something that is there.
    assert!(matches!(live.snapshot(&copy).await, Err(StoreError::Database(_))));
    live.close().await;
    let again = Store::open(&DatabaseUrl::sqlite(copy)).await.unwrap();
    assert_eq!(again.counts().await.unwrap(), before);
    again.ping().await.unwrap();
}

#[tokio::test]
async fn postgresql_is_not_copied_and_nothing_pretends_that_it_was() {
    let database = Database::of(Kind::Postgres);
    let live = open(&database).await;
    let copy = database.folder().join("copy.sqlite");
    assert!(!live.snapshot(&copy).await.unwrap());
    assert!(!copy.exists());
    live.ping().await.unwrap();
}
