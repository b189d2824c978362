//! What happens to enclaves that run.

use licensing::{Due, Expiration, Facts, Life, Scheduled, Standing, Step, Terms, Why, due, step};
use proptest::prelude::*;

use crate::{ALICE, BOB, DAY, ISSUED, facts, terms};

const NOW: u64 = ISSUED + 60;

fn reason(change: impl Fn(&mut Facts), user: &str, now: u64) -> Option<Why> {
    let mut facts = facts(Terms { expiration: Expiration::RevokeAccess, ..terms() });
    change(&mut facts);
    let life = Life { pinged_at: Some(NOW), ..Life::begin(ISSUED) };
    due(&facts, user, &life, now).map(|due| due.why)
}

#[test]
fn every_reason_to_stop_is_produced() {
    let found = [
        reason(|facts| facts.license.standing = Standing::Banned, ALICE, NOW),
        reason(|facts| facts.license.revoked_at = Some(NOW), ALICE, NOW),
        reason(|facts| facts.license.suspended_at = Some(NOW), ALICE, NOW),
        reason(|_| {}, ALICE, ISSUED + 31 * DAY),
        reason(|_| {}, BOB, NOW),
        reason(|_| {}, ALICE, NOW + 631),
    ];
    assert_eq!(found.map(Option::unwrap), Why::ALL);
    assert_eq!(reason(|_| {}, ALICE, NOW), None);
    assert!(Why::ALL.iter().all(|why| Why::parse(why.as_str()) == Some(*why)));
}

#[test]
fn a_stop_is_announced_then_done_and_withdrawn_when_its_reason_goes() {
    let suspended = Some(Due { why: Why::Suspended, not_before: 0 });
    let announced = Scheduled { why: Why::Suspended, at: NOW + 60 };
    assert_eq!(step(suspended, None, 60, NOW), Step::Announce(announced));
    assert_eq!(step(suspended, Some(announced), 60, NOW + 59), Step::Nothing);
    assert_eq!(step(suspended, Some(announced), 60, NOW + 60), Step::Stop(Why::Suspended));
    assert_eq!(step(None, Some(announced), 60, NOW + 30), Step::Withdraw);
    assert_eq!(step(None, None, 60, NOW), Step::Nothing);
}

/// A dead heartbeat waits for its window; a suspension meanwhile does not.
#[test]
fn a_graver_reason_brings_the_stop_forward_and_a_milder_one_puts_it_off() {
    let dead = Due { why: Why::HeartbeatDead, not_before: NOW + 900 };
    let waits = Scheduled { why: Why::HeartbeatDead, at: NOW + 900 };
    assert_eq!(step(Some(dead), None, 60, NOW), Step::Announce(waits));
    let suspended = Due { why: Why::Suspended, not_before: 0 };
    let sooner = Scheduled { why: Why::Suspended, at: NOW + 70 };
    assert_eq!(step(Some(suspended), Some(waits), 60, NOW + 10), Step::Announce(sooner));
    assert_eq!(step(Some(dead), Some(sooner), 60, NOW + 70), Step::Announce(waits));
}

proptest! {
    /// Nothing is stopped that was not announced for the whole warning, nor before a window is over, nor without a reason.
    #[test]
    fn no_stop_without_its_warning(
        causes in proptest::collection::vec((0u8..3, 0u64..50), 1..80),
        warning in 1u64..120,
    ) {
        let (mut scheduled, mut since, mut now) = (None, 0, ISSUED);
        for (cause, later) in causes {
            now += later;
            let due = match cause {
                0 => None,
                1 => Some(Due { why: Why::Suspended, not_before: 0 }),
                _ => Some(Due { why: Why::HeartbeatDead, not_before: ISSUED + 1000 }),
            };
            match step(due, scheduled, warning, now) {
                Step::Nothing => {}
                Step::Withdraw => scheduled = None,
                Step::Announce(next) => {
                    prop_assert!(next.at >= now + warning);
                    if scheduled.is_none() {
                        since = now;
                    }
                    scheduled = Some(next);
                }
                Step::Stop(_) => {
                    prop_assert!(scheduled.is_some() && now >= since + warning);
                    prop_assert!(due.is_some_and(|due| due.not_before <= now));
                    scheduled = None;
                }
            }
        }
    }
}
