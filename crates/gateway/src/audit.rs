//! The audit log: everybody's own part, and the whole for admins, with the signed end of its chain.
//!
//! A chain that was cut off at its end looks whole. So its end goes where whoever cuts does not reach: into the service's log once an hour, and signed to
//! each admin who reads it; one who kept it can ask later whether it is still there.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ::audit::{Entry, Head};
use api::accounts::{Audit, AuditEntry, AuditHead};
use axum::extract::State;
use axum::routing::get;
use server::telemetry::chain;

use crate::extract::{Admin, Caller, Page};
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::shared::{Shared, now};

const HEAD_EVERY: Duration = Duration::from_secs(3600);
const DAY: u64 = 24 * 3600;

pub(crate) fn routes() -> Routes {
    Routes::new().route("/v1/audit", get(own)).route("/v1/admin/audit", get(all))
}

/// `GET /v1/audit`
async fn own(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    page: Page<u64>,
) -> Result<axum::Json<Audit>, Refusal> {
    let before = page.after().copied().unwrap_or(u64::MAX);
    shared.refused_logins.settle().await;
    let entries = shared.store.audit_of(&caller.user, before, page.rows()).await?;
    answer(&page, entries, None)
}

/// `GET /v1/admin/audit`
async fn all(
    State(shared): State<Arc<Shared>>,
    _admin: Admin,
    page: Page<u64>,
) -> Result<axum::Json<Audit>, Refusal> {
    let before = page.after().copied().unwrap_or(u64::MAX);
    shared.refused_logins.settle().await;
    let entries = shared.store.audit_before(before, page.rows()).await?;
    let head = shared.store.audit_head().await?;
    let signed = shared.tokens.sign_audit_head(&head, now())?;
    answer(&page, entries, Some(AuditHead { seq: head.seq, hash: head.hash.to_string(), signed }))
}

/// Writes the chain's end to the service's log, now and then, and removes what is older than it has to be kept.
pub(crate) async fn keep(shared: Arc<Shared>, days: Option<NonZeroU32>) {
    let mut logged = Head::START;
    loop {
        if let Some(days) = days {
            prune(&shared, now().saturating_sub(u64::from(days.get()) * DAY)).await;
        }
        match shared.store.audit_head().await {
            Ok(head) if head == logged => {}
            Ok(head) => {
                tracing::info!(seq = head.seq, hash = %head.hash, "audit head");
                logged = head;
            }
            Err(error) => tracing::warn!(error = %chain(&error), "audit head"),
        }
        tokio::time::sleep(HEAD_EVERY).await;
    }
}

/// Removes what happened before this. What is removed is told by the chain itself, and by the log.
async fn prune(shared: &Shared, before: u64) {
    loop {
        match shared.store.prune_audit(before, now()).await {
            Ok(Some(start)) => {
                tracing::info!(seq = start.seq, hash = %start.hash, "audit log pruned up to this entry")
            }
            Ok(None) => return,
            Err(error) => return tracing::warn!(error = %chain(&error), "audit log not pruned"),
        }
    }
}

fn answer(
    page: &Page<u64>,
    mut entries: Vec<Entry>,
    head: Option<AuditHead>,
) -> Result<axum::Json<Audit>, Refusal> {
    let next_cursor = page.cut(&mut entries, |entry| entry.seq)?;
    Ok(axum::Json(Audit { entries: entries.into_iter().map(shown).collect(), next_cursor, head }))
}

fn shown(entry: Entry) -> AuditEntry {
    AuditEntry {
        seq: entry.seq,
        at: entry.event.at,
        actor: entry.event.actor,
        action: entry.event.action,
        subject: entry.event.subject,
        result: entry.event.result,
        request: entry.event.request,
        address: entry.event.address,
        prev: entry.prev.to_string(),
        hash: entry.hash.to_string(),
    }
}
