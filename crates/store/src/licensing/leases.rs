//! Places of enclaves on licences, and their pings.

use licensing::{
    AkName, Code, Entitlement, Event, Facts, HeartbeatRule, HeartbeatStatus, LicenseId, Life, Scheduled,
    Start, Why, may_start,
};
use names::EnclaveId;
use sqlx::Row;

use super::{facts, tell, time};
use crate::database::{Record, Write, parsed, parsed_option, signed, unsigned};
use crate::{Store, StoreError, UserId};

/// Whether enclaves need a licence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Licensing {
    /// The quota is all.
    #[default]
    Off,
    /// Nothing starts without one.
    Required,
}

/// Which place an enclave has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The enclave.
    pub enclave: EnclaveId,
    /// The licence.
    pub license: LicenseId,
    /// The enclave's user.
    pub user: String,
    /// Its pings.
    pub life: Life,
    /// The stop that was announced.
    pub stop: Option<Scheduled>,
}

/// What a ping found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// What it is now.
    pub status: HeartbeatStatus,
    /// What the plan says; absent where it wants no pings.
    pub rule: Option<HeartbeatRule>,
    /// Unix seconds of the last ping.
    pub pinged_at: Option<u64>,
}

/// What a start asks for.
pub(crate) struct Place<'a> {
    pub(crate) enclave: &'a EnclaveId,
    pub(crate) user: &'a UserId,
    pub(crate) app: &'a str,
    pub(crate) start: Start,
    pub(crate) now: u64,
}

/// Finds a licence on which this may start and takes a place on it: in the transaction of the start, so that nothing else can take it. Of
/// several the first by id; where none serves, the reason of the one that came closest.
pub(crate) async fn take_place(transaction: &mut Write, place: &Place<'_>) -> Result<LicenseId, StoreError> {
    let app: Entitlement = place.app.parse().map_err(|_| StoreError::License(Code::EntitlementsMissing))?;
    let user = place.user.to_string();
    let rows = sqlx::query("SELECT license_id FROM license_users WHERE user_id = $1 ORDER BY license_id")
        .bind(&user)
        .fetch_all(&mut **transaction)
        .await?;
    let mut why_not = Code::NotFound;
    for row in rows {
        let id: LicenseId = parsed(&row, "license_id")?;
        let found = facts!(&mut **transaction, id, place.enclave.to_string());
        let Some(facts) = found else { continue };
        match may_start(&facts, &user, &app, place.start, place.now) {
            Ok(()) => {
                write_lease(transaction, &id, place).await?;
                tell(transaction, &id, Event::LeaseTaken, &place.enclave.to_string(), place.now).await?;
                return Ok(id);
            }
            // That another licence does not cover the app says less than why one that does is refused.
            Err(Code::EntitlementsMissing) if why_not != Code::NotFound => {}
            Err(code) => why_not = code,
        }
    }
    Err(StoreError::License(why_not))
}

