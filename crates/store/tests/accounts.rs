//! Accounts, limits, the audit chain and token keys, on a real SQLite file and on a real PostgreSQL server.
#![allow(clippy::unwrap_used, missing_docs)]

use fixtures::{Database, on_both_databases};
use futures_util::future::join_all;
use names::Digest;
use sqlx::{AnyConnection, Connection as _};
use store::{
    Admission, Event, Head, Lockout, NewPassword, NewSession, Proof, Rate, Role, Rotation, SessionId, Store,
    StoreError, TokenKey, User, UserId,
};

const ALICE: UserId = UserId::from_bytes([1; 16]);
const HASH: &str = "$argon2id$x";
const LOCKOUT: Lockout = Lockout { free: 6, first: 30, longest: 900, forget: 86_400 };

async fn open(database: &Database) -> Store {
    Store::open(&database.url().parse().unwrap()).await.unwrap()
}

async fn with_alice(database: &Database) -> Store {
    let store = open(database).await;
    let user = User {
        id: ALICE,
        name: "alice".into(),
        password_hash: HASH.into(),
        role: Role::User,
        disabled_at: None,
        created_at: 1,
    };
    store.sign_up(&user, event("user.sign_up")).await.unwrap();
    store
}

fn event(action: &str) -> Event {
    Event { at: 1, actor: ALICE.to_string(), action: action.into(), result: "ok".into(), ..Event::default() }
}

fn session(number: u8) -> NewSession {
    NewSession {
        id: SessionId::from_bytes([number; 16]),
        user: ALICE,
        refresh_hash: Digest::of(&[number]),
        cnf: None,
        client: "a client".into(),
        created_at: 10,
        expires_at: 1000,
    }
}

const fn password(checked: &str) -> Proof<'_> {
    Proof::Password { checked, rehashed: None, bucket: "account alice" }
}

async fn altered(database: &Database, sql: &'static str) {
    let mut connection = AnyConnection::connect(database.url()).await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

on_both_databases! {
    the_seventh_attempt_waits_at_every_gateway,
    pauses_double_up_to_a_longest_and_are_forgiven,
    parallel_attempts_are_no_more_than_the_limit,
    an_address_is_refilled_at_its_rate,
    a_clock_that_is_set_back_locks_nobody_out_for_longer,
    another_providers_account_is_linked_by_a_session_that_holds_or_not_at_all,
    limits_that_are_over_are_pruned,
    a_new_password_ends_every_other_session_and_its_refresh_token,
    a_login_with_the_password_of_a_moment_ago_opens_nothing,
    a_disabled_account_has_no_session_and_gets_none,
    a_session_that_vouches_has_to_hold,
    appends_from_two_processes_stay_one_chain,
    an_altered_dropped_or_moved_row_is_found,
    a_pruned_chain_says_so_and_stays_verifiable,
    token_keys_leave_when_their_lease_ends,
    a_days_key_is_the_same_for_all_and_yesterdays_is_gone,
}

/// CVE-2026-27801: the limit of attempts did not limit.
async fn the_seventh_attempt_waits_at_every_gateway(database: Database) {
    let (one, other) = (open(&database).await, open(&database).await);
    for number in 0..6 {
        let store = if number % 2 == 0 { &one } else { &other };
        assert_eq!(
            store.admit(None, Some(("a", LOCKOUT)), 5_000).await.unwrap(),
            Admission::Admitted,
            "{number}"
        );
    }
    for store in [&one, &other] {
        assert_eq!(store.admit(None, Some(("a", LOCKOUT)), 5_001).await.unwrap(), Admission::Wait(30));
    }
    assert_eq!(one.admit(None, Some(("b", LOCKOUT)), 5_001).await.unwrap(), Admission::Admitted);
}

async fn pauses_double_up_to_a_longest_and_are_forgiven(database: Database) {
    let store = open(&database).await;
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..14 {
        match store.admit(None, Some(("a", LOCKOUT)), now).await.unwrap() {
            Admission::Admitted => {}
            Admission::Wait(seconds) => {
                pauses.push(seconds);
                now += seconds * 1000;
                assert_eq!(store.admit(None, Some(("a", LOCKOUT)), now).await.unwrap(), Admission::Admitted);
            }
        }
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 900, 900, 900]);
    store.forgive("a").await.unwrap();
    assert_eq!(store.admit(None, Some(("a", LOCKOUT)), now).await.unwrap(), Admission::Admitted);
}

