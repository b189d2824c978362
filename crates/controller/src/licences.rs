//! What licences do to enclaves that run: a stop is announced first, can be withdrawn until its time comes, and then happens here.
//!
//! Every controller of a database sees the same announcements, and tells those enclaves that are its own.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lifecycle::{Event, StopReason};
use names::EnclaveId;
use server::telemetry::chain;
use store::{By, Enclave as Row, LicenseStop, Note, StoreError};

use crate::operations::{Failed, Parts, agent_failed, failed, now, store_failed};
use crate::reason::Reason;
use crate::service::Service;

/// How often all licences are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Looks at the licences until it is dropped.
pub(crate) async fn follow(service: Service) {
    let busy = Busy::default();
    loop {
        tokio::time::sleep(EVERY).await;
        match look(&service).await {
            Ok(due) => due.into_iter().for_each(|stop| take_up(&service, stop, &busy)),
            Err(error) => tracing::warn!(error = %chain(&error), "the licences were not looked at"),
        }
    }
}

/// Enclaves that are being stopped: one that does not end keeps none of the others waiting.
type Busy = Arc<Mutex<HashSet<EnclaveId>>>;

/// Tells the enclaves what was announced; those whose time has come are returned.
async fn look(service: &Service) -> Result<Vec<LicenseStop>, StoreError> {
    let (now, warning) = (now(), service.parts.config.settings.licenses.warning);
    let mut stops = service.parts.store.licenses_to_stop(now, warning).await?;
    service.tell_of_licenses(&stops);
    stops.retain(|stop| stop.at <= now);
    Ok(stops)
}

fn take_up(service: &Service, stop: LicenseStop, busy: &Busy) {
    if !busy.lock().unwrap_or_else(PoisonError::into_inner).insert(stop.enclave) {
        return;
    }
    let (service, busy) = (service.clone(), Arc::clone(busy));
    service.tasks.clone().spawn_cancellable(async move {
        if let Err(error) = end(&service, &stop).await {
            tracing::warn!(enclave = %stop.enclave, error = %chain(&error), "not stopped by its licence yet");
        }
        busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&stop.enclave);
    });
}

async fn end(service: &Service, stop: &LicenseStop) -> Result<(), StoreError> {
    let (store, why) = (&service.parts.store, stop.why.as_str());
    tracing::info!(enclave = %stop.enclave, reason = why, "stopped by its licence");
    let message = format!("stopped by its licence: {why}");
    let note = Note { stop_reason: Some(StopReason::License), ..Note::says(&message) };
    store.change(&stop.enclave, By::User, Event::Stop, &note, now()).await?;
    if service.enclave(stop.enclave).settle(why).await.is_ok() {
        store.license_stopped(stop, now()).await?;
    }
    Ok(())
}

impl Parts {
    /// A licence that is locked to another node serves nothing here.
    pub(crate) async fn check_license(&self, row: &Row) -> Result<(), Failed> {
        let locked = self.store.licensed_node(&row.id).await.map_err(|error| store_failed(&error))?;
        let Some(node) = locked else { return Ok(()) };
        let here = self.agent.node().await.map_err(|error| agent_failed(&error))?;
        if here.ak_name == node {
            Ok(())
        } else {
            Err(failed(Reason::LicenseNode, Reason::LicenseNode.sentence()))
        }
    }
}
