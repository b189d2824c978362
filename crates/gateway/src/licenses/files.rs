//! Licence files and the key that signs them. The key is made here, lies in a file that only this part reads, and can be exchanged; what the
//! old one signed stays in force until it ends.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use api::Code;
use api::licenses::{CheckOut, LicenseFile, LicenseKey, LicenseKeys};
use attested_tls::{Ed25519Key, KeyError};
use axum::extract::State;
use base64ct::{Base64UrlUnpadded, Encoding};
use licensing::{Dataset, Event, Expiration, Facts, Holder, MAX_KEYS, MAX_TTL, MIN_TTL, Scope, VerifyKey};
use store::Store;

use super::{IdPath, find};
use crate::extract::{Admin, Caller, Json};
use crate::refusal::Refusal;
use crate::seen::Seen;
use crate::shared::{Shared, now};

/// Life of a file where nothing is asked for, in seconds. Nothing takes a file back before.
const DEFAULT_TTL: u64 = 86_400;

/// The key that signs licence files.
pub(crate) struct LicenseSigner {
    path: PathBuf,
    key: RwLock<Ed25519Key>,
}

impl LicenseSigner {
    /// Loads the key, or makes it at the first start, and makes its public half known.
    pub(crate) async fn open(path: &Path, store: &Store) -> anyhow::Result<Self> {
        let key = match Ed25519Key::load(path) {
            Err(KeyError::File(error)) if error.kind() == io::ErrorKind::NotFound => {
                let key = Ed25519Key::generate().context("make the key of license files")?;
                key.save(path).with_context(|| format!("write {}", path.display()))?;
                key
            }
            loaded => loaded.with_context(|| format!("load {}", path.display()))?,
        };
        store
            .publish_license_key(&verify_key(&key), now())
            .await
            .context("publish the key of license files")?;
        Ok(Self { path: path.to_path_buf(), key: RwLock::new(key) })
    }

    fn current(&self) -> Ed25519Key {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a new key and forgets the old one, whose public half stays known until its last file has ended.
    async fn rotate(&self, store: &Store) -> Result<(), Refusal> {
        let (old, new) = (self.current(), Ed25519Key::generate().map_err(Refusal::internal)?);
        // Known before it signs; kept before it signs; only then the old one ends.
        store.publish_license_key(&verify_key(&new), now()).await?;
        new.save(&self.path).map_err(Refusal::internal)?;
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = new;
        let retires_at = now().saturating_add(MAX_TTL);
        store.retire_license_key(&verify_key(&old), retires_at).await?;
        Ok(())
    }
}

fn verify_key(key: &Ed25519Key) -> VerifyKey {
    VerifyKey::from_bytes(*key.public_key())
}

/// `GET /.well-known/license-keys.json`
pub(super) async fn keys(State(shared): State<Arc<Shared>>) -> Result<axum::Json<LicenseKeys>, Refusal> {
    let limit = u32::try_from(MAX_KEYS).unwrap_or(u32::MAX);
    let known = shared.store.license_keys(now(), limit).await?;
    let keys = known.into_iter().map(|known| LicenseKey {
        kty: "OKP".into(),
        crv: "Ed25519".into(),
        alg: "EdDSA".into(),
        usage: "sig".into(),
        kid: known.key.id(),
        x: Base64UrlUnpadded::encode_string(known.key.as_bytes()),
    });
    Ok(axum::Json(LicenseKeys { keys: keys.collect() }))
}

/// `DELETE /v1/admin/license-keys/current`: a new key takes its place.
pub(super) async fn rotate(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    seen: Seen,
) -> Result<axum::Json<LicenseKeys>, Refusal> {
    shared.licenses.rotate(&shared.store).await?;
    let kid = verify_key(&shared.licenses.current()).id();
    shared.store.audit(seen.done(&admin.0.user, "license-key.rotate", &kid)).await?;
    tracing::info!(by = %admin.0.user, "the key of license files was exchanged");
    keys(State(shared)).await
}

/// `POST /v1/licenses/{id}/checkout`
pub(super) async fn check_out(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    path: IdPath,
    Json(request): Json<CheckOut>,
) -> Result<axum::Json<LicenseFile>, Refusal> {
    let owner_key = caller.certificate()?.key;
    let asked = request.ttl.unwrap_or(DEFAULT_TTL);
    if !(MIN_TTL..=MAX_TTL).contains(&asked) {
        return Err(Refusal::new(Code::Malformed, format!("ttl is {MIN_TTL} to {MAX_TTL} seconds")));
    }
    let facts = find(&shared, &caller, path).await?;
    let user = caller.user.to_string();
    let node = request.node.or(facts.license.node);
    let scope = Scope { user: Some(user.clone()), node, ..Scope::default() };
    let (id, issued) = (facts.license.id, now());
    let judged = licensing::validate(Some(&facts), &scope, issued);
    if !judged.valid {
        return Err(Refusal::license(judged.code));
    }
    let ttl = asked.min(left(&facts, issued));
    let key = shared.licenses.current();
    let entitlements: Vec<_> = facts.all_entitlements().cloned().collect();
    let holder = Holder { user, owner_key };
    let plan = facts.license.plan.clone();
    let dataset = Dataset::new(&verify_key(&key), id, plan, entitlements, holder, node, issued, ttl)
        .map_err(Refusal::internal)?;
    let enc = dataset.enc();
    let signature = key.sign(&licensing::signing_input(&enc)).map_err(Refusal::internal)?;
    // Told before it leaves: no file without its event.
    shared.store.use_license(&id, Some((Event::CheckedOut, &caller.user.to_string())), issued).await?;
    shared.store.audit(seen.done(&caller.user, "license.checkout", &id.to_string())).await?;
    let file = licensing::assemble(enc, &signature);
    Ok(axum::Json(LicenseFile { file, issued, expiry: dataset.expiry, ttl }))
}

/// Seconds for which a file may outlast this moment: not beyond the licence, where its end means something.
fn left(facts: &Facts, now: u64) -> u64 {
    let end = facts.license.ends_at(&facts.plan);
    match facts.plan.terms.expiration {
        Expiration::RestrictAccess | Expiration::RevokeAccess => {
            end.map_or(u64::MAX, |end| end.saturating_sub(now))
        }
        Expiration::MaintainAccess | Expiration::AllowAccess => u64::MAX,
    }
}
