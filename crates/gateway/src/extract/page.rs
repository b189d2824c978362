//! Pages of lists: `?limit=1..100&cursor=…`.
//!
//! A cursor is the key of the last row that was answered, so that rows which come and go meanwhile neither repeat nor hide others. It is not
//! signed: it only says where to go on, among the rows that the caller may see anyway.

use api::Code;
use api::bounds::{CURSOR_BYTES, PAGE_ROWS};
use axum::extract::{FromRequestParts, Query};
use base64ct::{Base64UrlUnpadded, Encoding};
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// Which rows are asked for; `K` is what the list is sorted by, and tells each row from all others.
#[derive(Debug)]
pub(crate) struct Page<K> {
    limit: u32,
    after: Option<K>,
}

/// The query of a list that has no other parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl<K: Serialize + DeserializeOwned> Page<K> {
    /// For lists with parameters of their own: what their query has under these names.
    pub(crate) fn of(limit: Option<u32>, cursor: Option<&str>) -> Result<Self, Refusal> {
        let limit = limit.unwrap_or(PAGE_ROWS);
        if !(1..=PAGE_ROWS).contains(&limit) {
            return Err(Refusal::new(Code::Malformed, format!("limit is 1 to {PAGE_ROWS}")));
        }
        let after = cursor.map(read).transpose()?;
        Ok(Self { limit, after })
    }

    /// How many rows to read: one more than will be answered tells whether there are more.
    pub(crate) const fn rows(&self) -> u32 {
        self.limit + 1
    }

    /// The key after which they begin.
    pub(crate) const fn after(&self) -> Option<&K> {
        self.after.as_ref()
    }

    /// Leaves what is answered, and returns the cursor of the next page, if there is one.
    pub(crate) fn cut<T>(
        &self,
        rows: &mut Vec<T>,
        key: impl FnOnce(&T) -> K,
    ) -> Result<Option<String>, Refusal> {
        let limit = self.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more).map(key);
        last.map(|key| write(&key)).transpose()
    }
}

impl<S: Send + Sync, K: Serialize + DeserializeOwned> FromRequestParts<S> for Page<K> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Query(asked) = Query::<Asked>::from_request_parts(parts, state)
            .await
            .map_err(|error| Refusal::new(Code::Malformed, error.body_text()))?;
        Self::of(asked.limit, asked.cursor.as_deref())
    }
}

fn read<K: DeserializeOwned>(cursor: &str) -> Result<K, Refusal> {
    let bytes = Base64UrlUnpadded::decode_vec(cursor).ok().filter(|_| cursor.len() <= CURSOR_BYTES);
    let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    key.ok_or_else(|| Refusal::new(Code::Malformed, "the cursor is none of ours"))
}

fn write<K: Serialize>(key: &K) -> Result<String, Refusal> {
    let json = serde_json::to_vec(key).map_err(Refusal::internal)?;
    Ok(Base64UrlUnpadded::encode_string(&json))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let all: Vec<u64> = (1..=7).collect();
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = Page::<u64>::of(Some(3), cursor.as_deref()).unwrap();
            let after = page.after().copied().unwrap_or(0);
            let mut rows: Vec<u64> =
                all.iter().copied().filter(|row| *row > after).take(page.rows() as usize).collect();
            cursor = page.cut(&mut rows, |row| *row).unwrap();
            seen.extend(rows);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn limits_and_cursors_of_others_are_refused() {
        for (limit, cursor) in [
            (Some(0), None),
            (Some(101), None),
            (None, Some("")),
            (None, Some("=")),
            (None, Some("bnVsbA")),
            (None, Some("W10")),
        ] {
            assert!(Page::<u64>::of(limit, cursor).is_err(), "{limit:?} {cursor:?}");
        }
        let long = Base64UrlUnpadded::encode_string(&[b'9'; 600]);
        assert!(Page::<String>::of(None, Some(&long)).is_err());
    }
}
