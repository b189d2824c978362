//! The lives of enclaves in rows: changes, claims, events, rates.

use fixtures::{Database, on_both_databases};
use lifecycle::{Desired, Event, Rate, State, StopReason};
use names::{Digest, EnclaveId};
use store::{By, Claim, Controller, ControllerId, KEPT_EVENTS, Note, Process, Quota, StartRates, StoreError};

use super::{ALICE, Rig, enclave, rig};

on_both_databases! {
    a_state_changes_only_as_the_machine_allows,
    a_failed_enclave_uses_up_no_quota,
    nothing_starts_a_deleted_enclave,
    an_orphaned_enclave_frees_its_name_and_is_still_removed_by_a_controller,
    incarnations_are_never_given_twice,
    a_process_is_recorded_for_its_incarnation_only,
    of_two_controllers_one_gets_the_enclave,
    a_buried_controller_writes_nothing_into_the_next_ones_work,
    a_controllers_work_is_what_is_its_own_or_nobodys,
    events_are_numbered_kept_in_bounds_and_dropped_with_the_enclave,
    an_extension_is_kept_until_its_controller_has_taken_it,
    starts_have_a_rate_per_user_and_per_enclave,
    what_a_user_stores_is_bounded_and_counts_once,
    what_nobody_works_on_fails_and_what_somebody_does_stays,
}

const NODE: &str = "local";
const ONE: EnclaveId = EnclaveId::from_bytes([1; 16]);

fn controller(number: u8) -> Controller {
    Controller {
        id: ControllerId::from_bytes([number; 16]),
        node: NODE.into(),
        host: "here".into(),
        process: Process { pid: 4, start_time: 5 },
        beat: 0,
    }
}

async fn at_work(rig: &Rig, number: u8) -> ControllerId {
    rig.store.register_controller(&controller(number)).await.unwrap();
    controller(number).id
}

/// One enclave, and a controller that has claimed it.
async fn claimed(rig: &Rig) -> Claim {
    rig.store.create_enclave(&enclave(1, ALICE, "a"), Quota::default()).await.unwrap();
    let id = at_work(rig, 1).await;
    rig.store.claim(&ONE, &id, NODE).await.unwrap().unwrap().0
}

async fn on(rig: &Rig, claim: &Claim, event: Event) -> Result<State, StoreError> {
    let note = Note { reason: Some("spawn".into()), cause: Some("exit-3".into()), ..Note::says("said") };
    let changed = rig.store.change(&ONE, By::Claim(claim), event, &note, 9).await;
    changed.map(|(_, after)| after.state)
}

async fn a_state_changes_only_as_the_machine_allows(database: Database) {
    let rig = rig(database).await;
    let claim = claimed(&rig).await;
    for event in [Event::Ready, Event::Ended, Event::Removed, Event::Progress] {
        assert!(matches!(on(&rig, &claim, event).await, Err(StoreError::WrongState)), "{event:?}");
    }
    assert_eq!(on(&rig, &claim, Event::Begin).await.unwrap(), State::Starting);
    assert!(matches!(on(&rig, &claim, Event::Begin).await, Err(StoreError::WrongState)), "it begins once");
    assert_eq!(on(&rig, &claim, Event::Fail).await.unwrap(), State::Failed);
    let row = rig.store.enclave(&ONE).await.unwrap().unwrap();
    assert_eq!(
        (row.reason.as_deref(), row.cause.as_deref(), row.message.as_deref()),
        (Some("spawn"), Some("exit-3"), Some("said"))
    );
    assert_eq!((row.desired, row.controller), (Desired::Stopped, None), "what is at rest is nobody's");
    let again = rig.store.want_running(&ONE, Quota::default(), 10).await.unwrap();
    assert_eq!((again.state, again.reason, again.cause, again.message), (State::Pending, None, None, None));
}

/// gitpod#275: a crashed one counted against the quota.
async fn a_failed_enclave_uses_up_no_quota(database: Database) {
    let rig = rig(database).await;
    let claim = claimed(&rig).await;
    on(&rig, &claim, Event::Fail).await.unwrap();
    let quota = Quota { active: 1, total: 9, ..Quota::default() };
    rig.store.create_enclave(&enclave(2, ALICE, "b"), quota).await.unwrap();
    assert!(matches!(
        rig.store.want_running(&ONE, quota, 9).await,
        Err(StoreError::QuotaExceeded { limit: 1 })
    ));
}

