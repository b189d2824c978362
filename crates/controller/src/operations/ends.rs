//! The steps of an end, and of a removal.

use std::time::Duration;

use names::EnclaveId;
use server::telemetry::chain;
use store::{By, Claim, Note};

use super::{Parts, failed, now};
use crate::config::Failpoint;
use crate::driver::{DriverError, Instance};
use crate::reason::Reason;

impl Parts {
    /// No more evidence, no more route, then the end of the processes. Whether they have ended.
    pub(crate) async fn end_instance(
        &self,
        id: &EnclaveId,
        host: String,
        incarnation: u64,
        mut instance: Box<dyn Instance>,
        reason: &str,
    ) -> bool {
        self.config.failpoint(Failpoint::StopBegun);
        self.retract(id, incarnation, reason).await;
        self.config.failpoint(Failpoint::StopRetracted);
        self.routes.remove(&host, &self.driver.address(id));
        let grace = Duration::from_secs(self.config.settings.limits.deadlines.stop);
        let ended = tokio::time::timeout(grace, instance.stop()).await.is_ok();
        if !ended {
            tracing::error!(enclave = %id, "an enclave did not end, not even by force");
        }
        self.config.failpoint(Failpoint::StopEnded);
        ended
    }

    /// Removes what is left of an enclave that has ended, its row last: after a crash in between the next run finds the
    /// row, and would not find the folder.
    pub(crate) async fn remove(&self, id: &EnclaveId, claim: &Claim) {
        self.config.failpoint(Failpoint::DeleteEnded);
        if let Err(error) = self.driver.remove(id) {
            tracing::warn!(enclave = %id, error = %chain(&error), "its folder stays");
            self.tell_not_removed(id, claim, &error).await;
            return;
        }
        self.config.failpoint(Failpoint::DeleteRemoved);
        match self.store.remove_enclave(id, By::Claim(claim)).await {
            Ok(true) => tracing::info!(enclave = %id, "deleted"),
            Ok(false) => tracing::warn!(enclave = %id, "its row stays"),
            Err(error) => tracing::warn!(enclave = %id, error = %chain(&error), "its row stays"),
        }
    }

    /// Says why a delete does not come to its end, once: it is tried again and again.
    async fn tell_not_removed(&self, id: &EnclaveId, claim: &Claim, error: &DriverError) {
        let code = Reason::NotRemoved.code();
        let Ok(Some(row)) = self.store.enclave(id).await else { return };
        let newest = self.store.enclave_events(id, row.event_seq.saturating_sub(1), 1).await;
        if newest.is_ok_and(|events| events.iter().any(|event| event.reason.as_deref() == Some(code))) {
            return;
        }
        let failed = failed(Reason::NotRemoved, chain(error)).because(error.cause());
        let note = Note { stage: "deleting".to_owned(), ..failed.note() };
        if let Err(error) = self.store.tell(id, claim, &note, now()).await {
            tracing::debug!(enclave = %id, error = %chain(&error), "not told");
        }
    }
}
