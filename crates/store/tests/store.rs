//! The store on a real SQLite file and on a real PostgreSQL server.
#![allow(clippy::unwrap_used, missing_docs)]

use std::os::unix::fs::PermissionsExt;

use fixtures::{Database, Kind, on_both_databases};
use names::{Digest, EnclaveId};
use store::{
    NewApp, NewEnclave, NewSession, Published, Quota, Role, Rotation, SessionId, Store, StoreError, User,
    UserId,
};

#[path = "store/lives.rs"]
mod lives;

struct Rig {
    store: Store,
    database: Database,
}

const ALICE: UserId = UserId::from_bytes([1; 16]);
const BOB: UserId = UserId::from_bytes([2; 16]);

async fn rig(database: Database) -> Rig {
    let store = open(&database).await;
    for (id, name) in [(ALICE, "alice"), (BOB, "bob")] {
        store.create_user(&user(id, name)).await.unwrap();
    }
    store.publish_app(&app(ALICE, "1", b"one"), store::Event::default()).await.unwrap();
    Rig { store, database }
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

fn app(owner: UserId, version: &str, content: &[u8]) -> NewApp {
    NewApp {
        name: "hello".into(),
        version: version.into(),
        digest: Digest::of(content),
        manifest: "{}".into(),
        record: "a.b.c".into(),
        publisher: Digest::of(b"publisher"),
        owner,
        created_at: 5,
    }
}

fn enclave(number: u8, user: UserId, name: &str) -> NewEnclave {
    NewEnclave {
        trace: None,
        id: EnclaveId::from_bytes([number; 16]),
        user,
        user_name: "someone".into(),
        name: name.into(),
        app: "hello".into(),
        version: "1".into(),
        version_digest: Digest::of(b"one"),
        owner: Digest::of(b"owner"),
        host: format!("{name}-{user}.enclaves.localhost"),
        idle_timeout: None,
        max_age: None,
        created_at: 7,
    }
}

fn session(number: u8, cnf: Option<Digest>) -> NewSession {
    NewSession {
        id: SessionId::from_bytes([number; 16]),
        user: ALICE,
        refresh_hash: Digest::of(&[number]),
        cnf,
        client: String::new(),
        created_at: 10 + u64::from(number),
        expires_at: 1000,
    }
}

on_both_databases! {
    reopening_keeps_every_row,
    user_names_are_unique,
    a_user_is_found_by_exactly_its_name,
    a_spent_refresh_token_ends_the_session,
    parallel_rotations_have_one_winner,
    a_bound_session_needs_its_certificate,
    sessions_end_and_are_bounded,
    a_version_never_changes_and_its_name_has_one_owner,
    names_are_per_user_and_the_quota_counts_active_enclaves,
}

#[tokio::test]
async fn the_file_is_private() {
    let rig = rig(Database::of(Kind::Sqlite)).await;
    for entry in std::fs::read_dir(rig.database.folder()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

/// The original dropped its users table at each start (portal.md 1.1, 6).
async fn reopening_keeps_every_row(database: Database) {
    let rig = rig(database).await;
    rig.store.create_enclave(&enclave(1, ALICE, "a"), Quota::default()).await.unwrap();
    rig.store.close().await;
    let store = open(&rig.database).await;
    assert!(store.user_by_name("bob").await.unwrap().is_some());
    assert_eq!(store.newest_app("hello").await.unwrap().unwrap().version, "1");
    assert_eq!(store.enclaves_of(&ALICE, None, 10).await.unwrap().len(), 1);
}

async fn user_names_are_unique(database: Database) {
    let rig = rig(database).await;
    let again = rig.store.create_user(&user(UserId::from_bytes([3; 16]), "alice")).await;
    assert!(matches!(again, Err(StoreError::NameTaken)));
}

/// The original's lookup had no condition and returned the first row (portal.md 1.1, 1).
async fn a_user_is_found_by_exactly_its_name(database: Database) {
    let rig = rig(database).await;
    assert_eq!(rig.store.user_by_name("bob").await.unwrap().unwrap().id, BOB);
    for name in ["carol", "", "bo", "bob%", "' OR 1=1 --"] {
        assert!(rig.store.user_by_name(name).await.unwrap().is_none(), "{name}");
    }
}

async fn a_spent_refresh_token_ends_the_session(database: Database) {
    let rig = rig(database).await;
    rig.store.create_session(&session(1, None)).await.unwrap();
    let (first, second, third) = (Digest::of(&[1]), Digest::of(b"second"), Digest::of(b"third"));
    assert!(
        matches!(rig.store.rotate_refresh(&first, &second, None, 20).await.unwrap(), Rotation::Rotated(s) if s.generation == 1)
    );
    assert!(matches!(rig.store.rotate_refresh(&first, &third, None, 21).await.unwrap(), Rotation::Reused(_)));
    assert!(matches!(rig.store.rotate_refresh(&second, &third, None, 22).await.unwrap(), Rotation::Ended));
    assert!(rig.store.session(&SessionId::from_bytes([1; 16])).await.unwrap().unwrap().revoked_at.is_some());
}

/// CVE-2026-1035: two parallel exchanges of one refresh token.
async fn parallel_rotations_have_one_winner(database: Database) {
    let rig = rig(database).await;
    rig.store.create_session(&session(1, None)).await.unwrap();
    let tasks: Vec<_> = (0..50u8)
        .map(|number| {
            let store = rig.store.clone();
            tokio::spawn(async move {
                store.rotate_refresh(&Digest::of(&[1]), &Digest::of(&[9, number]), None, 20).await.unwrap()
            })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += u32::from(matches!(task.await.unwrap(), Rotation::Rotated(_)));
    }
    assert_eq!(winners, 1);
}

async fn a_bound_session_needs_its_certificate(database: Database) {
    let rig = rig(database).await;
    let certificate = Digest::of(b"certificate");
    rig.store.create_session(&session(1, Some(certificate))).await.unwrap();
    let (old, new) = (Digest::of(&[1]), Digest::of(b"new"));
    for wrong in [None, Some(&Digest::of(b"another"))] {
        assert!(matches!(
            rig.store.rotate_refresh(&old, &new, wrong, 20).await.unwrap(),
            Rotation::WrongCertificate
        ));
    }
    assert!(matches!(
        rig.store.rotate_refresh(&old, &new, Some(&certificate), 20).await.unwrap(),
        Rotation::Rotated(_)
    ));
}

async fn sessions_end_and_are_bounded(database: Database) {
    let rig = rig(database).await;
    for number in 0..60 {
        rig.store.create_session(&session(number, None)).await.unwrap();
    }
    assert!(rig.store.session(&SessionId::from_bytes([0; 16])).await.unwrap().is_none());
    let last = SessionId::from_bytes([59; 16]);
    assert!(rig.store.revoke_session(&last, 100).await.unwrap());
    assert!(!rig.store.revoke_session(&last, 101).await.unwrap());
    let over = rig.store.rotate_refresh(&Digest::of(&[58]), &Digest::of(b"new"), None, 1000).await.unwrap();
    assert!(matches!(over, Rotation::Ended));
    assert_eq!(rig.store.prune_sessions(1000).await.unwrap(), 50);
}

async fn a_version_never_changes_and_its_name_has_one_owner(database: Database) {
    let rig = rig(database).await;
    assert_eq!(
        rig.store.publish_app(&app(ALICE, "1", b"one"), store::Event::default()).await.unwrap(),
        Published::Before
    );
    assert!(matches!(
        rig.store.publish_app(&app(ALICE, "1", b"two"), store::Event::default()).await,
        Err(StoreError::VersionConflict)
    ));
    assert!(matches!(
        rig.store.publish_app(&app(BOB, "2", b"two"), store::Event::default()).await,
        Err(StoreError::NameTaken)
    ));
    assert_eq!(
        rig.store.publish_app(&app(ALICE, "0.9", b"two"), store::Event::default()).await.unwrap(),
        Published::New
    );
    assert_eq!(rig.store.newest_app("hello").await.unwrap().unwrap().version, "0.9");
    assert_eq!(rig.store.app_version("hello", "1").await.unwrap().unwrap().digest, Digest::of(b"one"));
    assert_eq!(rig.store.app_by_digest(&Digest::of(b"two")).await.unwrap().unwrap().version, "0.9");
    assert_eq!(rig.store.apps(None, 10).await.unwrap().len(), 2);
}

async fn names_are_per_user_and_the_quota_counts_active_enclaves(database: Database) {
    let rig = rig(database).await;
    let quota = Quota { active: 2, total: 3, ..Quota::default() };
    rig.store.create_enclave(&enclave(1, ALICE, "a"), quota).await.unwrap();
    assert!(matches!(
        rig.store.create_enclave(&enclave(9, ALICE, "a"), quota).await,
        Err(StoreError::NameTaken)
    ));
    rig.store.create_enclave(&enclave(2, BOB, "a"), quota).await.unwrap();
    rig.store.create_enclave(&enclave(3, ALICE, "b"), quota).await.unwrap();
    let refused = rig.store.create_enclave(&enclave(4, ALICE, "c"), quota).await;
    assert!(matches!(refused, Err(StoreError::QuotaExceeded { limit: 2 })));

    let first = EnclaveId::from_bytes([1; 16]);
    rig.store.want_stopped(&first, 8).await.unwrap();
    rig.store.create_enclave(&enclave(4, ALICE, "c"), quota).await.unwrap();
    assert!(matches!(
        rig.store.want_running(&first, quota, 9).await,
        Err(StoreError::QuotaExceeded { limit: 2 })
    ));
    rig.store.want_stopped(&EnclaveId::from_bytes([4; 16]), 9).await.unwrap();
    let refused = rig.store.create_enclave(&enclave(5, ALICE, "d"), quota).await;
    assert!(matches!(refused, Err(StoreError::QuotaExceeded { limit: 3 })));
    rig.store.want_running(&first, quota, 9).await.unwrap();
}
