//! What all routes share, and the table of routes.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use axum::Router;
use axum::routing::{delete, get, post, put};
use packing::Blobs;
use server::Tasks;
use store::Store;
use tokio::sync::Semaphore;

use crate::controller::Controller;
use crate::hashing::Hasher;
use crate::stages::Stages;
use crate::tokens::Tokens;
use crate::{Config, Quota, apps, blobs, enclaves, meta, refusal, sessions, stages, users};

/// Uploads that are written at one time.
const UPLOADS: usize = 16;

/// What all routes share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) hasher: Hasher,
    pub(crate) tokens: Tokens,
    pub(crate) controller: Controller,
    pub(crate) stages: Stages,
    pub(crate) edge: String,
    pub(crate) quota: Quota,
    pub(crate) tasks: Tasks,
}

impl Shared {
    pub(crate) async fn build(
        config: Config,
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
        Ok(Self {
            store,
            blobs,
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            hasher,
            tokens,
            controller: Controller::new(&config.controller),
            stages: Stages::default(),
            edge: config.edge,
            quota: config.quota,
            tasks,
        })
    }
}

/// Every path that there is. Each answers 405 to other methods; everything else is 404.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/health", get(meta::health))
        .route("/.well-known/jwks.json", get(meta::key_set))
        .route("/v1/users", post(users::sign_up))
        .route("/v1/me", get(users::me))
        .route("/v1/sessions", post(sessions::log_in))
        .route("/v1/sessions/refresh", post(sessions::refresh))
        .route("/v1/sessions/current", delete(sessions::sign_out))
        .route("/v1/blobs/missing", post(blobs::missing))
        .route("/v1/blobs/{digest}", put(blobs::upload))
        .route("/v1/apps", post(apps::publish).get(apps::list))
        .route("/v1/apps/{name}", get(apps::one))
        .route("/v1/enclaves", post(enclaves::create).get(enclaves::list))
        .route("/v1/enclaves/{name}", get(enclaves::one).delete(enclaves::remove))
        .route("/v1/enclaves/{name}/start", post(enclaves::start))
        .route("/v1/enclaves/{name}/stop", post(enclaves::stop))
        .route("/v1/enclaves/{name}/token", post(enclaves::token))
        .route("/v1/enclaves/{name}/logs", get(enclaves::logs))
        .route("/v1/enclaves/{name}/stages", get(stages::follow))
        .fallback(meta::no_such_route)
        .method_not_allowed_fallback(meta::method_not_allowed)
        .layer(axum::middleware::from_fn(refusal::answer))
        .with_state(shared)
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
