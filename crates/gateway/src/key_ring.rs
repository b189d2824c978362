//! The keys that sign tokens: each gateway makes its own and keeps it in memory; the public halves of all gateways are in the database, in the served
//! key set and in the facades' file.
//!
//! Invariant: a key is announced for two polls before anything is signed with it (but the first one), and stays in the set until its last token has
//! expired. A gateway keeps its keys alive by saying so; the keys of one that is gone leave by themselves.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use pki::SigningKey;
use pki::jwk::{Jwk, Jwks};
use pki::token::SESSION_TOKEN_LIFE;
use server::telemetry::chain;
use store::{Store, TokenKey};
use tokio::time::Instant;

use crate::TokenKeys;
use crate::shared::{Shared, now};

/// A key's place in the set is renewed after so many seconds.
const RENEW: u64 = 30;
/// How long after the last renewal a key stays: the life of a token, and some failed renewals.
const LEASE: u64 = SESSION_TOKEN_LIFE + 4 * RENEW;
/// Between two looks that tokens with unknown keys cause.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Keys in the set; those that were renewed last stay.
const KEYS: u32 = 64;
/// Retired keys are kept for so long: they verify old heads of the audit log.
const KEPT: u64 = 400 * 24 * 3600;

/// Makes a key that signs tokens.
pub type MakeTokenKey = Arc<dyn Fn() -> anyhow::Result<Arc<dyn SigningKey>> + Send + Sync>;

/// The keys of this gateway and of the others.
pub(crate) struct KeyRing {
    make: MakeTokenKey,
    file: PathBuf,
    config: TokenKeys,
    held: Mutex<Held>,
    /// When somebody last looked because of a key that is not known.
    looked: tokio::sync::Mutex<Instant>,
}

struct Held {
    current: Own,
    /// Announced, to be used when everybody has seen it.
    next: Option<Own>,
    set: Arc<Jwks>,
}

/// A key of this gateway.
#[derive(Clone)]
struct Own {
    key: Arc<dyn SigningKey>,
    public: Jwk,
    since: u64,
    renewed: u64,
}

impl KeyRing {
    /// Makes the first key, announces it and writes the facades' file.
    pub(crate) async fn start(
        make: MakeTokenKey,
        store: &Store,
        file: PathBuf,
        config: TokenKeys,
    ) -> anyhow::Result<Self> {
        let current = new_key(&make, store).await?;
        let held = Held { current, next: None, set: Arc::default() };
        let ring = Self {
            make,
            file,
            config,
            held: Mutex::new(held),
            looked: tokio::sync::Mutex::new(Instant::now()),
        };
        ring.reload(store).await?;
        Ok(ring)
    }

    /// The key that signs now.
    pub(crate) fn key(&self) -> Arc<dyn SigningKey> {
        Arc::clone(&self.held().current.key)
    }

    /// The keys whose tokens are accepted.
    pub(crate) fn set(&self) -> Arc<Jwks> {
        Arc::clone(&self.held().set)
    }

    /// Looks whether another gateway has a new key. All who ask meanwhile share one look, and there are few of them a second.
    pub(crate) async fn look_again(&self, store: &Store) -> anyhow::Result<()> {
        let arrived = Instant::now();
        let mut looked = self.looked.lock().await;
        if *looked > arrived {
            return Ok(());
        }
        tokio::time::sleep_until(*looked + LOOK_PAUSE).await;
        *looked = Instant::now();
        self.reload(store).await
    }

    /// Renews, rotates and reads the set.
    async fn turn(&self, store: &Store) -> anyhow::Result<()> {
        let (current, next) = {
            let held = self.held();
            (held.current.clone(), held.next.clone())
        };
        for own in [Some(current.clone()), next.clone()].into_iter().flatten() {
            if own.renewed.saturating_add(RENEW) <= now() {
                register(store, &own.public, own.since).await?;
                self.held().renewed(own.public.id());
            }
        }
        match next {
            None if current.since.saturating_add(self.config.rotate) <= now() => {
                let next = new_key(&self.make, store).await?;
                tracing::info!(kid = next.public.id(), "a new token key is announced");
                self.held().next = Some(next);
            }
            Some(next) if next.since.saturating_add(2 * self.config.poll) < now() => {
                // Its tokens live on: once more, for the whole lease.
                register(store, &current.public, current.since).await?;
                let mut held = self.held();
                held.current = Own { since: now(), ..next };
                held.next = None;
            }
            None | Some(_) => {}
        }
        self.reload(store).await
    }

    async fn reload(&self, store: &Store) -> anyhow::Result<()> {
        let rows = store.token_keys(now(), KEYS).await.context("read the token keys")?;
        let mut keys = rows.iter().map(public).collect::<anyhow::Result<Vec<_>>>()?;
        let mut held = self.held();
        let own = [Some(&held.current), held.next.as_ref()].into_iter().flatten();
        for own in own.filter(|own| rows.iter().all(|row| row.id != own.public.id())) {
            keys.truncate(KEYS as usize - 1);
            keys.insert(0, own.public.clone());
        }
        keys.sort_by(|one, other| one.id().cmp(other.id()));
        let set = Arc::new(Jwks::new(keys).context("the set of token keys")?);
        if set != held.set || !self.file.exists() {
            write_whole(&self.file, held.current.public.id(), set.to_json().as_bytes())
                .with_context(|| format!("write {}", self.file.display()))?;
            held.set = set;
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn renewed(&mut self, id: &str) {
        for own in [Some(&mut self.current), self.next.as_mut()].into_iter().flatten() {
            if own.public.id() == id {
                own.renewed = now();
            }
        }
    }
}

/// Keeps the ring turning.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let ring = shared.tokens.ring();
    let every = Duration::from_secs(ring.config.poll.max(1));
    let mut pruned = 0;
    loop {
        tokio::time::sleep(every).await;
        if let Err(error) = ring.turn(&shared.store).await {
            tracing::warn!(error = %chain(&*error), "token keys");
        }
        if now().saturating_sub(pruned) > 3600 {
            pruned = now();
            if let Err(error) = shared.store.prune_token_keys(now().saturating_sub(KEPT)).await {
                tracing::warn!(error = %chain(&error), "prune token keys");
            }
        }
    }
}

async fn new_key(make: &MakeTokenKey, store: &Store) -> anyhow::Result<Own> {
    let key = make().context("make a token key")?;
    let public = Jwk::from_spki(key.public_key_spki()).context("a token key is P-256")?;
    let since = now();
    register(store, &public, since).await?;
    Ok(Own { key, public, since, renewed: since })
}

async fn register(store: &Store, public: &Jwk, since: u64) -> anyhow::Result<()> {
    let key = TokenKey {
        id: public.id().to_owned(),
        jwk: public.to_json(),
        created_at: since,
        retires_at: now().saturating_add(LEASE),
    };
    store.keep_token_key(&key).await.context("announce a token key")
}

fn public(row: &TokenKey) -> anyhow::Result<Jwk> {
    Jwk::parse(row.jwk.as_bytes()).with_context(|| format!("token key {}", row.id))
}

/// Replaces a file so that a reader sees the old or the new one, never a part; several gateways may write the same one.
fn write_whole(path: &Path, writer: &str, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension(format!("{writer}.new"));
    let mut file = std::fs::File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}