async fn parallel_attempts_are_no_more_than_the_limit(database: Database) {
    let stores = [open(&database).await, open(&database).await];
    let attempts = (0..50).map(|number| stores[number % 2].admit(None, Some(("a", LOCKOUT)), 1_000));
    let admitted = join_all(attempts).await;
    assert_eq!(admitted.iter().filter(|one| matches!(one, Ok(Admission::Admitted))).count(), 6);
}

async fn an_address_is_refilled_at_its_rate(database: Database) {
    let store = open(&database).await;
    let rate = Rate { burst: 3, every: 2_000 };
    let admit = async |now| store.admit(Some(("a", rate)), None, now).await.unwrap();
    for _ in 0..3 {
        assert_eq!(admit(10_000).await, Admission::Admitted);
    }
    assert_eq!(admit(10_000).await, Admission::Wait(2));
    assert_eq!(admit(12_000).await, Admission::Admitted);
    assert_eq!(admit(12_500).await, Admission::Wait(2));
    // An account is not counted when its address has to wait.
    let both = store.admit(Some(("a", rate)), Some(("account", LOCKOUT)), 12_500).await.unwrap();
    assert_eq!(both, Admission::Wait(2));
}

/// An hour ahead, then right again.
async fn a_clock_that_is_set_back_locks_nobody_out_for_longer(database: Database) {
    let store = open(&database).await;
    let (now, ahead) = (1_000_000, 1_000_000 + 3_600_000);
    let rate = Rate { burst: 3, every: 2_000 };
    for _ in 0..8 {
        store.admit(Some(("a", rate)), None, ahead).await.unwrap();
        store.admit(None, Some(("b", LOCKOUT)), ahead).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(store.admit(Some(("a", rate)), None, now).await.unwrap(), Admission::Admitted);
    }
    assert_eq!(store.admit(Some(("a", rate)), None, now).await.unwrap(), Admission::Wait(2));
    // The failures still count: one more, and the pause is that of so many.
    assert_eq!(store.admit(None, Some(("b", LOCKOUT)), now).await.unwrap(), Admission::Admitted);
    assert!(matches!(store.admit(None, Some(("b", LOCKOUT)), now).await.unwrap(), Admission::Wait(60..=120)));
}

/// As CVE-2026-40934 of device codes: what a stolen session has begun ends with the change of the password.
async fn another_providers_account_is_linked_by_a_session_that_holds_or_not_at_all(database: Database) {
    let store = with_alice(&database).await;
    store.open_session(&session(1), password(HASH), event("session.open")).await.unwrap();
    store.open_session(&session(2), password(HASH), event("session.open")).await.unwrap();
    let link = async |user: UserId, number, subject: &str| {
        let session = SessionId::from_bytes([number; 16]);
        store.link_identity((&user, &session), "https://id.example", subject, event("identity.link")).await
    };
    assert!(link(ALICE, 1, "one").await.unwrap());
    store.end_session(&ALICE, &SessionId::from_bytes([1; 16]), 12, event("session.end")).await.unwrap();
    assert!(matches!(link(ALICE, 1, "two").await, Err(StoreError::WrongState)));
    assert!(matches!(link(UserId::from_bytes([2; 16]), 2, "two").await, Err(StoreError::WrongState)));
    store.disable_user(&ALICE, 13, event("user.disable")).await.unwrap();
    assert!(matches!(link(ALICE, 2, "two").await, Err(StoreError::WrongState)));
    assert_eq!(store.identities(&ALICE).await.unwrap().len(), 1);
}

async fn limits_that_are_over_are_pruned(database: Database) {
    let store = open(&database).await;
    store.admit(None, Some(("a", LOCKOUT)), 1_000).await.unwrap();
    assert_eq!(store.prune_limits(86_000).await.unwrap(), 0);
    assert_eq!(store.prune_limits(90_000).await.unwrap(), 1);
}

