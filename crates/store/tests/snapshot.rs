//! A copy of the database while it is in use.
#![allow(clippy::unwrap_used, missing_docs)]

use store::{DatabaseUrl, Store, StoreError};

#[tokio::test]
async fn a_snapshot_has_what_was_acknowledged_and_opens_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let live = Store::open(&DatabaseUrl::sqlite(folder.path().join("db.sqlite"))).await.unwrap();
    let before = live.counts().await.unwrap();
    let copy = folder.path().join("copy.sqlite");
    assert!(live.snapshot(&copy).await.unwrap());
    // Never over something that is there.
    assert!(matches!(live.snapshot(&copy).await, Err(StoreError::Database(_))));
    live.close().await;
    let again = Store::open(&DatabaseUrl::sqlite(copy)).await.unwrap();
    assert_eq!(again.counts().await.unwrap(), before);
    again.ping().await.unwrap();
}
