//! The rules over all states, and over sequences that nobody thought of.
#![allow(clippy::unwrap_used)]

use lifecycle::{
    Bounds, Bucket, Countdown, Deadlines, Desired, Effect, Event, Life, Overdue, Queue, Rate, Refused, State,
    StopReason,
};
use proptest::prelude::*;

const DEADLINES: Deadlines = Deadlines { queue: 60, progress: 20, start: 100, stop: 30, delete: 40 };

fn life(state: State, desired: Desired) -> Life {
    Life { state, desired, since: 0, progress: 0 }
}

fn on(life: Life, event: Event, now: u64) -> Life {
    life.on(event, now, &DEADLINES).map_or(life, |(next, _)| next)
}

/// Applies events, a second after the other, that fit or not.
fn after(events: &[Event]) -> Life {
    (1..).zip(events).fold(Life::new(0), |life, (now, event)| on(life, *event, now))
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(prop::sample::select(Event::ALL.as_slice()), 0..40)
}

proptest! {
    /// coder#28708: seven days in "Starting". The clock alone, or a stop, leads from everywhere to a rest.
    #[test]
    fn no_sequence_leads_to_a_state_without_an_exit(events in events()) {
        let life = after(&events);
        if !life.state.is_at_rest() && life.state != State::Running {
            let (at, _) = life.deadline(&DEADLINES).unwrap();
            let (next, effects) = life.on(Event::Tick, at, &DEADLINES).unwrap();
            prop_assert!(matches!(effects.first(), Some(Effect::Force(_))), "{life:?}");
            prop_assert!(next.state == State::Failed || next.state == State::Deleting);
        }
        let (stopped, _) = life.on(Event::Stop, 99, &DEADLINES).unwrap();
        let rest = on(stopped, Event::Ended, 100);
        prop_assert!(rest.state.is_at_rest() || rest.state == State::Deleting, "{rest:?}");
        if life.state != State::Deleted {
            let gone = on(on(life, Event::Delete, 99), Event::Removed, 100);
            prop_assert_eq!(gone.state, State::Deleted);
        }
    }

    /// coder PR#20584: a deleted workspace could be started.
    #[test]
    fn what_is_to_be_deleted_is_never_started(before in events(), then in events()) {
        let mut life = on(after(&before), Event::Delete, 50);
        for event in then {
            life = on(life, event, 60);
            prop_assert!(matches!(life.state, State::Deleting | State::Deleted), "{life:?} after {event:?}");
            prop_assert!(life.state == State::Deleted || life.desired == Desired::Deleted);
        }
        prop_assert!(matches!(life.on(Event::Start, 70, &DEADLINES), Err(Refused::Deleted)));
    }

    #[test]
    fn only_what_is_wanted_comes_up(events in events()) {
        let life = after(&events);
        if matches!(life.state, State::Pending | State::Starting | State::Running) {
            prop_assert_eq!(life.desired, Desired::Running);
        } else {
            prop_assert_ne!(life.desired, Desired::Running);
        }
    }

    #[test]
    fn the_queue_is_fair_bounded_and_its_places_are_true(
        pushes in prop::collection::vec((0u8..4, 0u32..1000), 0..60)
    ) {
        let mut queue = Queue::new(20);
        for (who, what) in pushes {
            let before = queue.len();
            let pushed = queue.push(who, (who, what));
            prop_assert!(queue.len() <= 20 && (pushed.is_ok() || before == 20));
        }
        let order: Vec<(u8, u32)> = queue.in_order().into_iter().copied().collect();
        prop_assert_eq!(order.len(), queue.len());
        for expected in order {
            prop_assert_eq!(queue.place(&expected).unwrap().position, 1);
            prop_assert_eq!(queue.next(), Some(&expected));
            prop_assert_eq!(queue.pop(), Some(expected));
        }
        prop_assert!(queue.is_empty());
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate(burst in 1u64..20, every in 1u64..50, calls in 1u64..200) {
        let (rate, mut bucket, mut given) = (Rate { burst, every }, Bucket::default(), 0);
        for now in 1000..1000 + calls {
            if let Ok(next) = bucket.take(&rate, now) {
                (bucket, given) = (next, given + 1);
            }
        }
        prop_assert!(given <= burst + calls / every);
        prop_assert!(given >= calls.min(burst));
    }
}

/// gitpod#275: a crashed workspace counted against the quota.
#[test]
fn a_failed_one_is_not_active() {
    let (failed, effects) = life(State::Running, Desired::Running).on(Event::Fail, 5, &DEADLINES).unwrap();
    assert_eq!((failed.state, failed.state.is_active()), (State::Failed, false));
    assert_eq!((failed.desired, effects), (Desired::Stopped, vec![Effect::End]));
}

#[test]
fn a_cancel_is_allowed_everywhere_and_twice() {
    for state in State::ALL {
        for desired in [Desired::Running, Desired::Stopped, Desired::Deleted] {
            let (once, _) = life(state, desired).on(Event::Stop, 1, &DEADLINES).unwrap();
            let (twice, _) = once.on(Event::Stop, 2, &DEADLINES).unwrap();
            assert_eq!(once.state, twice.state);
            assert!(!matches!(once.state, State::Pending | State::Starting | State::Running));
        }
    }
}

/// DevWorkspace's progressTimeout: what goes forward is let alone, what does not is ended, and so is what takes for ever.
#[test]
fn a_start_fails_when_no_stage_changes_and_when_it_takes_too_long() {
    let mut starting = life(State::Starting, Desired::Running);
    assert_eq!(starting.deadline(&DEADLINES), Some((20, Overdue::Progress)));
    for now in [15, 30, 45, 60, 75] {
        starting = starting.on(Event::Progress, now, &DEADLINES).unwrap().0;
        assert_eq!(on(starting, Event::Tick, now + 19).state, State::Starting);
    }
    starting = on(starting, Event::Progress, 90);
    assert_eq!(starting.deadline(&DEADLINES), Some((100, Overdue::Start)));
    let (failed, effects) = starting.on(Event::Tick, 100, &DEADLINES).unwrap();
    assert_eq!((failed.state, effects), (State::Failed, vec![Effect::Force(Overdue::Start)]));
}

#[test]
fn a_start_begins_once_and_only_when_wanted() {
    let pending = Life::new(0);
    let (starting, _) = pending.on(Event::Begin, 1, &DEADLINES).unwrap();
    assert_eq!(starting.on(Event::Begin, 2, &DEADLINES), Err(Refused::WrongState));
    let cancelled = on(pending, Event::Stop, 1);
    assert_eq!(cancelled.on(Event::Begin, 2, &DEADLINES), Err(Refused::NotWanted));
    let (running, _) = starting.on(Event::Ready, 2, &DEADLINES).unwrap();
    assert_eq!(running.on(Event::Requeue, 3, &DEADLINES).unwrap().0.state, State::Pending);
    assert_eq!(on(starting, Event::Stop, 3).on(Event::Ready, 4, &DEADLINES), Err(Refused::NotWanted));
}

#[test]
fn who_asks_for_many_waits_behind_who_asks_for_one() {
    let mut queue = Queue::new(8);
    for what in 0..4 {
        queue.push("many", what).unwrap();
    }
    queue.push("one", 9).unwrap();
    assert_eq!(queue.in_order(), [&0, &9, &1, &2, &3]);
    assert_eq!(queue.place(&9).map(|place| (place.position, place.size)), Some((2, 5)));
    queue.remove(&0);
    assert_eq!(queue.in_order(), [&1, &9, &2, &3]);
    assert_eq!(queue.place(&0), None);
}

#[test]
fn a_bucket_survives_a_clock_that_is_set_back() {
    let rate = Rate { burst: 2, every: 10 };
    let far = Bucket::default().take(&rate, 1_000_000).unwrap();
    assert_eq!(far.take(&rate, 100), Err(10), "an hour later it would be the same");
    assert!(far.take(&rate, 110).is_err() && Bucket { full_at: 120 }.take(&rate, 110).is_ok());
    assert!(Bucket::default().take(&Rate { burst: 0, every: 0 }, 5).is_ok());
}

#[test]
fn idleness_ends_it_and_activity_does_not() {
    let bounds = Bounds { idle: Some(1000), age: None };
    let countdown = Countdown::new(bounds, 0);
    assert_eq!((countdown.ends(), countdown.next()), (Some((1000, StopReason::Idle)), Some(700)));
    let (countdown, warning) = countdown.warning(700);
    assert_eq!((warning, countdown.next()), (Some((300, StopReason::Idle)), Some(940)));
    assert_eq!(countdown.warning(700).1, None, "once");
    let countdown = countdown.active(800);
    assert_eq!((countdown.over(1799), countdown.over(1800)), (None, Some(StopReason::Idle)));
    assert_eq!(countdown.warning(1500).1, Some((300, StopReason::Idle)), "again, for the new end");
    assert_eq!(countdown.active(5), countdown, "what is older changes nothing");
}

#[test]
fn an_extension_moves_the_end_and_a_licences_end_stays() {
    let countdown = Countdown::new(Bounds { idle: Some(100), age: Some(200) }, 0).active(150);
    assert_eq!(countdown.ends(), Some((200, StopReason::MaxAge)));
    let extended = countdown.extend(900);
    assert_eq!(extended.ends().map(|(at, _)| at), Some(900));
    assert_eq!(extended.extend(100), extended);
    assert_eq!(extended.force(Some(300)).ends(), Some((300, StopReason::License)));
    assert_eq!(Countdown::new(Bounds::default(), 0).ends(), None);
}

#[test]
fn short_times_are_warned_of_in_proportion() {
    let countdown = Countdown::new(Bounds { idle: Some(20), age: None }, 0);
    assert_eq!(countdown.next(), Some(10));
    let (countdown, warning) = countdown.warning(10);
    assert_eq!((warning.unwrap().0, countdown.next()), (10, Some(18)));
}