async fn write_lease(
    transaction: &mut Write,
    license: &LicenseId,
    place: &Place<'_>,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM license_leases WHERE enclave_id = $1")
        .bind(place.enclave.to_string())
        .execute(&mut **transaction)
        .await?;
    sqlx::query(
        "INSERT INTO license_leases (enclave_id, license_id, user_id, started_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(place.enclave.to_string())
    .bind(license.to_string())
    .bind(place.user.to_string())
    .bind(signed(place.now))
    .execute(&mut **transaction)
    .await?;
    sqlx::query("UPDATE licenses SET used_at = $2 WHERE id = $1")
        .bind(license.to_string())
        .bind(signed(place.now))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

impl Store {
    /// Which licence would serve this user and app now. Nothing is taken: the start asks again, in its own transaction.
    ///
    /// # Errors
    /// [`StoreError::License`] with the code of the reason; `NOT_FOUND` where the user has no seat at all.
    pub async fn entitlement(
        &self,
        user: &UserId,
        app: &Entitlement,
        start: Start,
        now: u64,
    ) -> Result<Facts, StoreError> {
        let rows = sqlx::query("SELECT license_id FROM license_users WHERE user_id = $1 ORDER BY license_id")
            .bind(user.to_string())
            .fetch_all(self.readers())
            .await?;
        let mut why_not = Code::NotFound;
        for row in rows {
            let id: LicenseId = parsed(&row, "license_id")?;
            let found = facts!(self.readers(), id, "");
            let Some(facts) = found else { continue };
            match may_start(&facts, &user.to_string(), app, start, now) {
                Ok(()) => return Ok(facts),
                Err(Code::EntitlementsMissing) if why_not != Code::NotFound => {}
                Err(code) => why_not = code,
            }
        }
        Err(StoreError::License(why_not))
    }

    /// The place of an enclave.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn lease(&self, enclave: &EnclaveId) -> Result<Option<Lease>, StoreError> {
        let row = sqlx::query("SELECT * FROM license_leases WHERE enclave_id = $1")
            .bind(enclave.to_string())
            .fetch_optional(self.readers())
            .await?;
        row.as_ref().map(lease).transpose()
    }

    /// The one node on which the licence of an enclave holds; none: on every node, or it has no place on a licence.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn licensed_node(&self, enclave: &EnclaveId) -> Result<Option<AkName>, StoreError> {
        let row = sqlx::query(
            "SELECT licenses.node FROM license_leases JOIN licenses ON licenses.id = license_leases.license_id
             WHERE license_leases.enclave_id = $1",
        )
        .bind(enclave.to_string())
        .fetch_optional(self.readers())
        .await?;
        row.map_or(Ok(None), |row| parsed_option(&row, "node"))
    }

    /// Takes a ping of an enclave that is up on this licence.
    ///
    /// # Errors
    /// [`StoreError::License`]: `HEARTBEAT_DEAD` when it comes too late, `ENCLAVE_SCOPE_MISMATCH` where it has no place there.
    pub async fn ping_lease(
        &self,
        license: &LicenseId,
        enclave: &EnclaveId,
        now: u64,
    ) -> Result<Heartbeat, StoreError> {
        let mut transaction = self.write().await?;
        let facts = facts!(&mut *transaction, license, "").ok_or(StoreError::NotFound)?;
        let row = sqlx::query(concat!(
            "SELECT license_leases.* FROM license_leases JOIN enclaves ON enclaves.id = license_leases.enclave_id
             WHERE license_leases.enclave_id = $1 AND license_leases.license_id = $2 AND ",
            super::active!()
        ))
        .bind(enclave.to_string())
        .bind(license.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        let lease = lease(&row.ok_or(StoreError::License(Code::EnclaveScopeMismatch))?)?;
        let Some(rule) = facts.plan.terms.heartbeat else {
            return Ok(Heartbeat { status: HeartbeatStatus::Alive, rule: None, pinged_at: Some(now) });
        };
        let pinged = lease.life.ping(&rule, now);
        let (life, events) = pinged.map_err(|_| StoreError::License(Code::HeartbeatDead))?;
        write_life(&mut transaction, enclave, &life).await?;
        for event in events {
            tell(&mut transaction, license, event, &enclave.to_string(), now).await?;
        }
        transaction.commit().await?;
        Ok(Heartbeat { status: life.status(&rule, now), rule: Some(rule), pinged_at: life.pinged_at })
    }
}

pub(super) async fn write_life(
    transaction: &mut Write,
    enclave: &EnclaveId,
    life: &Life,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE license_leases SET pinged_at = $2, revived_at = $3, died_at = $4 WHERE enclave_id = $1",
    )
    .bind(enclave.to_string())
    .bind(life.pinged_at.map(signed))
    .bind(life.revived_at.map(signed))
    .bind(life.died_at.map(signed))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

pub(super) fn lease(row: &Record) -> Result<Lease, StoreError> {
    let why: Option<&str> = row.try_get("stop_reason")?;
    let why =
        why.map(|why| Why::parse(why).ok_or(StoreError::Corrupt { column: "stop_reason" })).transpose()?;
    Ok(Lease {
        enclave: parsed(row, "enclave_id")?,
        license: parsed(row, "license_id")?,
        user: row.try_get("user_id")?,
        life: Life {
            started_at: unsigned(row, "started_at")?,
            pinged_at: time(row, "pinged_at")?,
            revived_at: time(row, "revived_at")?,
            died_at: time(row, "died_at")?,
        },
        stop: time(row, "stops_at")?.zip(why).map(|(at, why)| Scheduled { why, at }),
    })
}
