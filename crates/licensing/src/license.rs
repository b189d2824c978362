//! Licences and their transitions: each takes a licence and gives the next one, with the event that tells of it.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::{AkName, Event, LicenseId, Plan, PlanCode};

/// An expiry that is at most this near is `EXPIRING`, in seconds: three days.
const EXPIRING: u64 = 3 * 86_400;
/// A licence that was not used for this long is `INACTIVE`, in seconds: ninety days.
const INACTIVE: u64 = 90 * 86_400;

/// A licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct License {
    /// Its id.
    pub id: LicenseId,
    /// The plan that it was issued on.
    pub plan: PlanCode,
    /// Id of the account that holds it.
    pub holder: String,
    /// Whether the holder's account is in good standing.
    pub standing: Standing,
    /// The one node on which its enclaves may run.
    pub node: Option<AkName>,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds; absent for ever.
    pub expires_at: Option<u64>,
    /// Unix seconds.
    pub suspended_at: Option<u64>,
    /// Unix seconds.
    pub revoked_at: Option<u64>,
    /// Unix seconds of the last check-in; the issue counts as one.
    pub checked_in_at: u64,
    /// Unix seconds of the last start, validation or file.
    pub used_at: Option<u64>,
}

/// What its holder's account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may log in.
    Good,
    /// It was disabled.
    Banned,
}

/// What a licence is. The first that applies, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Its holder's account was disabled.
    Banned,
    /// It was ended for good.
    Revoked,
    /// It was suspended.
    Suspended,
    /// It has expired, and its grace is over.
    Expired,
    /// It expires within three days, or is in its grace.
    Expiring,
    /// It was not used for ninety days.
    Inactive,
    /// None of these.
    Active,
}

/// Why a transition is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// Nothing brings a revoked licence back.
    #[error("the license was revoked")]
    Revoked,
    /// The plan issues no more.
    #[error("the plan was retired")]
    PlanRetired,
    /// There is no expiry to move.
    #[error("the license does not expire")]
    Perpetual,
}

/// The licence afterwards, and what happened; nothing where it was so before.
pub type Transition = Result<(License, Option<Event>), TransitionError>;

impl License {
    /// A new licence on this plan.
    ///
    /// # Errors
    /// [`TransitionError::PlanRetired`].
    pub fn issue(
        id: LicenseId,
        holder: String,
        plan: &Plan,
        now: u64,
    ) -> Result<(Self, Event), TransitionError> {
        if plan.retired_at.is_some() {
            return Err(TransitionError::PlanRetired);
        }
        let license = Self {
            id,
            plan: plan.code.clone(),
            holder,
            standing: Standing::Good,
            node: None,
            issued_at: now,
            expires_at: plan.terms.duration.map(|duration| now.saturating_add(duration)),
            suspended_at: None,
            revoked_at: None,
            checked_in_at: now,
            used_at: None,
        };
        Ok((license, Event::Created))
    }

    /// Unix seconds at which expiry takes effect: after the grace.
    #[must_use]
    pub fn ends_at(&self, plan: &Plan) -> Option<u64> {
        self.expires_at.map(|at| at.saturating_add(plan.terms.grace))
    }

    /// Whether it has expired and its grace is over.
    #[must_use]
    pub fn is_expired(&self, plan: &Plan, now: u64) -> bool {
        self.ends_at(plan).is_some_and(|end| now >= end)
    }

    /// Whether its holder should have checked in before.
    #[must_use]
    pub fn is_overdue(&self, plan: &Plan, now: u64) -> bool {
        plan.terms.check_in.is_some_and(|interval| now > self.checked_in_at.saturating_add(interval))
    }

    /// What it is at `now`.
    #[must_use]
    pub fn status(&self, plan: &Plan, now: u64) -> Status {
        let near = |at: u64| now >= at.saturating_sub(EXPIRING);
        let used = self.used_at.unwrap_or(self.issued_at);
        if self.standing == Standing::Banned {
            Status::Banned
        } else if self.revoked_at.is_some() {
            Status::Revoked
        } else if self.suspended_at.is_some() {
            Status::Suspended
        } else if self.is_expired(plan, now) {
            Status::Expired
        } else if self.expires_at.is_some_and(near) {
            Status::Expiring
        } else if now >= used.saturating_add(INACTIVE) {
            Status::Inactive
        } else {
            Status::Active
        }
    }

    /// Lets it rest; what runs on it will be stopped.
    ///
    /// # Errors
    /// [`TransitionError::Revoked`].
    pub fn suspend(self, now: u64) -> Transition {
        let license = self.unrevoked()?;
        let event = license.suspended_at.is_none().then_some(Event::Suspended);
        Ok((Self { suspended_at: license.suspended_at.or(Some(now)), ..license }, event))
    }

    /// Ends a suspension.
    ///
    /// # Errors
    /// [`TransitionError::Revoked`].
    pub fn reinstate(self) -> Transition {
        let license = self.unrevoked()?;
        let event = license.suspended_at.map(|_| Event::Reinstated);
        Ok((Self { suspended_at: None, ..license }, event))
    }

    /// Moves the expiry on by the plan's duration: from the expiry, or from now where that has passed. A suspension stays.
    ///
    /// # Errors
    /// [`TransitionError::Revoked`], [`TransitionError::Perpetual`].
    pub fn renew(self, plan: &Plan, now: u64) -> Transition {
        let license = self.unrevoked()?;
        let (Some(expiry), Some(duration)) = (license.expires_at, plan.terms.duration) else {
            return Err(TransitionError::Perpetual);
        };
        let expires_at = Some(expiry.max(now).saturating_add(duration));
        Ok((Self { expires_at, ..license }, Some(Event::Renewed)))
    }

    /// Ends it for good. Doing it again changes nothing.
    #[must_use]
    pub fn revoke(self, now: u64) -> (Self, Option<Event>) {
        let event = self.revoked_at.is_none().then_some(Event::Revoked);
        (Self { revoked_at: self.revoked_at.or(Some(now)), ..self }, event)
    }

    /// The holder was here.
    ///
    /// # Errors
    /// [`TransitionError::Revoked`].
    pub fn check_in(self, now: u64) -> Transition {
        let license = self.unrevoked()?;
        Ok((Self { checked_in_at: license.checked_in_at.max(now), ..license }, Some(Event::CheckedIn)))
    }

    /// Binds it to a node, or to none.
    ///
    /// # Errors
    /// [`TransitionError::Revoked`].
    pub fn lock_to(self, node: Option<AkName>) -> Transition {
        let license = self.unrevoked()?;
        let event = (license.node != node).then_some(Event::NodeChanged);
        Ok((Self { node, ..license }, event))
    }

    fn unrevoked(self) -> Result<Self, TransitionError> {
        if self.revoked_at.is_some() { Err(TransitionError::Revoked) } else { Ok(self) }
    }
}
