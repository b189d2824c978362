//! What all routes share.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ::factors::SealingKey;
use anyhow::Context as _;
use packing::Blobs;
use server::Tasks;
use store::Store;
use tokio::sync::Semaphore;

use crate::controller::Controller;
use crate::hashing::Hasher;
use crate::stages::Stages;
use crate::timeouts::Timeouts;
use crate::tokens::Tokens;
use crate::{Config, Origin, Quota};

/// Uploads that are written at one time.
const UPLOADS: usize = 16;

/// What all routes share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) hasher: Hasher,
    pub(crate) sealing: SealingKey,
    pub(crate) origin: Origin,
    pub(crate) tokens: Tokens,
    pub(crate) controller: Controller,
    pub(crate) stages: Stages,
    pub(crate) edge: String,
    pub(crate) quota: Quota,
    pub(crate) timeouts: Timeouts,
    pub(crate) tasks: Tasks,
}

impl Shared {
    pub(crate) async fn build(
        config: Config,
        origin: Origin,
        store: Store,
        token_key: Arc<dyn pki::SigningKey>,
        tasks: Tasks,
    ) -> anyhow::Result<Self> {
        let blobs = Blobs::open_dir(&config.blobs).context("blobs folder")?;
        blobs.remove_leftovers().context("blobs folder")?;
        let tokens = Tokens::new(token_key, &config.trust_domain).context("token key")?;
        write_whole(&config.jwks, tokens.key_set().as_bytes())
            .with_context(|| format!("write {}", config.jwks.display()))?;
        let hasher = Hasher::start(config.hashing).await.context("hash the stand-in password")?;
        let sealing =
            SealingKey::open_or_make(&config.factors.key_file).context("key file of second factors")?;
        Ok(Self {
            store,
            blobs,
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            hasher,
            sealing,
            origin,
            tokens,
            controller: Controller::new(&config.controller),
            stages: Stages::default(),
            edge: config.edge,
            quota: config.quota,
            timeouts: config.timeouts,
            tasks,
        })
    }
}

/// Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Random bytes of the kernel.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Replaces a file so that a reader sees the old or the new one, never a part.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = std::fs::File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}
