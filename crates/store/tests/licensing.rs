//! Licences in the store: places are counted in the transaction of the start, stops are announced, events are told once.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "store/license_acts.rs"]
mod license_acts;

use std::collections::BTreeSet;

use fixtures::{Database, on_both_databases};
use license_acts::{
    the_node_of_a_license_is_that_of_its_enclaves,
    what_an_admin_changes_is_in_the_audit_log_and_what_changes_nothing_is_not,
};
use licensing::{
    Code, Entitlement, Expiration, HeartbeatRule, HeartbeatStatus, LicenseId, Overage, Plan, Resurrection,
    Start, Terms, TransitionError, VerifyKey, Why,
};
use names::{Digest, EnclaveId};
use store::{LicenseStop, Licensing, NewApp, NewEnclave, Quota, Role, Store, StoreError, User, UserId};

const ALICE: UserId = UserId::from_bytes([1; 16]);
const BOB: UserId = UserId::from_bytes([2; 16]);
const LICENSE: LicenseId = LicenseId::from_bytes([7; 16]);
const NOW: u64 = 1_800_000_000;
const WARNING: u64 = 60;
const REQUIRED: Quota = Quota { active: 1000, total: 1000, licensing: Licensing::Required };

on_both_databases! {
    fifty_parallel_starts_have_as_many_winners_as_places,
    parallel_seats_are_not_overbooked,
    a_start_needs_a_license_only_where_one_is_required,
    a_refused_start_leaves_nothing,
    a_stopped_enclave_frees_its_place,
    of_several_licenses_one_that_serves_is_taken,
    a_suspension_is_announced_and_withdrawn_by_a_reinstatement,
    a_stop_whose_time_has_come_is_told_once_and_frees_the_place,
    an_expiry_is_told_once_and_stops_by_strategy,
    a_dead_heartbeat_waits_for_its_window_and_a_late_ping_is_refused,
    two_sweeps_at_once_tell_each_event_once,
    events_are_numbered_without_gaps,
    plans_are_made_once_and_retired,
    a_license_is_seen_by_those_who_have_a_seat,
    keys_of_files_stay_known_until_they_retire,
    what_an_admin_changes_is_in_the_audit_log_and_what_changes_nothing_is_not,
    the_node_of_a_license_is_that_of_its_enclaves,
}

struct Rig {
    store: Store,
    _database: Database,
}

async fn rig(database: Database, terms: Terms) -> Rig {
    let store = Store::open(&database.url().parse().unwrap()).await.unwrap();
    for (id, name) in [(ALICE, "alice"), (BOB, "bob")] {
        store.create_user(&user(id, name)).await.unwrap();
    }
    for name in ["hello", "notes"] {
        store.publish_app(&app(name), store::Event::default()).await.unwrap();
    }
    let plan = Plan { code: "team".parse().unwrap(), terms, created_at: NOW, retired_at: None };
    store.create_plan(&plan, act(NOW)).await.unwrap();
    store.issue_license(LICENSE, &plan.code, &ALICE, None, act(NOW)).await.unwrap();
    Rig { store, _database: database }
}

/// What an admin does.
fn act(at: u64) -> store::Event {
    store::Event {
        at,
        actor: ALICE.to_string(),
        action: "act".into(),
        result: "ok".into(),
        ..Default::default()
    }
}

fn user(id: UserId, name: &str) -> User {
    let (role, disabled_at) = (Role::User, None);
    User { id, name: name.into(), password_hash: "$argon2id$x".into(), role, disabled_at, created_at: 1 }
}

fn app(name: &str) -> NewApp {
    NewApp {
        name: name.into(),
        version: "1".into(),
        digest: Digest::of(name.as_bytes()),
        manifest: "{}".into(),
        record: "a.b.c".into(),
        publisher: Digest::of(b"publisher"),
        owner: ALICE,
        created_at: 5,
    }
}

