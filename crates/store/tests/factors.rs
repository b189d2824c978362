//! Second factors and devices, on SQLite and on PostgreSQL: what works once has one winner.
#![allow(clippy::unwrap_used, missing_docs)]

use fixtures::{Database, on_both_databases};
use names::Digest;
use store::{
    AddedPasskey, Attempt, Begun, Decision, Event, NewDevice, NewSession, Passkey, PasskeyUse, Poll, Role,
    SessionId, Store, User, UserId,
};

const ALICE: UserId = UserId::from_bytes([1; 16]);
const BOB: UserId = UserId::from_bytes([2; 16]);
const SESSION: SessionId = SessionId::from_bytes([3; 16]);
const MANY: u64 = 16;

async fn open(database: &Database) -> Store {
    let store = Store::open(&database.url().parse().unwrap()).await.unwrap();
    for (id, name) in [(ALICE, "alice"), (BOB, "bob")] {
        let user = User {
            id,
            name: name.into(),
            password_hash: "$argon2id$x".into(),
            role: Role::User,
            disabled_at: None,
            created_at: 1,
        };
        store.create_user(&user).await.unwrap();
    }
    store
}

/// What the owner does.
fn act(at: u64) -> store::Event {
    store::Event {
        at,
        actor: ALICE.to_string(),
        action: "act".into(),
        result: "ok".into(),
        ..Default::default()
    }
}

/// How many of many calls at the same time say yes.
async fn winners<T: Future<Output = bool> + Send + 'static>(call: impl Fn() -> T) -> usize {
    let tasks: Vec<_> = (0..MANY).map(|_| tokio::spawn(call())).collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    won
}

on_both_databases! {
    a_step_is_used_once_and_none_before_it,
    an_offer_is_confirmed_once_and_the_newest_holds,
    a_recovery_code_is_used_once,
    attempts_are_free_six_times_and_then_wait,
    a_passkey_has_one_owner_and_its_counter_grows,
    an_approval_is_told_once,
    a_device_that_asks_too_early_waits_longer,
    devices_are_bounded_for_each_address,
    user_codes_are_counted_for_an_hour,
    nothing_that_is_over_stays,
}

async fn a_step_is_used_once_and_none_before_it(database: Database) {
    let store = open(&database).await;
    store.offer_totp(&ALICE, "sealed", 100).await.unwrap();
    assert!(store.confirm_totp(&ALICE, "sealed", 10, act(50)).await.unwrap());
    let won = winners(|| {
        let store = store.clone();
        async move { store.use_totp_step(&ALICE, "sealed", 12).await.unwrap() }
    });
    assert_eq!(won.await, 1);
    for (secret, step, used) in
        [("sealed", 12, false), ("sealed", 11, false), ("other", 13, false), ("sealed", 13, true)]
    {
        assert_eq!(store.use_totp_step(&ALICE, secret, step).await.unwrap(), used, "{secret} {step}");
    }
    assert!(!store.use_totp_step(&BOB, "sealed", 99).await.unwrap());
    assert!(store.factors(&ALICE).await.unwrap().required());
    assert!(store.remove_totp(&ALICE, act(60)).await.unwrap());
    assert!(!store.remove_totp(&ALICE, act(60)).await.unwrap());
    assert_eq!(store.audit_after(0, 10).await.unwrap().len(), 2, "added and removed");
    assert!(!store.factors(&ALICE).await.unwrap().required());
}

async fn an_offer_is_confirmed_once_and_the_newest_holds(database: Database) {
    let store = open(&database).await;
    store.offer_totp(&ALICE, "old", 100).await.unwrap();
    store.offer_totp(&ALICE, "new", 100).await.unwrap();
    assert_eq!(store.offered_totp(&ALICE, 99).await.unwrap().as_deref(), Some("new"));
    assert_eq!(store.offered_totp(&ALICE, 100).await.unwrap(), None);
    assert!(!store.confirm_totp(&ALICE, "old", 1, act(50)).await.unwrap());
    assert!(store.confirm_totp(&ALICE, "new", 1, act(50)).await.unwrap());
    assert!(!store.confirm_totp(&ALICE, "new", 1, act(50)).await.unwrap());
    assert_eq!(store.totp_secret(&ALICE).await.unwrap().as_deref(), Some("new"));
    assert_eq!(store.totp_since(&ALICE).await.unwrap(), Some(50));
}

