//! Waiting for what another controller does: it sees the wish in the row, and so is its outcome.

use std::time::Duration;

use lifecycle::State;
use names::EnclaveId;
use proto::v1::Stage;
use store::{Enclave as Row, Store};
use tonic::Status;

/// How often the row is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long a start may take elsewhere before this one stops looking.
const START: Duration = Duration::from_secs(600);
/// The same for an end.
const END: Duration = Duration::from_secs(50);

/// Waits until the row is at rest or gone.
pub(crate) async fn settled(store: &Store, id: &EnclaveId) -> Result<(), Status> {
    let at_rest = until(store, id, |row| row.is_none_or(|row| row.state.is_at_rest()));
    match tokio::time::timeout(END, at_rest).await {
        Ok(_) => Ok(()),
        Err(_) => Err(Status::unavailable("the controller that has the enclave does not answer")),
    }
}

/// Waits for the end of a start, and tells it as its last stage.
pub(crate) async fn started(store: &Store, id: &EnclaveId) -> Stage {
    let up = |row: Option<&Row>| row.is_none_or(|row| !matches!(row.state, State::Pending | State::Starting));
    let row = tokio::time::timeout(START, until(store, id, up)).await.ok().flatten();
    let (name, message, row) = match row {
        Some(row) if row.state == State::Running => ("ready", "the enclave answers", Some(row)),
        other => ("failed", "the start has failed", other),
    };
    Stage {
        name: name.to_owned(),
        message: row.as_ref().and_then(|row| row.message.clone()).unwrap_or_else(|| message.to_owned()),
        reason: row.as_ref().and_then(|row| row.reason.clone()).unwrap_or_default(),
        cause: row.and_then(|row| row.cause).unwrap_or_default(),
        progress: 100,
    }
}

async fn until(store: &Store, id: &EnclaveId, done: impl Fn(Option<&Row>) -> bool) -> Option<Row> {
    loop {
        if let Ok(row) = store.enclave(id).await
            && done(row.as_ref())
        {
            return row;
        }
        tokio::time::sleep(LOOK).await;
    }
}
