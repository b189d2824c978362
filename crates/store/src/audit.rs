//! The audit log: a chain of hashes that grows in the transactions of what it tells.

use audit::{Entry, Event, Head};
use sqlx::Row;

use crate::database::{Record, Write, parsed, signed, unsigned};
use crate::{Store, StoreError, UserId};

/// Entries that are removed in one transaction.
const PRUNED_AT_ONCE: u32 = 10_000;

impl Store {
    /// Appends what happened outside of any other change.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn audit(&self, event: Event) -> Result<(), StoreError> {
        self.audit_all(vec![event]).await
    }

    /// The same of some events, such as refused log-ins: all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn audit_all(&self, events: Vec<Event>) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for event in events {
            append(&mut transaction, event).await?;
        }
        transaction.commit().await
    }

    /// Removes entries of before this time from the beginning of the chain, a bounded number, and writes into the chain which was the
    /// last of them: that one is answered. The newest entry always stays. None where nothing is to be removed.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn prune_audit(&self, before: u64, now: u64) -> Result<Option<Head>, StoreError> {
        let mut transaction = self.write().await?;
        // Everything up to the first entry that is to be kept: clocks may have gone back in between.
        let last = sqlx::query(
            "SELECT seq, hash FROM audit
             WHERE seq < (SELECT seq FROM audit_head WHERE id = 1)
               AND seq < COALESCE((SELECT MIN(seq) FROM audit WHERE at >= $1), (SELECT seq FROM audit_head WHERE id = 1))
               AND seq < (SELECT MIN(seq) FROM audit) + $2
             ORDER BY seq DESC LIMIT 1",
        )
        .bind(signed(before))
        .bind(i64::from(PRUNED_AT_ONCE))
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = last else { return Ok(None) };
        let last = head(&row)?;
        sqlx::query("DELETE FROM audit WHERE seq <= $1")
            .bind(signed(last.seq))
            .execute(&mut *transaction)
            .await?;
        let event = Event {
            at: now,
            action: audit::PRUNED.to_owned(),
            subject: audit::pruned_up_to(&last),
            result: "ok".to_owned(),
            ..Event::default()
        };
        append(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(Some(last))
    }

    /// The end of the chain.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn audit_head(&self) -> Result<Head, StoreError> {
        let row =
            sqlx::query("SELECT seq, hash FROM audit_head WHERE id = 1").fetch_one(self.readers()).await?;
        head(&row)
    }

    /// Entries after `after`, in their order: what [`audit::verify`] reads.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn audit_after(&self, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query("SELECT * FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(signed(after))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(entry).collect()
    }

    /// Entries before `before`, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn audit_before(&self, before: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query("SELECT * FROM audit WHERE seq < $1 ORDER BY seq DESC LIMIT $2")
            .bind(signed(before))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(entry).collect()
    }

    /// The same, of what this account did or what was done to it.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn audit_of(&self, user: &UserId, before: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM audit WHERE (actor = $1 OR subject = $1) AND seq < $2 ORDER BY seq DESC LIMIT $3",
        )
        .bind(user.to_string())
        .bind(signed(before))
        .bind(i64::from(limit))
        .fetch_all(self.readers())
        .await?;
        rows.iter().map(entry).collect()
    }
}

/// Appends to the chain. There is one writer at a time, so it never forks.
pub(crate) async fn append(transaction: &mut Write, event: Event) -> Result<(), StoreError> {
    let row =
        sqlx::query("SELECT seq, hash FROM audit_head WHERE id = 1").fetch_one(&mut **transaction).await?;
    let entry = Entry::after(&head(&row)?, event);
    sqlx::query(
        "INSERT INTO audit (seq, at, actor, action, subject, result, request, address, prev, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(signed(entry.seq))
    .bind(signed(entry.event.at))
    .bind(&entry.event.actor)
    .bind(&entry.event.action)
    .bind(&entry.event.subject)
    .bind(&entry.event.result)
    .bind(&entry.event.request)
    .bind(&entry.event.address)
    .bind(entry.prev.to_string())
    .bind(entry.hash.to_string())
    .execute(&mut **transaction)
    .await?;
    sqlx::query("UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1")
        .bind(signed(entry.seq))
        .bind(entry.hash.to_string())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn head(row: &Record) -> Result<Head, StoreError> {
    Ok(Head { seq: unsigned(row, "seq")?, hash: parsed(row, "hash")? })
}

fn entry(row: &Record) -> Result<Entry, StoreError> {
    Ok(Entry {
        seq: unsigned(row, "seq")?,
        event: Event {
            at: unsigned(row, "at")?,
            actor: row.try_get("actor")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            result: row.try_get("result")?,
            request: row.try_get("request")?,
            address: row.try_get("address")?,
        },
        prev: parsed(row, "prev")?,
        hash: parsed(row, "hash")?,
    })
}