fn enclave(number: u8, user: UserId, app: &str) -> NewEnclave {
    NewEnclave {
        trace: None,
        id: EnclaveId::from_bytes([number; 16]),
        user,
        user_name: "someone".into(),
        name: format!("e{number}"),
        app: app.into(),
        version: "1".into(),
        version_digest: Digest::of(app.as_bytes()),
        owner: Digest::of(b"owner"),
        host: format!("e{number}-{user}.enclaves.localhost"),
        idle_timeout: None,
        max_age: None,
        created_at: NOW,
    }
}

fn entitlement(name: &str) -> Entitlement {
    name.parse().unwrap()
}

fn terms() -> Terms {
    Terms {
        seats: 2,
        enclaves: 2,
        entitlements: BTreeSet::from([entitlement("hello")]),
        duration: Some(86_400),
        expiration: Expiration::RevokeAccess,
        grace: 100,
        heartbeat: None,
        check_in: None,
        overage: Overage::None,
    }
}

impl Rig {
    async fn start(&self, number: u8) -> Result<(), StoreError> {
        self.store.create_enclave(&enclave(number, ALICE, "hello"), REQUIRED).await
    }

    async fn sweep(&self, now: u64) -> Vec<LicenseStop> {
        self.store.licenses_to_stop(now, WARNING).await.unwrap()
    }

    async fn events(&self) -> Vec<String> {
        let events = self.store.license_events(&LICENSE, 0, 1000).await.unwrap();
        events.into_iter().map(|event| event.event).collect()
    }

    async fn told(&self, event: &str) -> usize {
        self.events().await.iter().filter(|told| *told == event).count()
    }
}

#[track_caller]
fn refused<T>(outcome: Result<T, StoreError>, expected: Code) {
    match outcome {
        Err(StoreError::License(code)) => assert_eq!(code, expected),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("not refused"),
    }
}

