//! A running enclave and its countdown.
//!
//! All of it is counted by a clock that nobody sets; the time of day is only what is shown.

use std::time::Duration;

use lifecycle::{Bounds, Countdown, Event, StopReason};
use store::{Claim, Enclave as Row, Note};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Keeper;
use crate::driver::Instance;
use crate::operations::{Started, now};
use crate::starts::Room;

/// What is shown may be behind by this part of the time without activity: not every request is a write.
const SHOWN_PART: u64 = 10;

/// A running enclave.
pub(super) struct Live {
    pub(super) instance: Box<dyn Instance>,
    pub(super) incarnation: u64,
    pub(super) host: String,
    pub(super) claim: Claim,
    pub(super) activity: watch::Receiver<Instant>,
    countdown: Countdown,
    /// Why its licence will stop it.
    license: Option<&'static str>,
    idle: Option<u64>,
    shown: Option<(u64, StopReason)>,
    _room: Room,
}

impl Live {
    /// When there is something to do next. A licence's stop comes from the round that looks at the licences: here it is only told.
    pub(super) fn next(&self, born: Instant) -> Option<Instant> {
        let next = self.countdown.next()?;
        let elsewhere = self.countdown.ends() == Some((next, StopReason::License));
        (!elsewhere).then(|| born + Duration::from_secs(next))
    }

    /// Whether the end has moved by so much that it is to be shown.
    fn has_moved(&self) -> bool {
        match (self.shown, self.countdown.ends()) {
            (None, None) => false,
            (Some((shown, why)), Some((end, reason))) => {
                why != reason || shown.abs_diff(end) > self.idle.unwrap_or(0) / SHOWN_PART
            }
            (Some(_), None) | (None, Some(_)) => true,
        }
    }
}

impl Keeper {
    /// It answers: from here on it is watched.
    pub(super) async fn is_up(&mut self, row: &Row, claim: &Claim, started: Started, room: Room) {
        let Started { instance, incarnation, host } = started;
        tracing::info!(enclave = %self.id, incarnation, "running");
        let bounds = Bounds { idle: row.idle_timeout, age: row.max_age };
        self.live = Some(Live {
            activity: instance.activity(),
            instance,
            incarnation,
            host,
            claim: *claim,
            countdown: Countdown::new(bounds, self.clock()),
            license: None,
            idle: row.idle_timeout,
            shown: None,
            _room: room,
        });
        self.show().await;
        self.look_at_the_license().await;
    }

    /// Shows and tells when its licence stops it, or that it does not any more.
    pub(super) async fn look_at_the_license(&mut self) {
        let clock = self.clock();
        let stop = *self.license.borrow_and_update();
        let Some(live) = &mut self.live else { return };
        live.license = stop.map(|stop| stop.why.as_str());
        let at = stop.map(|stop| clock.saturating_add(stop.at.saturating_sub(now())));
        live.countdown = live.countdown.force(at);
        self.look_at_the_clock().await;
    }

    /// Counts activity, warns, and stops what has had its time.
    pub(super) async fn look_at_the_clock(&mut self) {
        let (now, born) = (self.clock(), self.born);
        let Some(live) = &mut self.live else { return };
        let used = live.activity.borrow_and_update().saturating_duration_since(born).as_secs();
        let (countdown, warning) = live.countdown.active(used).warning(now);
        live.countdown = countdown;
        let (claim, license) = (live.claim, live.license);
        match countdown.over(now) {
            Some(reason @ (StopReason::Idle | StopReason::MaxAge)) => {
                return self.stop_by_itself(&claim, reason).await;
            }
            Some(StopReason::License) | None => {}
        }
        if let Some((left, reason)) = warning {
            let note = warning_note(left, reason, license);
            if let Err(error) = self.parts.store.tell(&self.id, &claim, &note, crate::operations::now()).await
            {
                tracing::warn!(enclave = %self.id, error = %server::telemetry::chain(&error), "no warning");
            }
        }
        if self.live.as_ref().is_some_and(Live::has_moved) {
            self.show().await;
        }
    }

    async fn stop_by_itself(&mut self, claim: &Claim, reason: StopReason) {
        tracing::info!(enclave = %self.id, reason = reason.as_str(), "stopped by itself");
        let message = format!("stopped by itself: {}", reason.as_str());
        let note = Note { stop_reason: Some(reason), ..Note::says(&message) };
        self.parts.note_change(&self.id, claim, Event::Stop, &note).await;
        let Some(live) = self.live.take() else { return };
        if self.end(live, reason.as_str()).await {
            self.ended(claim, reason.as_str()).await;
        }
    }

    /// Its user wants it to live for so many seconds more, at least.
    pub(super) async fn extend(&mut self, seconds: u64) {
        let until = self.clock().saturating_add(seconds);
        if let Some(live) = &mut self.live {
            live.countdown = live.countdown.extend(until);
            self.show().await;
        }
    }

    /// Writes down when it ends; this also says that an extension was taken.
    async fn show(&mut self) {
        let clock = self.clock();
        let Some(live) = &mut self.live else { return };
        let ends = live.countdown.ends();
        let stop = ends.map(|(at, reason)| (now().saturating_add(at.saturating_sub(clock)), reason));
        if let Err(error) = self.parts.store.set_stop(&self.id, &live.claim, stop).await {
            tracing::warn!(enclave = %self.id, error = %server::telemetry::chain(&error), "its end is not shown");
            return;
        }
        live.shown = ends;
    }
}

fn warning_note(left: u64, reason: StopReason, license: Option<&str>) -> Note {
    let code = reason.as_str();
    let message = match (reason, license) {
        (StopReason::License, Some(why)) => format!("it will be stopped in {left} s by its licence ({why})"),
        _ => format!("it will be stopped in {left} s ({code}); `extend` it to keep it"),
    };
    let cause = license.filter(|_| reason == StopReason::License).map(str::to_owned);
    Note { reason: Some(code.to_owned()), cause, ..Note::stage("warning", &message, 100) }
}
