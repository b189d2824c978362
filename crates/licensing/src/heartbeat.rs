//! Heartbeats: an enclave's lease lives as long as its user pings, and may come back within a window.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Event;

/// Shortest interval between pings, in seconds.
pub const MIN_INTERVAL: u64 = 60;
/// How late a ping may be, in seconds.
pub const DRIFT: u64 = 30;
/// Interval where a plan says none, in seconds.
const DEFAULT_INTERVAL: u64 = 600;

/// How often to ping, and how late is too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRule {
    /// Seconds between pings; at least [`MIN_INTERVAL`].
    #[serde(default = "default_interval")]
    pub interval: u64,
    /// For how long a dead one may come back.
    #[serde(default)]
    pub resurrection: Resurrection,
}

const fn default_interval() -> u64 {
    DEFAULT_INTERVAL
}

/// For how long after its death a heartbeat may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Resurrection {
    /// Never.
    #[default]
    #[serde(rename = "NO_REVIVE")]
    Never,
    /// One minute.
    #[serde(rename = "1_MINUTE_REVIVE")]
    OneMinute,
    /// Two minutes.
    #[serde(rename = "2_MINUTE_REVIVE")]
    TwoMinutes,
    /// Five minutes.
    #[serde(rename = "5_MINUTE_REVIVE")]
    FiveMinutes,
    /// Ten minutes.
    #[serde(rename = "10_MINUTE_REVIVE")]
    TenMinutes,
    /// A quarter of an hour.
    #[serde(rename = "15_MINUTE_REVIVE")]
    FifteenMinutes,
    /// As long as the enclave has not been stopped, which it is after the usual warning.
    #[serde(rename = "ALWAYS_REVIVE")]
    Always,
}

impl Resurrection {
    /// Seconds for which the enclave is kept after the death.
    #[must_use]
    pub const fn window(self) -> u64 {
        match self {
            Self::Never | Self::Always => 0,
            Self::OneMinute => 60,
            Self::TwoMinutes => 120,
            Self::FiveMinutes => 300,
            Self::TenMinutes => 600,
            Self::FifteenMinutes => 900,
        }
    }

    const fn allows(self, seconds_after_death: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            _ => seconds_after_death <= self.window(),
        }
    }
}

/// What a heartbeat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HeartbeatStatus {
    /// No ping yet, and the first is not overdue.
    NotStarted,
    /// In time.
    Alive,
    /// Overdue.
    Dead,
    /// It was dead before its last ping.
    Resurrected,
}

/// The pings of one start of an enclave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Unix seconds at which the enclave was started: the first ping is due one interval later.
    pub started_at: u64,
    /// Unix seconds of the last ping.
    pub pinged_at: Option<u64>,
    /// Unix seconds of the ping that brought it back; equal to `pinged_at` until the next.
    pub revived_at: Option<u64>,
    /// Unix seconds of a death that was told.
    pub died_at: Option<u64>,
}

/// The ping came too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dead;

impl Life {
    /// A start without pings.
    #[must_use]
    pub const fn begin(now: u64) -> Self {
        Self { started_at: now, pinged_at: None, revived_at: None, died_at: None }
    }

    /// What it is at `now`.
    #[must_use]
    pub fn status(&self, rule: &HeartbeatRule, now: u64) -> HeartbeatStatus {
        if self.death(rule, now).is_some() {
            return HeartbeatStatus::Dead;
        }
        match (self.pinged_at, self.revived_at) {
            (None, _) => HeartbeatStatus::NotStarted,
            (Some(pinged), Some(revived)) if pinged == revived => HeartbeatStatus::Resurrected,
            (Some(_), _) => HeartbeatStatus::Alive,
        }
    }

    /// When it died, if it is dead at `now`.
    #[must_use]
    pub fn death(&self, rule: &HeartbeatRule, now: u64) -> Option<u64> {
        let last = self.pinged_at.unwrap_or(self.started_at);
        let deadline = last.saturating_add(rule.interval).saturating_add(DRIFT);
        self.died_at.or_else(|| (now > deadline).then_some(deadline))
    }

    /// A ping, and what it tells. A death that nobody has noticed is told first, so that every resurrection has one.
    ///
    /// # Errors
    /// [`Dead`] when it comes too late; nothing has changed then.
    pub fn ping(self, rule: &HeartbeatRule, now: u64) -> Result<(Self, Vec<Event>), Dead> {
        let at = self.pinged_at.map_or(now, |before| before.max(now));
        let Some(death) = self.death(rule, now) else {
            // A revival is forgotten by the next ping, also by one within the same second.
            return Ok((Self { pinged_at: Some(at), revived_at: None, ..self }, Vec::new()));
        };
        if !rule.resurrection.allows(now.saturating_sub(death)) {
            return Err(Dead);
        }
        let untold = self.died_at.is_none().then_some(Event::HeartbeatDied);
        let events = untold.into_iter().chain([Event::HeartbeatResurrected]).collect();
        Ok((Self { pinged_at: Some(at), revived_at: Some(at), died_at: None, ..self }, events))
    }

    /// Notices a death, once per life.
    #[must_use]
    pub fn notice(self, rule: &HeartbeatRule, now: u64) -> (Self, Option<Event>) {
        if self.died_at.is_some() {
            return (self, None);
        }
        let died_at = self.death(rule, now);
        (Self { died_at, ..self }, died_at.map(|_| Event::HeartbeatDied))
    }
}
