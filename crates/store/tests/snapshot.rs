//! A copy of the database while it is in use.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use api::enclaves::State;
use fixtures::{Database, Kind, on_both_databases};
use names::{Digest, EnclaveId};
use store::{
    DatabaseUrl, Event, NewApp, NewEnclave, NewSession, Quota, Role, SessionId, Store, StoreError, User,
    UserId,
};

const ALICE: UserId = UserId::from_bytes([1; 16]);
const NOTES: EnclaveId = EnclaveId::from_bytes([2; 16]);

on_both_databases! {
    a_snapshot_has_what_was_acknowledged_and_opens_by_itself,
    a_snapshot_made_while_others_write_has_all_that_was_acknowledged_before,
}

async fn open(database: &Database) -> Store {
    Store::open(&database.url().parse().unwrap()).await.unwrap()
}

fn user(id: UserId, name: &str) -> User {
    User {
        id,
        name: name.into(),
        password_hash: "$argon2id$x".into(),
        role: Role::User,
        disabled_at: None,
        created_at: 1,
    }
}

/// An account, a session, an app, an enclave and a line of the audit log.
async fn fill(store: &Store) {
    store.create_user(&user(ALICE, "alice")).await.unwrap();
    let session = NewSession {
        id: SessionId::from_bytes([3; 16]),
        user: ALICE,
        refresh_hash: Digest::of(b"refresh"),
        cnf: None,
        client: "test".into(),
        created_at: 2,
        expires_at: 1000,
    };
    store.create_session(&session).await.unwrap();
    let app = NewApp {
        name: "hello".into(),
        version: "1".into(),
        digest: Digest::of(b"version"),
        manifest: "{}".into(),
        record: "a.b.c".into(),
        publisher: Digest::of(b"publisher"),
        owner: ALICE,
        created_at: 3,
    };
    let event = Event { at: 3, action: "app.publish".into(), ..Event::default() };
    store.publish_app(&app, event).await.unwrap();
    let enclave = NewEnclave {
        id: NOTES,
        user: ALICE,
        user_name: "alice".into(),
        name: "notes".into(),
        app: "hello".into(),
        version: "1".into(),
        version_digest: Digest::of(b"version"),
        owner: Digest::of(b"owner"),
        host: "notes-alice.enclaves.localhost".into(),
        idle_timeout: None,
        trace: None,
        max_age: Some(60),
        created_at: 4,
    };
    store.create_enclave(&enclave, Quota::default()).await.unwrap();
}

/// Makes the copy and opens it. PostgreSQL has backups of its own: nothing is written there, and it says so.
async fn copy(database: &Database, live: &Store) -> Option<Store> {
    let path = database.folder().join("copy.sqlite");
    let made = live.snapshot(&path).await.unwrap();
    assert_eq!(made, database.kind() == Kind::Sqlite);
    assert_eq!(path.exists(), made);
    if !made {
        return None;
    }
    Some(Store::open(&DatabaseUrl::sqlite(path)).await.unwrap())
}

async fn a_snapshot_has_what_was_acknowledged_and_opens_by_itself(database: Database) {
    let live = open(&database).await;
    fill(&live).await;
    let Some(copy) = copy(&database, &live).await else { return };
    // Never over something that is there.
    let again = live.snapshot(&database.folder().join("copy.sqlite")).await;
    assert!(matches!(again, Err(StoreError::Database(_))));
    // What comes later is not in it.
    live.create_user(&user(UserId::from_bytes([9; 16]), "late")).await.unwrap();
    live.close().await;
    std::fs::remove_file(database.folder().join("db.sqlite")).unwrap();

    assert_eq!(copy.user_by_name("alice").await.unwrap().unwrap().id, ALICE);
    assert!(copy.user_by_name("late").await.unwrap().is_none());
    let session = copy.session(&SessionId::from_bytes([3; 16])).await.unwrap().unwrap();
    assert_eq!((session.user, session.expires_at), (ALICE, 1000));
    assert_eq!(copy.newest_app("hello").await.unwrap().unwrap().digest, Digest::of(b"version"));
    let notes = copy.enclave(&NOTES).await.unwrap().unwrap();
    assert_eq!((notes.user, notes.state, notes.max_age), (ALICE, State::Pending, Some(60)));
    assert_eq!(copy.audit_after(0, 10).await.unwrap().len(), 1);
    // And it goes on as a database.
    copy.create_user(&user(UserId::from_bytes([8; 16]), "next")).await.unwrap();
}

async fn a_snapshot_made_while_others_write_has_all_that_was_acknowledged_before(database: Database) {
    let live = open(&database).await;
    let (acknowledged, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn({
        let (live, acknowledged, stop) = (live.clone(), Arc::clone(&acknowledged), Arc::clone(&stop));
        async move {
            let mut number = 0_u32;
            while !stop.load(Ordering::SeqCst) {
                number += 1;
                let mut id = [0; 16];
                id[..4].copy_from_slice(&number.to_be_bytes());
                live.create_user(&user(UserId::from_bytes(id), &format!("user-{number}"))).await.unwrap();
                acknowledged.store(number, Ordering::SeqCst);
            }
        }
    });
    while acknowledged.load(Ordering::SeqCst) < 20 {
        tokio::task::yield_now().await;
    }
    let before = acknowledged.load(Ordering::SeqCst);
    let copy = copy(&database, &live).await;
    stop.store(true, Ordering::SeqCst);
    writing.await.unwrap();
    let Some(copy) = copy else { return };
    let (users, _) = copy.count_users().await.unwrap();
    assert!(users >= u64::from(before), "{users} of {before}");
    for number in 1..=users {
        assert!(copy.user_by_name(&format!("user-{number}")).await.unwrap().is_some(), "{number} is missing");
    }
}
