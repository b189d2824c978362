//! At start: makes processes and rows agree again, whatever the last run was doing when it ended.

use api::enclaves::State;
use store::{Desired, Enclave as Row, StoreError};

use crate::operations::Parts;

/// Ends leftovers of a former run and finishes what it began; gives back the enclaves that are to be started again.
pub(crate) async fn reconcile(parts: &Parts) -> Result<Vec<Row>, StoreError> {
    let mut to_start = Vec::new();
    for row in parts.store.enclaves_to_reconcile().await? {
        if let Some(process) = row.process {
            // The kernel has ended it with its parent; this is for a kernel that has not.
            parts.driver.reap(process);
            parts.forget_process(&row.id, row.incarnation).await;
        }
        if row.incarnation > 0 && matches!(row.state, State::Starting | State::Running | State::Stopping) {
            parts.retract(&row.id, row.incarnation, "controller-restarted").await;
        }
        match row.desired {
            Desired::Running => {
                // A state follows itself: `failed` stays failed until its user says otherwise.
                if row.state != State::Failed {
                    to_start.push(row);
                }
            }
            Desired::Stopped => finish_stop(parts, &row).await,
            Desired::Deleted => {
                finish_stop(parts, &row).await;
                if let Err(error) = parts.driver.remove(&row.id) {
                    tracing::warn!(enclave = %row.id, error = %server::telemetry::chain(&error), "not removed");
                }
                parts.store.remove_enclave(&row.id).await?;
            }
        }
    }
    Ok(to_start)
}

async fn finish_stop(parts: &Parts, row: &Row) {
    match row.state {
        State::Stopped | State::Failed | State::Deleting | State::Deleted => {}
        State::Pending => parts.move_row(&row.id, State::Pending, State::Stopped, None).await,
        State::Stopping => parts.move_row(&row.id, State::Stopping, State::Stopped, None).await,
        State::Starting | State::Running => {
            parts.move_row(&row.id, row.state, State::Stopping, None).await;
            parts.move_row(&row.id, State::Stopping, State::Stopped, None).await;
        }
    }
}