/// coder PR#20584: a build was allowed on a deleted workspace.
async fn nothing_starts_a_deleted_enclave(database: Database) {
    let rig = rig(database).await;
    let claim = claimed(&rig).await;
    assert!(!rig.store.remove_enclave(&ONE, By::Claim(&claim)).await.unwrap());
    rig.store.want_deleted(&ONE, 8).await.unwrap();
    assert_eq!(rig.store.enclave_of(&ALICE, "a").await.unwrap().unwrap().state, State::Deleting);
    for event in [Event::Start, Event::Begin, Event::Requeue, Event::Ready] {
        assert!(matches!(on(&rig, &claim, event).await, Err(StoreError::WrongState)), "{event:?}");
    }
    assert!(matches!(rig.store.want_running(&ONE, Quota::default(), 9).await, Err(StoreError::WrongState)));
    assert!(matches!(rig.store.next_incarnation(&ONE, &claim).await, Err(StoreError::NotFound)));
    assert!(!rig.store.remove_enclave(&ONE, By::User).await.unwrap(), "a controller has it");
    assert!(rig.store.remove_enclave(&ONE, By::Claim(&claim)).await.unwrap());
    assert!(rig.store.enclave(&ONE).await.unwrap().is_none());
}

/// coder#2313 and its kin: a delete that hangs must not keep the name for ever.
async fn an_orphaned_enclave_frees_its_name_and_is_still_removed_by_a_controller(database: Database) {
    let rig = rig(database).await;
    let claim = claimed(&rig).await;
    assert!(
        matches!(rig.store.orphan(&ONE, 8).await, Err(StoreError::WrongState)),
        "it is not being deleted"
    );
    rig.store.want_deleted(&ONE, 8).await.unwrap();
    rig.store.orphan(&ONE, 9).await.unwrap();
    assert!(rig.store.enclaves_of(&ALICE, None, 10).await.unwrap().is_empty());
    let quota = Quota { active: 1, total: 1, ..Quota::default() };
    rig.store.create_enclave(&enclave(2, ALICE, "a"), quota).await.unwrap();
    let work = rig.store.work(&claim.controller, NODE).await.unwrap();
    assert!(work.iter().any(|row| row.id == ONE && row.state == State::Deleting));
    assert!(rig.store.remove_enclave(&ONE, By::Claim(&claim)).await.unwrap());
}

async fn incarnations_are_never_given_twice(database: Database) {
    let rig = rig(database).await;
    let claim = claimed(&rig).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let store = rig.store.clone();
            tokio::spawn(async move { store.next_incarnation(&ONE, &claim).await.unwrap() })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<u64>>());
}

async fn a_process_is_recorded_for_its_incarnation_only(database: Database) {
    let rig = rig(database).await;
    let claim = claimed(&rig).await;
    let incarnation = rig.store.next_incarnation(&ONE, &claim).await.unwrap();
    let process = Process { pid: 42, start_time: 77 };
    rig.store.record_process(&ONE, &claim, incarnation, Some(process)).await.unwrap();
    assert_eq!(rig.store.enclave(&ONE).await.unwrap().unwrap().process, Some(process));
    rig.store.next_incarnation(&ONE, &claim).await.unwrap();
    let late = rig.store.record_process(&ONE, &claim, incarnation, None).await;
    assert!(matches!(late, Err(StoreError::WrongState)));
    rig.store.want_deleted(&ONE, 9).await.unwrap();
    assert!(!rig.store.remove_enclave(&ONE, By::Claim(&claim)).await.unwrap(), "a process is still recorded");
}

async fn of_two_controllers_one_gets_the_enclave(database: Database) {
    let rig = rig(database).await;
    rig.store.create_enclave(&enclave(1, ALICE, "a"), Quota::default()).await.unwrap();
    let ids = [at_work(&rig, 1).await, at_work(&rig, 2).await];
    let claims = ids.map(|id| {
        let store = rig.store.clone();
        tokio::spawn(async move { store.claim(&ONE, &id, NODE).await.unwrap() })
    });
    let mut winners = Vec::new();
    for claim in claims {
        winners.extend(claim.await.unwrap());
    }
    assert_eq!(winners.len(), 1);
    let (claim, _) = winners[0];
    let again = rig.store.claim(&ONE, &claim.controller, NODE).await.unwrap().unwrap();
    assert_eq!(again.0, claim, "its own claim stays what it is");
}

