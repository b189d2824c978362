//! What a former controller left of an enclave.

use lifecycle::{Event, State};
use server::telemetry::chain;
use store::{Claim, Enclave as Row};

use super::Keeper;
use crate::operations::failed;
use crate::reason::Reason;

impl Keeper {
    /// Ends what a former run left over: nothing of ours runs, so whatever the row names is not ours. Whether that has ended: one
    /// that may still run stays in its row, nothing starts beside it, and the next round tries again.
    pub(super) async fn end_leftovers(&self, row: &Row, claim: &Claim) -> bool {
        if let Some(process) = row.process {
            // The kernel has ended it with its parent; this is for a kernel that has not, and a parent that lives.
            if let Err(error) = self.parts.driver.reap(process) {
                tracing::error!(enclave = %row.id, error = %chain(&error), "what a former run left is not ended");
                if matches!(row.state, State::Pending | State::Starting | State::Running | State::Stopping) {
                    let failed = failed(Reason::NotStopped, Reason::NotStopped.sentence());
                    self.parts.note_end(&self.id, claim, Event::Fail, &failed.note()).await;
                }
                return false;
            }
            self.parts.forget_process(&row.id, claim, row.incarnation).await;
        }
        let announced =
            matches!(row.state, State::Starting | State::Running | State::Stopping | State::Deleting);
        if row.incarnation > 0 && announced {
            self.parts.retract(&row.id, row.incarnation, "controller-restarted").await;
        }
        true
    }
}
