//! Enclaves that are on their way while no controller works on them: they fail, so that nothing waits for ever.
//!
//! A controller holds what it has claimed to its deadlines; this is for what none has, or one that shows no life any more. Every gateway
//! looks, with a clock of its own that nobody sets, and the store lets one of them say it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::{Deadlines, State};
use names::EnclaveId;
use server::telemetry::chain;
use store::{Mark, Note, OnItsWay, StoreError};
use tokio::time::Instant;

use crate::shared::{Shared, now};

/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Reasons of a failure that the gateway gives.
pub const CODES: &[&str] = &["no-controller", "controller-refused"];

/// Looks until it is dropped.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let mut seen = Seen::default();
    loop {
        tokio::time::sleep(LOOK).await;
        let over = match shared.store.on_their_way().await {
            Ok(rows) => seen.look(rows, &shared.lives.deadlines, Instant::now()),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "enclaves on their way were not looked at");
                continue;
            }
        };
        for enclave in over {
            if let Err(error) = fail(&shared, &enclave).await {
                tracing::warn!(enclave = %enclave.id, error = %chain(&error), "not marked as failed");
            }
        }
    }
}

/// What each looked like, and since when.
#[derive(Default)]
struct Seen(HashMap<EnclaveId, (Mark, Instant)>);

impl Seen {
    /// Those that have stood still for longer than their state's deadline.
    fn look(&mut self, rows: Vec<OnItsWay>, deadlines: &Deadlines, now: Instant) -> Vec<OnItsWay> {
        let before = std::mem::take(&mut self.0);
        let mut over = Vec::new();
        for row in rows {
            let still = before.get(&row.id).filter(|(mark, _)| *mark == row.mark);
            let since = still.map_or(now, |(_, since)| *since);
            self.0.insert(row.id, (row.mark, since));
            let deadline = deadline(row.state, deadlines).map(Duration::from_secs);
            if deadline.is_some_and(|deadline| now.saturating_duration_since(since) >= deadline) {
                over.push(row);
            }
        }
        over
    }
}

/// How long a state may last in which somebody should be at work.
const fn deadline(state: State, deadlines: &Deadlines) -> Option<u64> {
    match state {
        State::Pending => Some(deadlines.queue),
        State::Starting => Some(deadlines.start),
        State::Stopping => Some(deadlines.stop),
        // A delete is tried for ever, and its user may let it go; the others are rests, or end by their countdown.
        State::Deleting | State::Running | State::Stopped | State::Failed | State::Deleted => None,
    }
}

async fn fail(shared: &Shared, enclave: &OnItsWay) -> Result<(), StoreError> {
    let message = match enclave.state {
        State::Pending => "no controller has taken it",
        _ => "its controller does not answer any more",
    };
    let note = Note { reason: Some("no-controller".into()), ..Note::stage("failed", message, 100) };
    if shared.store.fail_unattended(enclave, &note, now()).await? {
        tracing::warn!(enclave = %enclave.id, state = enclave.state.as_str(), reason = "no-controller", "given up");
    }
    Ok(())
}