/// A controller that stood still and was taken for dead: what it writes later must not hurt the next one's work.
async fn a_buried_controller_writes_nothing_into_the_next_ones_work(database: Database) {
    let rig = rig(database).await;
    let old = claimed(&rig).await;
    let next = at_work(&rig, 2).await;
    assert!(rig.store.claim(&ONE, &next, NODE).await.unwrap().is_none(), "the first one lives");
    assert!(rig.store.beat(&old.controller).await.unwrap());
    assert!(!rig.store.bury_controller(&old.controller, 0).await.unwrap(), "its beat has moved");
    assert!(rig.store.bury_controller(&old.controller, 1).await.unwrap());
    assert!(!rig.store.beat(&old.controller).await.unwrap(), "it learns that it is buried");
    assert!(
        rig.store.claim(&ONE, &next, "elsewhere").await.unwrap().is_none(),
        "its processes are on one node"
    );
    let (new, row) = rig.store.claim(&ONE, &next, NODE).await.unwrap().unwrap();
    assert_eq!((row.controller, new.epoch), (Some(next), old.epoch + 1));
    assert!(matches!(on(&rig, &old, Event::Begin).await, Err(StoreError::ClaimLost)));
    assert!(matches!(rig.store.next_incarnation(&ONE, &old).await, Err(StoreError::ClaimLost)));
    assert!(matches!(rig.store.record_process(&ONE, &old, 0, None).await, Err(StoreError::ClaimLost)));
    assert!(matches!(rig.store.tell(&ONE, &old, &Note::says("x"), 1).await, Err(StoreError::ClaimLost)));
    assert!(matches!(rig.store.set_stop(&ONE, &old, None).await, Err(StoreError::ClaimLost)));
    assert!(!rig.store.remove_enclave(&ONE, By::Claim(&old)).await.unwrap());
    assert!(
        rig.store.claim(&ONE, &old.controller, NODE).await.unwrap().is_none(),
        "the buried claim nothing"
    );
    assert_eq!(on(&rig, &new, Event::Begin).await.unwrap(), State::Starting);
}

async fn a_controllers_work_is_what_is_its_own_or_nobodys(database: Database) {
    let rig = rig(database).await;
    let first = claimed(&rig).await;
    let second = at_work(&rig, 2).await;
    let work = async |id| -> Vec<State> {
        rig.store.work(&id, NODE).await.unwrap().into_iter().map(|row| row.state).collect()
    };
    assert_eq!(work(first.controller).await, [State::Pending]);
    assert_eq!(work(second).await, []);
    on(&rig, &first, Event::Begin).await.unwrap();
    assert_eq!(work(first.controller).await, [], "it is at it");
    rig.store.want_stopped(&ONE, 9).await.unwrap();
    assert_eq!((work(first.controller).await, work(second).await), (vec![State::Stopping], vec![]));
    rig.store.sign_off_controller(&first.controller).await.unwrap();
    assert_eq!(work(second).await, [State::Stopping]);
}

