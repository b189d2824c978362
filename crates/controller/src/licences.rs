//! What licences do to enclaves that run: a stop is announced first, can be withdrawn until its time comes, and then happens here.

use std::time::Duration;

use lifecycle::{Event, StopReason};
use names::EnclaveId;
use server::telemetry::chain;
use store::{By, Note, Store, StoreError};

use crate::enclave::Enclave;
use crate::operations::now;

/// How often all licences are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Looks at the licences until it is dropped, and announces stops `warning` seconds ahead; `enclave` finds the task of an enclave.
pub(crate) async fn follow(store: Store, warning: u64, enclave: impl Fn(EnclaveId) -> Enclave + Send + Sync) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = look(&store, &enclave, warning, now()).await {
            tracing::warn!(error = %chain(&error), "the licences were not looked at");
        }
    }
}

async fn look(
    store: &Store,
    enclave: &(impl Fn(EnclaveId) -> Enclave + Send + Sync),
    warning: u64,
    now: u64,
) -> Result<(), StoreError> {
    for stop in store.licenses_to_stop(now, warning).await? {
        if stop.at > now {
            continue;
        }
        tracing::info!(enclave = %stop.enclave, reason = stop.why.as_str(), "stopped by its licence");
        let message = format!("stopped by its licence: {}", stop.why.as_str());
        let note = Note { stop_reason: Some(StopReason::License), ..Note::says(&message) };
        store.change(&stop.enclave, By::User, Event::Stop, &note, now).await?;
        if enclave(stop.enclave).settle(stop.why.as_str()).await.is_ok() {
            store.license_stopped(&stop, now).await?;
        }
    }
    Ok(())
}
