//! Heartbeats.

use licensing::{DRIFT, Dead, Event, HeartbeatRule, HeartbeatStatus, Life, Resurrection};
use proptest::prelude::*;

use crate::ISSUED;

const RULE: HeartbeatRule = HeartbeatRule { interval: 600, resurrection: Resurrection::FiveMinutes };
const DEADLINE: u64 = ISSUED + 600 + DRIFT;

#[test]
fn a_heartbeat_starts_lives_dies_and_comes_back() {
    let begun = Life::begin(ISSUED);
    assert_eq!(begun.status(&RULE, DEADLINE), HeartbeatStatus::NotStarted);
    assert_eq!(begun.status(&RULE, DEADLINE + 1), HeartbeatStatus::Dead);
    let (alive, events) = begun.ping(&RULE, ISSUED + 1).unwrap();
    assert_eq!((alive.status(&RULE, ISSUED + 1), events), (HeartbeatStatus::Alive, vec![]));
    let (dead, event) = begun.notice(&RULE, DEADLINE + 9);
    assert_eq!((dead.died_at, event), (Some(DEADLINE), Some(Event::HeartbeatDied)));
    let (back, events) = dead.ping(&RULE, DEADLINE + 300).unwrap();
    assert_eq!(events, [Event::HeartbeatResurrected]);
    assert_eq!(back.status(&RULE, DEADLINE + 301), HeartbeatStatus::Resurrected);
    let (again, _) = back.ping(&RULE, DEADLINE + 302).unwrap();
    assert_eq!(again.status(&RULE, DEADLINE + 302), HeartbeatStatus::Alive);
    assert_eq!(dead.ping(&RULE, DEADLINE + 301), Err(Dead));
}

#[test]
fn a_death_is_told_once_per_life() {
    let (dead, first) = Life::begin(ISSUED).notice(&RULE, DEADLINE + 1);
    let (still, second) = dead.notice(&RULE, DEADLINE + 100);
    assert_eq!((first, second, still), (Some(Event::HeartbeatDied), None, dead));
    let (back, _) = still.ping(&RULE, DEADLINE + 101).unwrap();
    let (dead_again, third) = back.notice(&RULE, DEADLINE + 101 + 600 + DRIFT + 1);
    assert_eq!(third, Some(Event::HeartbeatDied));
    assert!(dead_again.died_at > dead.died_at);
}

/// A ping that comes before anybody has noticed the death tells both.
#[test]
fn a_resurrection_always_has_a_death() {
    let (_, events) = Life::begin(ISSUED).ping(&RULE, DEADLINE + 1).unwrap();
    assert_eq!(events, [Event::HeartbeatDied, Event::HeartbeatResurrected]);
}

#[test]
fn the_window_is_what_its_name_says() {
    for (resurrection, seconds) in [
        (Resurrection::OneMinute, 60),
        (Resurrection::TwoMinutes, 120),
        (Resurrection::FiveMinutes, 300),
        (Resurrection::TenMinutes, 600),
        (Resurrection::FifteenMinutes, 900),
    ] {
        let rule = HeartbeatRule { resurrection, ..RULE };
        assert!(Life::begin(ISSUED).ping(&rule, DEADLINE + seconds).is_ok());
        assert_eq!(Life::begin(ISSUED).ping(&rule, DEADLINE + seconds + 1), Err(Dead));
    }
    let never = HeartbeatRule { resurrection: Resurrection::Never, ..RULE };
    assert_eq!(Life::begin(ISSUED).ping(&never, DEADLINE + 1), Err(Dead));
    let always = HeartbeatRule { resurrection: Resurrection::Always, ..RULE };
    assert!(Life::begin(ISSUED).ping(&always, DEADLINE + 1_000_000).is_ok());
}

proptest! {
    /// Deaths and resurrections alternate, whatever the pings and looks.
    #[test]
    fn deaths_and_resurrections_take_turns(steps in proptest::collection::vec((any::<bool>(), 0u64..1500), 0..60)) {
        let (mut life, mut now, mut told) = (Life::begin(ISSUED), ISSUED, Vec::new());
        for (is_ping, later) in steps {
            now += later;
            if is_ping {
                if let Ok((next, events)) = life.ping(&RULE, now) {
                    life = next;
                    told.extend(events);
                    prop_assert!(life.status(&RULE, now) != HeartbeatStatus::Dead);
                }
            } else {
                let (next, event) = life.notice(&RULE, now);
                life = next;
                told.extend(event);
            }
        }
        for (position, event) in told.iter().enumerate() {
            let expected = if position % 2 == 0 { Event::HeartbeatDied } else { Event::HeartbeatResurrected };
            prop_assert_eq!(*event, expected);
        }
    }
}