async fn events_are_numbered_kept_in_bounds_and_dropped_with_the_enclave(database: Database) {
    let rig = rig(database).await;
    let claim = claimed(&rig).await;
    on(&rig, &claim, Event::Begin).await.unwrap();
    for number in 0..KEPT_EVENTS + 50 {
        let note = Note::stage("queue", &format!("{number} {}", "x".repeat(900)), 1);
        rig.store.tell(&ONE, &claim, &note, number).await.unwrap();
    }
    let events = rig.store.enclave_events(&ONE, 0, 1000).await.unwrap();
    assert_eq!(events.len() as u64, KEPT_EVENTS);
    assert!(events.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
    let last = events.last().unwrap();
    assert_eq!((last.seq, last.message.chars().count()), (KEPT_EVENTS + 52, 500));
    let newest = rig.store.enclave_events(&ONE, last.seq - 1, 10).await.unwrap();
    assert_eq!(newest.as_slice(), std::slice::from_ref(last));
    rig.store.want_deleted(&ONE, 9).await.unwrap();
    assert!(rig.store.remove_enclave(&ONE, By::Claim(&claim)).await.unwrap());
    assert_eq!(rig.store.enclave_events(&ONE, 0, 10).await.unwrap(), []);
}

async fn an_extension_is_kept_until_its_controller_has_taken_it(database: Database) {
    let rig = rig(database).await;
    let claim = claimed(&rig).await;
    assert!(matches!(rig.store.extend(&ONE, 500, 1).await, Err(StoreError::WrongState)), "it does not run");
    on(&rig, &claim, Event::Begin).await.unwrap();
    on(&rig, &claim, Event::Ready).await.unwrap();
    rig.store.set_stop(&ONE, &claim, Some((100, StopReason::Idle))).await.unwrap();
    let row = rig.store.extend(&ONE, 500, 1).await.unwrap();
    assert_eq!((row.extend_until, row.stops_at), (Some(500), Some(500)));
    assert_eq!(rig.store.work(&claim.controller, NODE).await.unwrap().len(), 1);
    rig.store.set_stop(&ONE, &claim, Some((500, StopReason::Idle))).await.unwrap();
    assert_eq!(rig.store.work(&claim.controller, NODE).await.unwrap().len(), 0);
    rig.store.want_stopped(&ONE, 9).await.unwrap();
    let row = rig.store.enclave(&ONE).await.unwrap().unwrap();
    assert_eq!((row.stops_at, row.extend_until), (None, None));
}

async fn starts_have_a_rate_per_user_and_per_enclave(database: Database) {
    let rig = rig(database).await;
    let rates = StartRates { user: Rate { burst: 3, every: 10 }, enclave: Rate { burst: 1, every: 100 } };
    let count =
        async |enclave: Option<&EnclaveId>, now| rig.store.count_start(&ALICE, enclave, &rates, now).await;
    count(Some(&ONE), 1000).await.unwrap();
    assert!(matches!(count(Some(&ONE), 1000).await, Err(StoreError::TooOften { seconds: 100 })));
    count(None, 1000).await.unwrap();
    count(None, 1000).await.unwrap();
    assert!(
        matches!(count(None, 1000).await, Err(StoreError::TooOften { seconds: 10 })),
        "a refusal costs nothing"
    );
    count(None, 1010).await.unwrap();
}

async fn what_a_user_stores_is_bounded_and_counts_once(database: Database) {
    let rig = rig(database).await;
    let book = async |name: &[u8], size| rig.store.book_blob(&ALICE, &Digest::of(name), size, 100, 7).await;
    book(b"a", 60).await.unwrap();
    book(b"a", 60).await.unwrap();
    assert!(matches!(book(b"b", 41).await, Err(StoreError::StorageQuota { limit: 100 })));
    book(b"b", 40).await.unwrap();
    assert!(rig.store.booked_since(&Digest::of(b"a"), 7).await.unwrap());
    assert!(!rig.store.booked_since(&Digest::of(b"a"), 8).await.unwrap());
    assert_eq!(rig.store.stored_by(&ALICE, &Digest::of(b"a")).await.unwrap(), 40);
    assert_eq!(rig.store.booked_before(7, 9).await.unwrap(), []);
    assert_eq!(rig.store.booked_before(8, 9).await.unwrap().len(), 2);
    rig.store.forget_blob(&Digest::of(b"a"), 7).await.unwrap();
    assert!(matches!(book(b"c", 60).await, Err(StoreError::StorageQuota { limit: 100 })), "brought since");
    rig.store.forget_blob(&Digest::of(b"a"), 8).await.unwrap();
    book(b"c", 60).await.unwrap();
}

/// coder#28708: a workspace that was "Starting" for seven days, because nobody was there to give it up.
async fn what_nobody_works_on_fails_and_what_somebody_does_stays(database: Database) {
    let rig = rig(database).await;
    let note = Note { reason: Some("no-controller".into()), ..Note::stage("failed", "nobody", 100) };
    rig.store.create_enclave(&enclave(1, ALICE, "a"), Quota::default()).await.unwrap();
    let seen = *rig.store.on_their_way().await.unwrap().first().unwrap();
    assert_eq!((seen.id, seen.state), (ONE, State::Pending));
    // A controller claims it between the look and the end.
    let id = at_work(&rig, 1).await;
    let (claim, _) = rig.store.claim(&ONE, &id, NODE).await.unwrap().unwrap();
    assert!(!rig.store.fail_unattended(&seen, &note, 9).await.unwrap());
    on(&rig, &claim, Event::Begin).await.unwrap();
    let seen = *rig.store.on_their_way().await.unwrap().first().unwrap();
    // It shows that it lives.
    assert!(rig.store.beat(&id).await.unwrap());
    assert!(!rig.store.fail_unattended(&seen, &note, 9).await.unwrap());
    let seen = *rig.store.on_their_way().await.unwrap().first().unwrap();
    assert!(rig.store.fail_unattended(&seen, &note, 9).await.unwrap());
    let row = rig.store.enclave(&ONE).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (State::Failed, Some("no-controller")));
    assert_eq!(rig.store.on_their_way().await.unwrap(), []);
    // One that comes back from the dead does not bring it up any more.
    assert!(matches!(on(&rig, &claim, Event::Ready).await, Err(StoreError::WrongState)));
}
