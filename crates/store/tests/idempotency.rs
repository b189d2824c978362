//! Idempotency keys in the store: one execution, a lease for dead ones, a bound per user.
#![allow(clippy::unwrap_used, missing_docs)]

use fixtures::{Database, on_both_databases};
use names::Digest;
use store::{
    KEPT_SECONDS, KEYS_PER_USER, KeptAnswer, KeyedRequest, LEASE_SECONDS, Store, Turn, User, UserId,
};

const ALICE: UserId = UserId::from_bytes([1; 16]);
const START: u64 = 1_000_000;

on_both_databases!(
    one_is_executed_and_its_answer_is_kept_for_a_day,
    a_dead_execution_is_taken_over,
    a_user_has_a_bounded_number_of_keys,
);

async fn store(database: &Database) -> Store {
    let store = Store::open(&database.url().parse().unwrap()).await.unwrap();
    let user = User {
        id: ALICE,
        name: "alice".into(),
        password_hash: "$".into(),
        role: store::Role::User,
        disabled_at: None,
        created_at: 1,
    };
    store.create_user(&user).await.unwrap();
    store
}

fn attempt(key: &str, asked: &str, run: u8, now: u64) -> KeyedRequest {
    let (key, fingerprint) = (Digest::of(key.as_bytes()), Digest::of(asked.as_bytes()));
    KeyedRequest { user: ALICE, key, fingerprint, run: Digest::from_bytes([run; 32]), now }
}

fn answer(body: &str) -> KeptAnswer {
    KeptAnswer { status: 202, media_type: Some("application/json".into()), body: body.into() }
}

async fn one_is_executed_and_its_answer_is_kept_for_a_day(database: Database) {
    let store = store(&database).await;
    let first = attempt("a", "x", 1, START);
    assert_eq!(store.begin_keyed(&first).await.unwrap(), Turn::Execute);
    assert_eq!(store.begin_keyed(&attempt("a", "x", 2, START)).await.unwrap(), Turn::Running);
    assert_eq!(store.begin_keyed(&attempt("a", "y", 2, START)).await.unwrap(), Turn::Mismatch);
    store.finish_keyed(&first, &answer("{}")).await.unwrap();
    let later = START + KEPT_SECONDS - 1;
    assert_eq!(store.begin_keyed(&attempt("a", "x", 3, later)).await.unwrap(), Turn::Done(answer("{}")));
    assert_eq!(store.begin_keyed(&attempt("a", "y", 3, later)).await.unwrap(), Turn::Mismatch);
    assert_eq!(store.begin_keyed(&attempt("a", "y", 4, later + 1)).await.unwrap(), Turn::Execute);
}

/// A process that dies in the middle leaves its row: another one takes over, and a late word of the first changes nothing.
async fn a_dead_execution_is_taken_over(database: Database) {
    let store = store(&database).await;
    let dead = attempt("a", "x", 1, START);
    store.begin_keyed(&dead).await.unwrap();
    let heir = attempt("a", "x", 2, START + LEASE_SECONDS);
    assert_eq!(store.begin_keyed(&heir).await.unwrap(), Turn::Execute);
    store.finish_keyed(&dead, &answer("late")).await.unwrap();
    store.forget_keyed(&dead).await.unwrap();
    assert_eq!(store.begin_keyed(&attempt("a", "x", 3, heir.now)).await.unwrap(), Turn::Running);
    store.finish_keyed(&heir, &answer("{}")).await.unwrap();
    assert_eq!(store.begin_keyed(&attempt("a", "x", 3, heir.now)).await.unwrap(), Turn::Done(answer("{}")));
}

async fn a_user_has_a_bounded_number_of_keys(database: Database) {
    let store = store(&database).await;
    let key = |number: u32| attempt(&format!("key {number}"), "x", 1, START + u64::from(number) / 100);
    for number in 0..KEYS_PER_USER {
        assert_eq!(store.begin_keyed(&key(number)).await.unwrap(), Turn::Execute);
    }
    assert_eq!(store.begin_keyed(&key(KEYS_PER_USER)).await.unwrap(), Turn::Full);
    store.finish_keyed(&key(7), &answer("{}")).await.unwrap();
    assert_eq!(store.begin_keyed(&key(KEYS_PER_USER)).await.unwrap(), Turn::Execute);
    assert_eq!(store.begin_keyed(&key(0)).await.unwrap(), Turn::Running);
    store.forget_keyed(&key(0)).await.unwrap();
    assert_eq!(store.begin_keyed(&key(7)).await.unwrap(), Turn::Execute, "its answer made room");
}