async fn a_recovery_code_is_used_once(database: Database) {
    let store = open(&database).await;
    let hashes: Vec<Digest> = (0..10u8).map(|number| Digest::of(&[number])).collect();
    store.set_recovery_codes(&ALICE, &hashes, act(60)).await.unwrap();
    let code = hashes[0];
    let won = winners(|| {
        let store = store.clone();
        async move { store.use_recovery_code(&ALICE, &code).await.unwrap() }
    });
    assert_eq!(won.await, 1);
    assert!(!store.use_recovery_code(&BOB, &hashes[1]).await.unwrap());
    assert_eq!(store.factors(&ALICE).await.unwrap().recovery_codes, 9);
    store.set_recovery_codes(&ALICE, &hashes[5..], act(60)).await.unwrap();
    assert_eq!(store.factors(&ALICE).await.unwrap().recovery_codes, 5);
}

/// CVE-2026-27801, also by way of another gateway on the same database.
async fn attempts_are_free_six_times_and_then_wait(database: Database) {
    let store = open(&database).await;
    let other = Store::open(&database.url().parse().unwrap()).await.unwrap();
    let tasks = (0..40u64).map(|number| {
        let store = if number % 2 == 0 { store.clone() } else { other.clone() };
        tokio::spawn(async move { store.attempt_factor(&ALICE, 1000).await.unwrap() == Attempt::Allowed })
    });
    let mut allowed = 0;
    for task in tasks.collect::<Vec<_>>() {
        allowed += usize::from(task.await.unwrap());
    }
    assert_eq!(allowed, 6);
    assert_eq!(other.attempt_factor(&ALICE, 1899).await.unwrap(), Attempt::Blocked { until: 1900 });
    assert_eq!(store.attempt_factor(&ALICE, 1900).await.unwrap(), Attempt::Allowed);
    assert_eq!(store.attempt_factor(&ALICE, 1901).await.unwrap(), Attempt::Blocked { until: 3700 });
    assert_eq!(store.attempt_factor(&BOB, 1901).await.unwrap(), Attempt::Allowed);
    store.factor_right(&ALICE).await.unwrap();
    assert_eq!(store.attempt_factor(&ALICE, 1902).await.unwrap(), Attempt::Allowed);
}

fn passkey(user: UserId, id: &str) -> Passkey {
    Passkey {
        id: id.into(),
        user,
        name: "laptop".into(),
        public_key: "a5".into(),
        counter: 0,
        created_at: 5,
        used_at: None,
    }
}

async fn a_passkey_has_one_owner_and_its_counter_grows(database: Database) {
    let store = open(&database).await;
    let challenge = |number: u8| Digest::of(&[number]);
    let add = async |user, id: &str, number| {
        store.add_passkey(&passkey(user, id), &challenge(number), 100, act(60)).await.unwrap()
    };
    assert_eq!(add(ALICE, "01", 1).await, AddedPasskey::Added);
    assert_eq!(add(ALICE, "02", 1).await, AddedPasskey::Spent);
    assert_eq!(add(BOB, "01", 2).await, AddedPasskey::InUse);
    for number in 0..19 {
        assert_eq!(add(ALICE, &format!("a{number}"), 20 + number).await, AddedPasskey::Added);
    }
    assert_eq!(add(ALICE, "b0", 60).await, AddedPasskey::TooMany);
    let using =
        async |counter, number| store.use_passkey("01", counter, &challenge(number), 100, 50).await.unwrap();
    for (counter, number, result) in [
        (0, 101, PasskeyUse::Used),
        (0, 102, PasskeyUse::Used),
        (3, 103, PasskeyUse::Used),
        (4, 103, PasskeyUse::Spent),
        (3, 104, PasskeyUse::Regressed),
        (0, 105, PasskeyUse::Regressed),
        (9, 105, PasskeyUse::Spent),
        (9, 106, PasskeyUse::Used),
    ] {
        assert_eq!(using(counter, number).await, result, "{counter} {number}");
    }
    assert_eq!(store.passkey("01").await.unwrap().unwrap().used_at, Some(50));
    assert_eq!(store.passkeys(&ALICE).await.unwrap().len(), 20);
    assert!(!store.remove_passkey(&BOB, "01", act(60)).await.unwrap());
    assert!(store.remove_passkey(&ALICE, "01", act(60)).await.unwrap());
    assert_eq!(using(10, 107).await, PasskeyUse::Gone);
}

fn device(number: u8, address: &str, created_at: u64) -> NewDevice {
    NewDevice {
        device_hash: Digest::of(&[b'd', number]),
        user_code_hash: Digest::of(&[b'u', number]),
        cnf: None,
        address: address.into(),
        agent: "test".into(),
        interval: 5,
        created_at,
        expires_at: created_at + 600,
    }
}

