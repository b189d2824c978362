//! What licences do to enclaves that run: a stop is announced first, can be withdrawn until its time comes, and then happens here.
//!
//! Every controller of a database sees the same announcements, and tells those enclaves that are its own.

use std::time::Duration;

use lifecycle::{Event, StopReason};
use server::telemetry::chain;
use store::{By, Enclave as Row, Note, StoreError};

use crate::operations::{Failed, Parts, agent_failed, failed, now, store_failed};
use crate::reason::Reason;
use crate::service::Service;

/// How often all licences are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Looks at the licences until it is dropped.
pub(crate) async fn follow(service: Service) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = look(&service, now()).await {
            tracing::warn!(error = %chain(&error), "the licences were not looked at");
        }
    }
}

async fn look(service: &Service, now: u64) -> Result<(), StoreError> {
    let store = &service.parts.store;
    let stops = store.licenses_to_stop(now, service.parts.config.settings.licenses.warning).await?;
    service.tell_of_licenses(&stops);
    for stop in stops.iter().filter(|stop| stop.at <= now) {
        tracing::info!(enclave = %stop.enclave, reason = stop.why.as_str(), "stopped by its licence");
        let message = format!("stopped by its licence: {}", stop.why.as_str());
        let note = Note { stop_reason: Some(StopReason::License), ..Note::says(&message) };
        store.change(&stop.enclave, By::User, Event::Stop, &note, now).await?;
        if service.enclave(stop.enclave).settle(stop.why.as_str()).await.is_ok() {
            store.license_stopped(stop, now).await?;
        }
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
