//! Transitions.

use licensing::{Event, License, LicenseId, Plan, Standing, Status, Terms, TransitionError};
use proptest::prelude::*;

use crate::{ALICE, DAY, ISSUED, NODE, license, plan, terms};

#[test]
fn suspending_and_reinstating_tell_each_once() {
    let license = license(&plan(terms()));
    let (suspended, event) = license.clone().suspend(ISSUED + 5).unwrap();
    assert_eq!((suspended.suspended_at, event), (Some(ISSUED + 5), Some(Event::Suspended)));
    assert_eq!(suspended.clone().suspend(ISSUED + 9), Ok((suspended.clone(), None)));
    assert_eq!(suspended.reinstate(), Ok((license.clone(), Some(Event::Reinstated))));
    assert_eq!(license.clone().reinstate(), Ok((license, None)));
}

#[test]
fn nothing_brings_a_revoked_license_back() {
    let plan = plan(terms());
    let (revoked, event) = license(&plan).revoke(ISSUED + 1);
    assert_eq!(event, Some(Event::Revoked));
    assert_eq!(revoked.clone().revoke(ISSUED + 2), (revoked.clone(), None));
    let refused = Err(TransitionError::Revoked);
    assert_eq!(revoked.clone().suspend(1), refused);
    assert_eq!(revoked.clone().reinstate(), refused);
    assert_eq!(revoked.clone().renew(&plan, 1), refused);
    assert_eq!(revoked.clone().check_in(1), refused);
    assert_eq!(revoked.lock_to(None), refused);
}

#[test]
fn renewing_starts_at_the_expiry_or_now_when_that_has_passed() {
    let plan = plan(terms());
    let license = license(&plan);
    let expiry = license.expires_at.unwrap();
    let renewed = |now| license.clone().renew(&plan, now).unwrap().0.expires_at.unwrap();
    assert_eq!(renewed(ISSUED + 1), expiry + 30 * DAY);
    assert_eq!(renewed(expiry + 7), expiry + 7 + 30 * DAY);
    let forever = crate::plan(Terms { duration: None, ..terms() });
    assert_eq!(crate::license(&forever).renew(&forever, ISSUED), Err(TransitionError::Perpetual));
}

#[test]
fn a_retired_plan_issues_nothing_and_renews_what_it_issued() {
    let retired = Plan { retired_at: Some(ISSUED), ..plan(terms()) };
    let issued = License::issue(LicenseId::from_bytes([1; 16]), ALICE.into(), &retired, ISSUED);
    assert_eq!(issued, Err(TransitionError::PlanRetired));
    assert!(license(&plan(terms())).renew(&retired, ISSUED).is_ok());
}

#[test]
fn a_node_lock_is_told_when_it_changes() {
    let license = license(&plan(terms()));
    let node = Some(NODE.parse().unwrap());
    let (locked, event) = license.lock_to(node).unwrap();
    assert_eq!((locked.node, event), (node, Some(Event::NodeChanged)));
    assert_eq!(locked.clone().lock_to(node), Ok((locked, None)));
}

/// The order of the status is the order of the enum.
#[test]
fn the_gravest_status_is_shown() {
    let plan = plan(terms());
    let mut license = license(&plan);
    let end = license.ends_at(&plan).unwrap();
    license.used_at = Some(end);
    let mut seen = vec![license.status(&plan, ISSUED)];
    let unused = License { used_at: None, expires_at: None, ..license.clone() };
    seen.push(unused.status(&plan, ISSUED + 90 * DAY));
    seen.push(license.status(&plan, end - 1));
    seen.push(license.status(&plan, end));
    license.suspended_at = Some(end);
    seen.push(license.status(&plan, end));
    license.revoked_at = Some(end);
    seen.push(license.status(&plan, end));
    license.standing = Standing::Banned;
    seen.push(license.status(&plan, end));
    assert_eq!(
        seen,
        [
            Status::Active,
            Status::Inactive,
            Status::Expiring,
            Status::Expired,
            Status::Suspended,
            Status::Revoked,
            Status::Banned
        ]
    );
    assert!(seen.is_sorted_by(|a, b| a > b));
}

proptest! {
    /// Whatever is done in whatever order: a revocation stays, times of expiry only grow, each event tells of a change.
    #[test]
    fn transitions_keep_their_promises(steps in proptest::collection::vec((0u8..6, 0..DAY), 0..40)) {
        let plan = plan(terms());
        let mut license = license(&plan);
        let mut now = ISSUED;
        for (step, later) in steps {
            now += later;
            let before = license.clone();
            let outcome = match step {
                0 => license.clone().suspend(now),
                1 => license.clone().reinstate(),
                2 => license.clone().renew(&plan, now),
                3 => Ok(license.clone().revoke(now)),
                4 => license.clone().check_in(now),
                _ => license.clone().lock_to(Some(NODE.parse().unwrap())),
            };
            let Ok((next, event)) = outcome else {
                prop_assert!(before.revoked_at.is_some());
                continue;
            };
            prop_assert!(before.revoked_at.is_none() || next.revoked_at == before.revoked_at);
            prop_assert!(next.expires_at >= before.expires_at);
            prop_assert!(next == before || event.is_some());
            license = next;
        }
    }
}