/// CVE-2026-40934, CVE-2026-43911: tokens outlived a change of the password.
async fn a_new_password_ends_every_other_session_and_its_refresh_token(database: Database) {
    let store = with_alice(&database).await;
    for number in 1..4 {
        store.open_session(&session(number), password(HASH), event("session.open")).await.unwrap();
    }
    let keep = SessionId::from_bytes([1; 16]);
    let new = NewPassword { user: &ALICE, checked: HASH, hash: "$new", keep: &keep };
    store.change_password(&new, 20, event("password.change")).await.unwrap();
    let left = store.sessions(&ALICE, 21).await.unwrap();
    assert_eq!(left.iter().map(|session| session.id).collect::<Vec<_>>(), [keep]);
    let refreshed = store.rotate_refresh(&Digest::of(&[2]), &Digest::of(b"next"), None, 21).await.unwrap();
    assert!(matches!(refreshed, Rotation::Ended));
    let again = store.change_password(&new, 22, event("password.change")).await;
    assert!(matches!(again, Err(StoreError::WrongState)));
}

/// A login that was checked before a change of the password must not open a session after it.
async fn a_login_with_the_password_of_a_moment_ago_opens_nothing(database: Database) {
    let store = with_alice(&database).await;
    let opened = store.open_session(&session(1), password("$another"), event("session.open")).await;
    assert!(matches!(opened, Err(StoreError::WrongState)));
    let proof = Proof::Password { checked: HASH, rehashed: Some("$better"), bucket: "account alice" };
    store.open_session(&session(1), proof, event("session.open")).await.unwrap();
    assert_eq!(store.user(&ALICE).await.unwrap().unwrap().password_hash, "$better");
}

/// CVE-2026-43913: status was not checked; Rauthy 0.32.4: a refresh did not authorise again.
async fn a_disabled_account_has_no_session_and_gets_none(database: Database) {
    let store = with_alice(&database).await;
    store.open_session(&session(1), password(HASH), event("session.open")).await.unwrap();
    assert!(store.live_session(&SessionId::from_bytes([1; 16]), 20).await.unwrap().is_some());
    assert!(store.disable_user(&ALICE, 20, event("user.disable")).await.unwrap());
    assert!(!store.disable_user(&ALICE, 21, event("user.disable")).await.unwrap());
    assert!(store.live_session(&SessionId::from_bytes([1; 16]), 21).await.unwrap().is_none());
    let refreshed = store.rotate_refresh(&Digest::of(&[1]), &Digest::of(b"next"), None, 21).await.unwrap();
    assert!(matches!(refreshed, Rotation::Ended));
    for proof in [password(HASH), Proof::Passkey] {
        let opened = store.open_session(&session(2), proof, event("session.open")).await;
        assert!(matches!(opened, Err(StoreError::WrongState)));
    }
    assert!(store.enable_user(&ALICE, event("user.enable")).await.unwrap());
    assert!(store.live_session(&SessionId::from_bytes([1; 16]), 22).await.unwrap().is_none());
    store.open_session(&session(2), password(HASH), event("session.open")).await.unwrap();
}

async fn a_session_that_vouches_has_to_hold(database: Database) {
    let store = with_alice(&database).await;
    store.open_session(&session(1), password(HASH), event("session.open")).await.unwrap();
    let first = SessionId::from_bytes([1; 16]);
    store.open_session(&session(2), Proof::Session(&first), event("session.open")).await.unwrap();
    store.end_session(&ALICE, &first, 12, event("session.end")).await.unwrap();
    let third = store.open_session(&session(3), Proof::Session(&first), event("session.open")).await;
    assert!(matches!(third, Err(StoreError::WrongState)));
}

async fn appends_from_two_processes_stay_one_chain(database: Database) {
    let stores = [open(&database).await, open(&database).await];
    let appends = (0..40).map(|number| stores[number % 2].audit(event(&format!("act{number}"))));
    assert!(join_all(appends).await.iter().all(Result::is_ok));
    let entries = stores[0].audit_after(0, 1000).await.unwrap();
    assert_eq!(entries.len(), 40);
    assert_eq!(audit::verify(Head::START, &entries), Ok(stores[1].audit_head().await.unwrap()));
}

