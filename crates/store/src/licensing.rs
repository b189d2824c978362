//! Plans, licences, seats, leases and what happened to them. What is allowed is decided by the crate `licensing`; here are the facts, read in
//! the transaction of the act.

mod keys;
mod leases;
mod licenses;
mod plans;
mod seats;
mod sweep;

pub use keys::LicenseKey;
pub use leases::{Heartbeat, Lease, Licensing};
pub use licenses::{LicenseEvent, ListedLicense};
pub use sweep::LicenseStop;

pub(crate) use leases::{Place, take_place};

use ::licensing::{Event, Facts, License, LicenseId, Plan, Standing};
use sqlx::Row;

use crate::StoreError;
use crate::database::{Record, Write, parsed, parsed_option, signed, unsigned};

/// An enclave that is up or on its way: what counts against a licence. Needs `enclaves` in the query.
macro_rules! active {
    () => {
        "(enclaves.desired = 'running' OR enclaves.state IN ('pending', 'starting', 'running', 'stopping'))"
    };
}
pub(crate) use active;

const LICENSE: &str =
    "SELECT licenses.*, plans.terms, plans.created_at AS plan_created_at, plans.retired_at AS plan_retired_at,
     users.disabled_at FROM licenses JOIN plans ON plans.code = licenses.plan JOIN users ON users.id = licenses.holder WHERE licenses.id = $1";
const SEATS: &str = "SELECT user_id FROM license_users WHERE license_id = $1";
const ENTITLEMENTS: &str = "SELECT entitlement FROM license_entitlements WHERE license_id = $1";
const ACTIVE: &str = concat!(
    "SELECT COUNT(*) AS number FROM license_leases JOIN enclaves ON enclaves.id = license_leases.enclave_id
     WHERE license_leases.license_id = $1 AND license_leases.enclave_id <> $2 AND ",
    active!()
);

/// Reads what is known of a licence on readers or in a transaction, without the place of one enclave that is asked about.
macro_rules! facts {
    ($executor:expr, $id:expr, $without:expr) => {{
        let id = $id.to_string();
        let row = sqlx::query($crate::licensing::LICENSE).bind(&id).fetch_optional($executor).await?;
        match row {
            None => None,
            Some(row) => {
                let seats = sqlx::query($crate::licensing::SEATS).bind(&id).fetch_all($executor).await?;
                let own = sqlx::query($crate::licensing::ENTITLEMENTS).bind(&id).fetch_all($executor).await?;
                let active = sqlx::query($crate::licensing::ACTIVE).bind(&id).bind($without);
                let active = active.fetch_one($executor).await?;
                Some($crate::licensing::assemble(&row, &seats, &own, &active)?)
            }
        }
    }};
}
pub(crate) use facts;

pub(crate) fn assemble(
    row: &Record,
    seats: &[Record],
    entitlements: &[Record],
    active: &Record,
) -> Result<Facts, StoreError> {
    let seat = |row: &Record| Ok::<_, StoreError>(row.try_get::<String, _>("user_id")?);
    Ok(Facts {
        license: license(row)?,
        plan: Plan {
            code: parsed(row, "plan")?,
            terms: terms(row)?,
            created_at: unsigned(row, "plan_created_at")?,
            retired_at: time(row, "plan_retired_at")?,
        },
        entitlements: entitlements.iter().map(|row| parsed(row, "entitlement")).collect::<Result<_, _>>()?,
        seats: seats.iter().map(seat).collect::<Result<_, _>>()?,
        enclaves: u32::try_from(unsigned(active, "number")?).unwrap_or(u32::MAX),
    })
}

fn license(row: &Record) -> Result<License, StoreError> {
    Ok(License {
        id: parsed(row, "id")?,
        plan: parsed(row, "plan")?,
        holder: row.try_get("holder")?,
        standing: if time(row, "disabled_at")?.is_some() { Standing::Banned } else { Standing::Good },
        node: parsed_option(row, "node")?,
        issued_at: unsigned(row, "issued_at")?,
        expires_at: time(row, "expires_at")?,
        suspended_at: time(row, "suspended_at")?,
        revoked_at: time(row, "revoked_at")?,
        checked_in_at: unsigned(row, "checked_in_at")?,
        used_at: time(row, "used_at")?,
    })
}

pub(crate) fn terms(row: &Record) -> Result<::licensing::Terms, StoreError> {
    let text: &str = row.try_get("terms")?;
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt { column: "terms" })
}

pub(crate) fn time(row: &Record, column: &'static str) -> Result<Option<u64>, StoreError> {
    let at: Option<i64> = row.try_get(column)?;
    at.map(|at| u64::try_from(at).map_err(|_| StoreError::Corrupt { column })).transpose()
}

/// Tells what happened, in the transaction in which it does.
pub(crate) async fn tell(
    transaction: &mut Write,
    license: &LicenseId,
    event: Event,
    subject: &str,
    now: u64,
) -> Result<(), StoreError> {
    let row = sqlx::query("UPDATE licenses SET event_seq = event_seq + 1 WHERE id = $1 RETURNING event_seq")
        .bind(license.to_string())
        .fetch_one(&mut **transaction)
        .await?;
    sqlx::query(
        "INSERT INTO license_events (license_id, seq, at, event, subject) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(license.to_string())
    .bind(signed(unsigned(&row, "event_seq")?))
    .bind(signed(now))
    .bind(event.as_str())
    .bind(subject)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