/// No overbooking, whoever comes at once.
async fn fifty_parallel_starts_have_as_many_winners_as_places(database: Database) {
    let rig = rig(database, Terms { enclaves: 7, ..terms() }).await;
    let mut starts = tokio::task::JoinSet::new();
    for number in 0..50 {
        let store = rig.store.clone();
        starts.spawn(async move { store.create_enclave(&enclave(number, ALICE, "hello"), REQUIRED).await });
    }
    let mut winners = 0;
    for outcome in starts.join_all().await {
        match outcome {
            Ok(()) => winners += 1,
            Err(StoreError::License(code)) => assert_eq!(code, Code::TooManyEnclaves),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(winners, 7);
    assert_eq!(rig.store.license(&LICENSE).await.unwrap().unwrap().enclaves, 7);
    assert_eq!(rig.store.enclaves_of(&ALICE, None, 100).await.unwrap().len(), 7);
    assert_eq!(rig.told("lease.taken").await, 7);
}

async fn parallel_seats_are_not_overbooked(database: Database) {
    let rig = rig(database, Terms { seats: 4, ..terms() }).await;
    let mut attempts = tokio::task::JoinSet::new();
    for number in 10..30 {
        let id = UserId::from_bytes([number; 16]);
        rig.store.create_user(&user(id, &format!("user{number}"))).await.unwrap();
        let store = rig.store.clone();
        attempts.spawn(async move { store.attach_user(&LICENSE, &id, act(NOW)).await });
    }
    let outcomes = attempts.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert_eq!(rig.store.license(&LICENSE).await.unwrap().unwrap().seats.len(), 4);
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        refused(outcome, Code::TooManyUsers);
    }
}

async fn a_start_needs_a_license_only_where_one_is_required(database: Database) {
    let rig = rig(database, terms()).await;
    let off = Quota { licensing: Licensing::Off, ..REQUIRED };
    rig.store.create_enclave(&enclave(1, BOB, "notes"), off).await.unwrap();
    assert_eq!(rig.store.lease(&EnclaveId::from_bytes([1; 16])).await.unwrap(), None);
    refused(rig.store.create_enclave(&enclave(2, BOB, "hello"), REQUIRED).await, Code::NotFound);
    refused(rig.store.create_enclave(&enclave(3, ALICE, "notes"), REQUIRED).await, Code::EntitlementsMissing);
    rig.store.attach_entitlement(&LICENSE, &entitlement("notes"), act(NOW)).await.unwrap();
    rig.store.create_enclave(&enclave(3, ALICE, "notes"), REQUIRED).await.unwrap();
    rig.store.attach_user(&LICENSE, &BOB, act(NOW)).await.unwrap();
    rig.store.create_enclave(&enclave(2, BOB, "hello"), REQUIRED).await.unwrap();
    let refusal = rig.store.entitlement(&BOB, &entitlement("hello"), Start::New, NOW).await;
    refused(refusal, Code::TooManyEnclaves);
}

async fn a_refused_start_leaves_nothing(database: Database) {
    let rig = rig(database, terms()).await;
    rig.store.change_license(&LICENSE, act(NOW), |license, _| license.suspend(NOW)).await.unwrap();
    refused(rig.start(1).await, Code::Suspended);
    assert!(rig.store.enclaves_of(&ALICE, None, 10).await.unwrap().is_empty());
    assert_eq!(rig.told("lease.taken").await, 0);
    rig.store.change_license(&LICENSE, act(NOW), |license, _| license.reinstate()).await.unwrap();
    rig.start(1).await.unwrap();
}

async fn a_stopped_enclave_frees_its_place(database: Database) {
    let rig = rig(database, Terms { enclaves: 1, ..terms() }).await;
    let id = EnclaveId::from_bytes([1; 16]);
    rig.start(1).await.unwrap();
    refused(rig.start(2).await, Code::TooManyEnclaves);
    stop(&rig.store, &id).await;
    rig.start(2).await.unwrap();
    refused(rig.store.want_running(&id, REQUIRED, NOW).await, Code::TooManyEnclaves);
    stop(&rig.store, &EnclaveId::from_bytes([2; 16])).await;
    rig.store.want_running(&id, REQUIRED, NOW).await.unwrap();
}

async fn stop(store: &Store, id: &EnclaveId) {
    store.want_stopped(id, NOW).await.unwrap();
}

async fn of_several_licenses_one_that_serves_is_taken(database: Database) {
    let rig = rig(database, Terms { enclaves: 1, ..terms() }).await;
    let second = LicenseId::from_bytes([3; 16]);
    rig.store.issue_license(second, &"team".parse().unwrap(), &ALICE, None, act(NOW)).await.unwrap();
    rig.start(1).await.unwrap();
    rig.start(2).await.unwrap();
    refused(rig.start(3).await, Code::TooManyEnclaves);
    let licenses: BTreeSet<LicenseId> = BTreeSet::from([
        rig.store.lease(&EnclaveId::from_bytes([1; 16])).await.unwrap().unwrap().license,
        rig.store.lease(&EnclaveId::from_bytes([2; 16])).await.unwrap().unwrap().license,
    ]);
    assert_eq!(licenses, BTreeSet::from([second, LICENSE]));
}

async fn a_suspension_is_announced_and_withdrawn_by_a_reinstatement(database: Database) {
    let rig = rig(database, terms()).await;
    rig.start(1).await.unwrap();
    assert_eq!(rig.sweep(NOW).await, []);
    rig.store.change_license(&LICENSE, act(NOW), |license, _| license.suspend(NOW)).await.unwrap();
    let announced =
        LicenseStop { enclave: EnclaveId::from_bytes([1; 16]), why: Why::Suspended, at: NOW + 70 };
    assert_eq!(rig.sweep(NOW + 10).await, [announced]);
    assert_eq!(rig.sweep(NOW + 40).await, [announced]);
    let lease = rig.store.lease(&announced.enclave).await.unwrap().unwrap();
    assert_eq!(lease.stop.map(|stop| (stop.at, stop.why)), Some((NOW + 70, Why::Suspended)));
    rig.store.change_license(&LICENSE, act(NOW), |license, _| license.reinstate()).await.unwrap();
    assert_eq!(rig.sweep(NOW + 69).await, []);
    assert_eq!(rig.store.lease(&announced.enclave).await.unwrap().unwrap().stop, None);
    assert_eq!(
        rig.events().await[1..],
        [
            "lease.taken",
            "license.suspended",
            "lease.stop.announced",
            "license.reinstated",
            "lease.stop.withdrawn"
        ]
    );
}

async fn a_stop_whose_time_has_come_is_told_once_and_frees_the_place(database: Database) {
    let rig = rig(database, terms()).await;
    rig.start(1).await.unwrap();
    rig.store.change_license(&LICENSE, act(NOW), |license, _| Ok(license.revoke(NOW))).await.unwrap();
    rig.sweep(NOW).await;
    let [stop] = rig.sweep(NOW + 60).await[..] else { panic!("one stop") };
    assert_eq!((stop.why, stop.at), (Why::Revoked, NOW + 60));
    stop_and_tell(&rig, &stop).await;
    stop_and_tell(&rig, &stop).await;
    assert_eq!(rig.told("lease.stopped").await, 1);
    assert_eq!(rig.sweep(NOW + 61).await, []);
    refused(rig.store.want_running(&stop.enclave, REQUIRED, NOW).await, Code::Revoked);
}

async fn stop_and_tell(rig: &Rig, due: &LicenseStop) {
    stop(&rig.store, &due.enclave).await;
    rig.store.license_stopped(due, NOW).await.unwrap();
}

async fn an_expiry_is_told_once_and_stops_by_strategy(database: Database) {
    let rig = rig(database, terms()).await;
    rig.start(1).await.unwrap();
    let expiry = NOW + 86_400;
    assert_eq!(rig.sweep(expiry - 1).await, []);
    assert_eq!(rig.told("license.expired").await, 0);
    assert_eq!(rig.sweep(expiry).await, [], "the grace");
    rig.sweep(expiry + 1).await;
    assert_eq!(rig.told("license.expired").await, 1);
    let [stop] = rig.sweep(expiry + 100).await[..] else { panic!("one stop") };
    assert_eq!((stop.why, stop.at), (Why::Expired, expiry + 160));
    let renewed =
        rig.store.change_license(&LICENSE, act(NOW), |license, plan| license.renew(plan, expiry + 101)).await;
    assert_eq!(renewed.unwrap().license.expires_at, Some(expiry + 101 + 86_400));
    assert_eq!(rig.sweep(expiry + 102).await, []);
    rig.sweep(expiry + 101 + 86_400).await;
    assert_eq!(rig.told("license.expired").await, 2);
}

async fn a_dead_heartbeat_waits_for_its_window_and_a_late_ping_is_refused(database: Database) {
    let rule = HeartbeatRule { interval: 60, resurrection: Resurrection::TwoMinutes };
    let rig = rig(database, Terms { heartbeat: Some(rule), ..terms() }).await;
    let id = EnclaveId::from_bytes([1; 16]);
    rig.start(1).await.unwrap();
    let ping = |now| rig.store.ping_lease(&LICENSE, &id, now);
    assert_eq!(ping(NOW + 10).await.unwrap().status, HeartbeatStatus::Alive);
    let death = NOW + 100;
    assert_eq!(rig.sweep(death).await, []);
    let [stop] = rig.sweep(death + 1).await[..] else { panic!("one stop") };
    assert_eq!((stop.why, stop.at), (Why::HeartbeatDead, death + 120));
    rig.sweep(death + 2).await;
    assert_eq!(rig.told("lease.heartbeat.died").await, 1);
    assert_eq!(ping(death + 100).await.unwrap().status, HeartbeatStatus::Resurrected);
    assert_eq!(rig.sweep(death + 101).await, []);
    assert_eq!(rig.told("lease.stop.withdrawn").await, 1);
    refused(ping(death + 100 + 90 + 121).await, Code::HeartbeatDead);
    let other = rig.store.ping_lease(&LICENSE, &EnclaveId::from_bytes([9; 16]), NOW).await;
    refused(other, Code::EnclaveScopeMismatch);
}

async fn two_sweeps_at_once_tell_each_event_once(database: Database) {
    let rig = rig(database, terms()).await;
    rig.start(1).await.unwrap();
    rig.start(2).await.unwrap();
    rig.store.detach_user(&LICENSE, &ALICE, act(NOW)).await.unwrap();
    let (one, two) = (rig.store.clone(), rig.store.clone());
    let (one, two) = tokio::join!(one.licenses_to_stop(NOW, WARNING), two.licenses_to_stop(NOW, WARNING));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(rig.told("lease.stop.announced").await, 2);
    assert!(rig.sweep(NOW).await.iter().all(|stop| stop.why == Why::SeatRemoved));
}

async fn events_are_numbered_without_gaps(database: Database) {
    let rig = rig(database, terms()).await;
    let mut changes = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let store = rig.store.clone();
        changes.spawn(async move {
            store.change_license(&LICENSE, act(NOW), |license, _| license.check_in(NOW)).await.unwrap();
        });
    }
    changes.join_all().await;
    let events = rig.store.license_events(&LICENSE, 0, 100).await.unwrap();
    assert!(events.iter().map(|event| event.seq).eq(1..=11));
    assert_eq!(rig.store.license_events(&LICENSE, 9, 1).await.unwrap(), events[9..10]);
}

