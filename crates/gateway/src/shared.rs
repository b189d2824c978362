//! What all routes share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ::factors::SealingKey;
use anyhow::Context as _;
use packing::Blobs;
use passwords::{Hasher, Rules};
use server::Tasks;
pub(crate) use server::clock::now;
use store::Store;
use tokio::sync::Semaphore;

use crate::controller::Controller;
use crate::key_ring::{KeyRing, MakeTokenKey};
use crate::licenses::LicenseSigner;
use crate::limits::Limits;
use crate::marks::Marks;
use crate::refused_logins::RefusedLogins;
use crate::stages::Stages;
use crate::timeouts::Timeouts;
use crate::tokens::Tokens;
use crate::witness::Witness;
use crate::{Config, Lives, Origin};

/// The service's name, which is no password.
const SERVICE: &str = "sealwright";
/// Uploads that are written at one time.
const UPLOADS: usize = 16;
/// Requests to each other provider at one time.
const OUTWARD: usize = 16;

/// What all routes share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) hasher: Hasher,
    pub(crate) sealing: SealingKey,
    pub(crate) origin: Origin,
    pub(crate) providers: Vec<::oidc::Provider>,
    /// Places for requests to those, by provider.
    pub(crate) outward: HashMap<String, Semaphore>,
    pub(crate) limits: Limits,
    pub(crate) marks: Marks,
    pub(crate) refused_logins: RefusedLogins,
    pub(crate) tokens: Tokens,
    pub(crate) controller: Controller,
    pub(crate) stages: Stages,
    pub(crate) edge: String,
    pub(crate) witness: Witness,
    pub(crate) lives: Lives,
    pub(crate) timeouts: Timeouts,
    pub(crate) quota: store::Quota,
    pub(crate) licenses: LicenseSigner,
    pub(crate) default_app: Option<workload::AppName>,
    pub(crate) tasks: Tasks,
}

impl Shared {
    pub(crate) async fn build(
        config: Config,
        origin: Origin,
        store: Store,
        token_keys: MakeTokenKey,
        tasks: Tasks,
    ) -> anyhow::Result<Self> {
        let settings = config.settings;
        let quota = settings.limits_of_starts();
        let blobs = Blobs::open_dir(&config.blobs).context("blobs folder")?;
        blobs.remove_leftovers().context("blobs folder")?;
        let ring = KeyRing::start(token_keys, &store, config.jwks, settings.token_keys)
            .await
            .context("token key")?;
        let tokens = Tokens::new(ring, &config.trust_domain);
        let rules = Rules::new(SERVICE, settings.passwords.breached);
        let hasher = Hasher::start(settings.hashing, rules).await.context("hash the stand-in password")?;
        let limits = Limits::new(settings.limits)?;
        let sealing =
            SealingKey::open_or_make(&config.factors.key_file).context("key file of second factors")?;
        let licenses = LicenseSigner::open(&config.license_key, &store).await?;
        let providers = config.factors.providers.into_iter().map(::oidc::Provider::new);
        let providers = providers.collect::<Result<Vec<_>, _>>().context("providers of sign-ins")?;
        let outward = providers.iter().map(|provider| (provider.id().to_owned(), Semaphore::new(OUTWARD)));
        let outward = outward.collect();
        let witness = Witness::new(&config.edge)?;
        let refused_logins = RefusedLogins::start(store.clone(), &tasks);
        Ok(Self {
            store,
            blobs,
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            hasher,
            sealing,
            origin,
            providers,
            outward,
            limits,
            marks: Marks::default(),
            refused_logins,
            tokens,
            controller: Controller::new(&config.controller),
            stages: Stages::default(),
            edge: config.edge,
            witness,
            lives: settings.lives,
            timeouts: settings.timeouts,
            quota,
            licenses,
            default_app: settings.default_app,
            tasks,
        })
    }
}

/// Unix milliseconds.
pub(crate) fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Random bytes of the kernel.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