async fn an_altered_dropped_or_moved_row_is_found(database: Database) {
    let store = open(&database).await;
    for number in 0..6 {
        store.audit(event(&format!("act{number}"))).await.unwrap();
    }
    let seen = store.audit_head().await.unwrap();
    let verify = async || audit::verify_since(Head::START, &store.audit_after(0, 1000).await.unwrap(), &seen);
    assert_eq!(verify().await, Ok(seen));
    altered(&database, "UPDATE audit SET actor = 'mallory' WHERE seq = 3").await;
    assert_eq!(verify().await, Err(audit::Broken::Altered(3)));
    altered(&database, "DELETE FROM audit WHERE seq = 3").await;
    assert_eq!(verify().await, Err(audit::Broken::Order(4)));
    altered(&database, "UPDATE audit SET seq = 3 WHERE seq = 6").await;
    assert_eq!(verify().await, Err(audit::Broken::Link(3)));
    altered(&database, "DELETE FROM audit WHERE seq > 2").await;
    assert_eq!(verify().await, Err(audit::Broken::Head(6)));
}

async fn a_pruned_chain_says_so_and_stays_verifiable(database: Database) {
    let store = open(&database).await;
    for at in [10, 20, 30, 25, 40] {
        store.audit(Event { at, ..event("act") }).await.unwrap();
    }
    let all = store.audit_after(0, 1000).await.unwrap();
    assert_eq!(store.prune_audit(10, 100).await.unwrap(), None);
    // Up to the first that is to be kept, whatever the clock said after it.
    assert_eq!(store.prune_audit(30, 100).await.unwrap(), Some(all[1].head()));
    let left = store.audit_after(0, 1000).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [3, 4, 5, 6]);
    assert_eq!(audit::verify_pruned(&left), Ok(store.audit_head().await.unwrap()));
    assert_eq!(audit::verify(all[1].head(), &left), Ok(store.audit_head().await.unwrap()));
    // A head that was kept before, of an entry that is still there.
    assert!(audit::verify_since(all[1].head(), &left, &all[3].head()).is_ok());
    // Everything but what tells of it.
    assert_eq!(store.prune_audit(101, 100).await.unwrap().map(|head| head.seq), Some(5));
    assert_eq!(store.prune_audit(101, 100).await.unwrap().map(|head| head.seq), Some(6));
    store.audit(event("act")).await.unwrap();
    let left = store.audit_after(0, 1000).await.unwrap();
    assert_eq!(audit::verify_pruned(&left), Ok(store.audit_head().await.unwrap()));
    altered(&database, "DELETE FROM audit WHERE seq = 7").await;
    let left = store.audit_after(0, 1000).await.unwrap();
    assert_eq!(audit::verify_pruned(&left), Err(audit::Broken::Start(8)));
}

async fn token_keys_leave_when_their_lease_ends(database: Database) {
    let store = open(&database).await;
    let key = |id: &str, retires_at| TokenKey { id: id.into(), jwk: "{}".into(), created_at: 1, retires_at };
    store.keep_token_key(&key("a", 100)).await.unwrap();
    store.keep_token_key(&key("b", 100)).await.unwrap();
    store.keep_token_key(&key("b", 200)).await.unwrap();
    let ids = async |now| {
        let keys = store.token_keys(now, 10).await.unwrap();
        keys.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(99).await, ["b", "a"]);
    assert_eq!(ids(100).await, ["b"]);
    assert_eq!(store.token_keys(50, 1).await.unwrap().len(), 1);
    assert_eq!(store.prune_token_keys(150).await.unwrap(), 1);
}

async fn a_days_key_is_the_same_for_all_and_yesterdays_is_gone(database: Database) {
    let (one, other) = (open(&database).await, open(&database).await);
    let first = one.address_key(10, &Digest::of(b"one")).await.unwrap();
    assert_eq!(other.address_key(10, &Digest::of(b"other")).await.unwrap(), first);
    assert_ne!(other.address_key(11, &Digest::of(b"next")).await.unwrap(), first);
    assert_ne!(one.address_key(10, &Digest::of(b"again")).await.unwrap(), first);
}