async fn session(store: &Store) {
    let session = NewSession {
        id: SESSION,
        user: ALICE,
        refresh_hash: Digest::of(b"refresh"),
        cnf: None,
        client: String::new(),
        created_at: 1,
        expires_at: 10_000,
    };
    store.create_session(&session).await.unwrap();
}

fn decided() -> Event {
    Event { at: 1002, action: "device.approve".into(), result: "ok".into(), ..Event::default() }
}

async fn an_approval_is_told_once(database: Database) {
    let store = open(&database).await;
    session(&store).await;
    let new = NewDevice { cnf: Some(Digest::of(b"certificate")), ..device(1, "here", 1000) };
    assert_eq!(store.begin_device(&new).await.unwrap(), Begun::Waiting);
    assert_eq!(store.begin_device(&new).await.unwrap(), Begun::Again);
    let seen = store.waiting_device(&new.user_code_hash, 1001).await.unwrap().unwrap();
    assert_eq!((seen.agent.as_str(), seen.bound), ("test", true));
    assert!(store.decide_device(&new.user_code_hash, Decision::Approve, &SESSION, decided()).await.unwrap());
    assert!(!store.decide_device(&new.user_code_hash, Decision::Deny, &SESSION, decided()).await.unwrap());
    let told = store.audit_after(0, 10).await.unwrap();
    assert_eq!(told.len(), 1, "what was not decided is not told");
    assert_eq!(told[0].event, Event { subject: new.device_hash.to_string(), ..decided() });
    assert_eq!(store.waiting_device(&new.user_code_hash, 1003).await.unwrap(), None);
    assert_eq!(store.poll_device(&new.device_hash, None, 1003).await.unwrap(), Poll::Unknown);
    let won = winners(|| {
        let store = store.clone();
        async move {
            let answer =
                store.poll_device(&new_hash(), Some(&Digest::of(b"certificate")), 1003).await.unwrap();
            answer == Poll::Approved { by: SESSION, cnf: Some(Digest::of(b"certificate")) }
        }
    });
    assert_eq!(won.await, 1);
}

fn new_hash() -> Digest {
    device(1, "here", 1000).device_hash
}

async fn a_device_that_asks_too_early_waits_longer(database: Database) {
    let store = open(&database).await;
    let new = device(1, "here", 1000);
    store.begin_device(&new).await.unwrap();
    for (now, answer) in [
        (1000, Poll::Pending),
        (1005, Poll::Pending),
        (1009, Poll::SlowDown),
        (1019, Poll::Pending),
        (1028, Poll::SlowDown),
        (1043, Poll::Pending),
        (1600, Poll::Expired),
    ] {
        assert_eq!(store.poll_device(&new.device_hash, None, now).await.unwrap(), answer, "{now}");
    }
}

async fn devices_are_bounded_for_each_address(database: Database) {
    let store = open(&database).await;
    for number in 0..20 {
        assert_eq!(store.begin_device(&device(number, "here", 1000)).await.unwrap(), Begun::Waiting);
    }
    assert_eq!(store.begin_device(&device(20, "here", 1001)).await.unwrap(), Begun::TooMany);
    assert_eq!(store.begin_device(&device(21, "there", 1001)).await.unwrap(), Begun::Waiting);
    assert_eq!(store.begin_device(&device(20, "here", 1600)).await.unwrap(), Begun::Waiting);
}

async fn user_codes_are_counted_for_an_hour(database: Database) {
    let store = open(&database).await;
    for _ in 0..10 {
        assert!(store.attempt_user_code(&ALICE, 1000).await.unwrap());
    }
    assert!(!store.attempt_user_code(&ALICE, 4599).await.unwrap());
    assert!(store.attempt_user_code(&BOB, 4599).await.unwrap());
    assert!(store.attempt_user_code(&ALICE, 4600).await.unwrap());
    for _ in 0..20 {
        assert!(store.attempt_user_code(&BOB, 4700).await.unwrap());
        store.user_code_right(&BOB).await.unwrap();
    }
}

async fn nothing_that_is_over_stays(database: Database) {
    let store = open(&database).await;
    store.offer_totp(&ALICE, "sealed", 100).await.unwrap();
    assert_eq!(store.use_passkey("00", 1, &Digest::of(b"x"), 100, 50).await.unwrap(), PasskeyUse::Gone);
    assert_eq!(store.prune_factors(99).await.unwrap(), 0);
    assert_eq!(store.prune_factors(100).await.unwrap(), 2);
}