async fn plans_are_made_once_and_retired(database: Database) {
    let rig = rig(database, terms()).await;
    let code = "team".parse().unwrap();
    let plan = rig.store.plan(&code).await.unwrap().unwrap();
    assert_eq!(plan.terms, terms());
    assert!(matches!(rig.store.create_plan(&plan, act(NOW)).await, Err(StoreError::NameTaken)));
    assert_eq!(rig.store.retire_plan(&code, act(NOW + 1)).await.unwrap().retired_at, Some(NOW + 1));
    assert_eq!(rig.store.retire_plan(&code, act(NOW + 9)).await.unwrap().retired_at, Some(NOW + 1));
    let issued = rig.store.issue_license(LicenseId::from_bytes([8; 16]), &code, &BOB, None, act(NOW)).await;
    assert!(matches!(issued, Err(StoreError::Transition(TransitionError::PlanRetired))));
    assert!(
        rig.store.change_license(&LICENSE, act(NOW), |license, plan| license.renew(plan, NOW)).await.is_ok()
    );
    assert_eq!(rig.store.plans("", 10).await.unwrap().len(), 1);
    assert!(rig.store.plans("team", 10).await.unwrap().is_empty());
}

async fn a_license_is_seen_by_those_who_have_a_seat(database: Database) {
    let rig = rig(database, terms()).await;
    let seen = async |user: Option<&UserId>| rig.store.licenses(user, "", 10).await.unwrap().len();
    assert_eq!((seen(Some(&ALICE)).await, seen(Some(&BOB)).await, seen(None).await), (1, 0, 1));
    rig.store.attach_user(&LICENSE, &BOB, act(NOW)).await.unwrap();
    rig.store.attach_user(&LICENSE, &BOB, act(NOW)).await.unwrap();
    assert_eq!((seen(Some(&BOB)).await, rig.told("license.users.attached").await), (1, 1));
    let facts = rig.store.detach_user(&LICENSE, &BOB, act(NOW)).await.unwrap();
    assert_eq!((facts.seats.len(), seen(Some(&BOB)).await), (1, 0));
    let unknown = rig.store.attach_user(&LICENSE, &UserId::from_bytes([9; 16]), act(NOW)).await;
    assert!(matches!(unknown, Err(StoreError::NotFound)));
}

async fn keys_of_files_stay_known_until_they_retire(database: Database) {
    let rig = rig(database, terms()).await;
    let (old, new) = (VerifyKey::from_bytes([1; 32]), VerifyKey::from_bytes([2; 32]));
    rig.store.publish_license_key(&old, NOW).await.unwrap();
    rig.store.publish_license_key(&old, NOW + 5).await.unwrap();
    rig.store.publish_license_key(&new, NOW + 1).await.unwrap();
    rig.store.retire_license_key(&old, NOW + 100).await.unwrap();
    let known = async |now| -> Vec<VerifyKey> {
        rig.store.license_keys(now, 16).await.unwrap().into_iter().map(|key| key.key).collect()
    };
    assert_eq!(known(NOW + 99).await, [new, old]);
    assert_eq!(known(NOW + 100).await, [new]);
}
