//! Enclaves that are on their way while nobody works on them: no controller has claimed them, or theirs shows no life.
//!
//! As with claims, times are not compared: whoever looks sees that nothing has changed, by a clock of its own, and says so
//! with a mark that a change in between makes worthless.

use api::enclaves::State;
use lifecycle::Event;
use names::EnclaveId;

use super::changes::{apply, locked};
use super::{By, Note, unsigned_option};
use crate::database::{Write, parsed, unsigned};
use crate::{Store, StoreError};

/// Most that are looked at.
const MOST: i64 = 10_000;

/// An enclave on its way up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnItsWay {
    /// Which.
    pub id: EnclaveId,
    /// Where it stands.
    pub state: State,
    /// Changes with everything that happens to it, and with each sign of life of its controller.
    pub mark: Mark,
}

/// What an enclave looked like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    event: u64,
    epoch: u64,
    beat: Option<u64>,
}

impl Store {
    /// All enclaves that are on their way up or down.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn on_their_way(&self) -> Result<Vec<OnItsWay>, StoreError> {
        let rows = sqlx::query(
            "SELECT e.id AS id, e.state AS state, e.event_seq AS event_seq, e.epoch AS epoch, c.beat AS beat
             FROM enclaves e LEFT JOIN controllers c ON c.id = e.controller
             WHERE e.state IN ('pending', 'starting', 'stopping') ORDER BY e.created_at, e.id LIMIT $1",
        )
        .bind(MOST)
        .fetch_all(self.readers())
        .await?;
        let one = |row| {
            let state: String = sqlx::Row::try_get(row, "state")?;
            Ok(OnItsWay {
                id: parsed(row, "id")?,
                state: State::parse(&state).ok_or(StoreError::Corrupt { column: "state" })?,
                mark: Mark {
                    event: unsigned(row, "event_seq")?,
                    epoch: unsigned(row, "epoch")?,
                    beat: unsigned_option(row, "beat")?,
                },
            })
        };
        rows.iter().map(one).collect()
    }

    /// Lets an enclave fail that still looks like this; whether it did.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn fail_unattended(&self, seen: &OnItsWay, note: &Note, now: u64) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let row = match locked(&mut transaction, &seen.id, By::User).await {
            Ok(row) => row,
            Err(StoreError::NotFound) => return Ok(false),
            Err(error) => return Err(error),
        };
        let beat = match row.controller {
            Some(controller) => beat(&mut transaction, &controller.to_string()).await?,
            None => None,
        };
        if row.state != seen.state || (Mark { event: row.event_seq, epoch: row.epoch, beat }) != seen.mark {
            return Ok(false);
        }
        apply(&mut transaction, &row, By::User, Event::Fail, note, now).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

async fn beat(transaction: &mut Write, controller: &str) -> Result<Option<u64>, StoreError> {
    let row = sqlx::query("SELECT beat FROM controllers WHERE id = $1")
        .bind(controller)
        .fetch_optional(&mut **transaction)
        .await?;
    row.map(|row| unsigned(&row, "beat")).transpose()
}
