//! Keyed marks in place of what should not be kept: addresses, and names that somebody typed. The key is the deployment's, and lives for a day.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;
use names::{Digest, hex};
use store::Store;

use crate::refusal::Refusal;
use crate::shared::{now, random};

const DAY: u64 = 24 * 3600;
/// Bytes of a mark.
const MARK: usize = 16;

/// The key of the day, as it was last read.
#[derive(Default)]
pub(crate) struct Marks {
    today: Mutex<Option<(u64, hmac::Key)>>,
}

impl Marks {
    /// The day's mark of some bytes; `kind` keeps marks of different things apart.
    pub(crate) async fn of(&self, store: &Store, kind: &str, parts: &[&[u8]]) -> Result<String, Refusal> {
        let key = self.key(store, now() / DAY).await?;
        let mut context = hmac::Context::with_key(&key);
        for part in [&[kind.as_bytes()], parts].concat() {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Ok(hex(context.sign().as_ref().get(..MARK).unwrap_or_default()))
    }

    async fn key(&self, store: &Store, day: u64) -> Result<hmac::Key, Refusal> {
        let known = self.today.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((of, key)) = known
            && of == day
        {
            return Ok(key);
        }
        let secret = store.address_key(day, &Digest::from_bytes(random()?)).await?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        *self.today.lock().unwrap_or_else(PoisonError::into_inner) = Some((day, key.clone()));
        Ok(key)
    }
}
