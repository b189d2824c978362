//! What licences do to enclaves that run: announced, withdrawn, due.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use licensing::{Event, Facts, LicenseId, Scheduled, Step, Why, due, step};
use names::EnclaveId;

use super::leases::{Lease, lease, write_life};
use super::{facts, tell};
use crate::database::{Record, Write, parsed, signed};
use crate::{Store, StoreError};

/// A stop that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LicenseStop {
    /// The enclave.
    pub enclave: EnclaveId,
    /// Why.
    pub why: Why,
    /// Unix seconds; where that has come, the enclave is to be stopped now.
    pub at: u64,
}

impl Store {
    /// Looks at every enclave that is up on a licence: notices deaths, announces stops `warning` seconds ahead, withdraws those whose reason is
    /// gone, and gives back all that stand, those whose time has come among them. Doing it twice, or by two at once, changes nothing more.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn licenses_to_stop(&self, now: u64, warning: u64) -> Result<Vec<LicenseStop>, StoreError> {
        // Most sweeps find nothing to write: those do not wait for the writer.
        let mut known = BTreeMap::new();
        let mut quiet = true;
        for row in up(self.readers()).await? {
            let lease = lease(&row)?;
            let facts = match known.entry(lease.license) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    unknown.insert(facts!(self.readers(), lease.license, "").ok_or(StoreError::NotFound)?)
                }
            };
            quiet &= is_quiet(facts, &lease, warning, now);
        }
        let untold = sqlx::query(UNTOLD).bind(signed(now)).fetch_all(self.readers()).await?;
        if quiet && untold.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.write().await?;
        tell_expiries(&mut transaction, now).await?;
        let mut stops = Vec::new();
        for row in up(&mut *transaction).await? {
            let lease = lease(&row)?;
            let facts = facts!(&mut *transaction, lease.license, "").ok_or(StoreError::NotFound)?;
            stops.extend(advance(&mut transaction, &facts, &lease, warning, now).await?);
        }
        transaction.commit().await?;
        Ok(stops)
    }

    /// Remembers that an enclave was stopped because of its licence: its place is free, and it may be started again when the reason is gone.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn license_stopped(&self, stop: &LicenseStop, now: u64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let row = sqlx::query("DELETE FROM license_leases WHERE enclave_id = $1 RETURNING license_id")
            .bind(stop.enclave.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = row {
            let license: LicenseId = parsed(&row, "license_id")?;
            tell(&mut transaction, &license, Event::LeaseStopped, &stop.enclave.to_string(), now).await?;
        }
        transaction.commit().await
    }
}

/// Licences whose present expiry has not been told; the grace is not part of it.
const UNTOLD: &str = "SELECT id FROM licenses WHERE expires_at <= $1 AND revoked_at IS NULL
     AND (expiry_told IS NULL OR expiry_told <> expires_at) ORDER BY id LIMIT 1000";

async fn up<'e>(executor: impl sqlx::Executor<'e, Database = sqlx::Any>) -> Result<Vec<Record>, StoreError> {
    let rows = sqlx::query(concat!(
        "SELECT license_leases.* FROM license_leases JOIN enclaves ON enclaves.id = license_leases.enclave_id
         WHERE enclaves.desired = 'running' AND ",
        super::active!(),
        " ORDER BY license_leases.enclave_id"
    ));
    Ok(rows.fetch_all(executor).await?)
}

fn is_quiet(facts: &Facts, lease: &Lease, warning: u64, now: u64) -> bool {
    let due = due(facts, &lease.user, &lease.life, now);
    lease.stop.is_none() && step(due, lease.stop, warning, now) == Step::Nothing
}

async fn advance(
    transaction: &mut Write,
    facts: &Facts,
    lease: &Lease,
    warning: u64,
    now: u64,
) -> Result<Option<LicenseStop>, StoreError> {
    let (license, enclave) = (lease.license, lease.enclave.to_string());
    if let Some(rule) = &facts.plan.terms.heartbeat {
        let (life, event) = lease.life.notice(rule, now);
        if let Some(event) = event {
            write_life(transaction, &lease.enclave, &life).await?;
            tell(transaction, &license, event, &enclave, now).await?;
        }
    }
    let stop =
        |scheduled: Scheduled| LicenseStop { enclave: lease.enclave, why: scheduled.why, at: scheduled.at };
    let due = due(facts, &lease.user, &lease.life, now);
    match step(due, lease.stop, warning, now) {
        Step::Nothing => Ok(lease.stop.map(stop)),
        Step::Stop(why) => Ok(lease.stop.map(|scheduled| LicenseStop { why, ..stop(scheduled) })),
        Step::Withdraw => {
            schedule(transaction, &enclave, None).await?;
            tell(transaction, &license, Event::StopWithdrawn, &enclave, now).await?;
            Ok(None)
        }
        Step::Announce(scheduled) => {
            schedule(transaction, &enclave, Some(scheduled)).await?;
            tell(transaction, &license, Event::StopAnnounced, &enclave, now).await?;
            Ok(Some(stop(scheduled)))
        }
    }
}

async fn schedule(
    transaction: &mut Write,
    enclave: &str,
    scheduled: Option<Scheduled>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE license_leases SET stops_at = $2, stop_reason = $3 WHERE enclave_id = $1")
        .bind(enclave)
        .bind(scheduled.map(|scheduled| signed(scheduled.at)))
        .bind(scheduled.map(|scheduled| scheduled.why.as_str()))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn tell_expiries(transaction: &mut Write, now: u64) -> Result<(), StoreError> {
    for row in sqlx::query(UNTOLD).bind(signed(now)).fetch_all(&mut **transaction).await? {
        let license: LicenseId = parsed(&row, "id")?;
        sqlx::query("UPDATE licenses SET expiry_told = expires_at WHERE id = $1")
            .bind(license.to_string())
            .execute(&mut **transaction)
            .await?;
        tell(transaction, &license, Event::Expired, "", now).await?;
    }
    Ok(())
}
