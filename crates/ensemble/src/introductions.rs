//! How parts that run alone get their certificates: by a folder that only their operator can open.
//!
//! A part makes its key in memory and leaves the public half in the folder; the signer certifies the parts that its
//! configuration names and leaves the chain. Who can write there can already open the parts' sockets; no secret passes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use attested_tls::LocalKey;
use names::Part;
use pki::{Certificate, SigningKey};
use server::Tasks;
use signer::{Ca, Clock};

/// Between two looks into the folder.
const LOOK: Duration = Duration::from_millis(200);
/// How long a part waits for its signer.
const PATIENCE: Duration = Duration::from_secs(300);
/// A chain is made anew when less than this of its life is left, in seconds.
const RENEW_BEFORE: u64 = 5 * 86_400;
/// Largest file in the folder.
const MAX_FILE: u64 = 64 << 10;

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Introductions {
    folder: PathBuf,
}

impl Introductions {
    /// Opens the folder; one that others can open is refused.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let metadata =
            std::fs::metadata(folder).with_context(|| format!("open folder {}", folder.display()))?;
        if !metadata.is_dir() || metadata.permissions().mode() & 0o077 != 0 {
            bail!("{} must be a folder that only its owner can open: chmod 700", folder.display());
        }
        Ok(Self { folder: folder.to_path_buf() })
    }

    fn key(&self, part: Part) -> PathBuf {
        self.folder.join(format!("{}.spki", part.as_str()))
    }

    fn chain(&self, part: Part) -> PathBuf {
        self.folder.join(format!("{}.pem", part.as_str()))
    }

    /// Leaves a part's public key, and waits for the chain that is about it.
    pub(crate) async fn introduce(&self, part: Part, key: &LocalKey) -> Result<Vec<Vec<u8>>> {
        write(&self.key(part), key.public_key_spki())?;
        let wait = async {
            loop {
                if let Some(chain) = self.read_chain(part)?
                    && chain.first().is_some_and(|leaf| leaf.spki() == key.public_key_spki())
                {
                    return Ok(chain.iter().map(|certificate| certificate.der().to_vec()).collect());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.with_context(|| format!("no signer has certified the {} in time", part.as_str()))?
    }

    fn read_chain(&self, part: Part) -> Result<Option<Vec<Certificate>>> {
        let Some(pem) = read(&self.chain(part))? else { return Ok(None) };
        let pem = String::from_utf8(pem).context("a chain is not PEM")?;
        Ok(Some(Certificate::all_from_pem(&pem).context("a chain is not PEM")?))
    }

    /// Certifies the named parts as they introduce themselves, and again before their certificates end.
    pub(crate) fn answer(self, ca: Arc<Ca>, clock: Clock, parts: Vec<Part>, tasks: &Tasks) {
        tasks.spawn_cancellable(async move {
            loop {
                for part in &parts {
                    if let Err(error) = self.answer_one(&ca, &clock, *part) {
                        tracing::error!(part = part.as_str(), error = format!("{error:#}"), "not certified");
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        });
    }

    fn answer_one(&self, ca: &Ca, clock: &Clock, part: Part) -> Result<()> {
        let Some(spki) = read(&self.key(part))? else { return Ok(()) };
        let now = clock();
        let fresh = self.read_chain(part)?.is_some_and(|chain| {
            let good = |leaf: &Certificate| {
                leaf.spki() == spki && leaf.not_after().saturating_sub(now) > RENEW_BEFORE
            };
            let ours = chain.last().is_some_and(|top| top.der() == ca.root().der());
            ours && chain.first().is_some_and(good)
        });
        if fresh {
            return Ok(());
        }
        let dns_names: &[&str] = if part == Part::Gateway { &["localhost"] } else { &[] };
        let leave = ca.authorize_part(part, &spki, dns_names);
        let chain = ca.certify_part(&leave, now).context("certify")?;
        let mut pem = String::new();
        for der in &chain {
            pem.push_str(&Certificate::from_der(der).context("read our own certificate")?.to_pem());
        }
        tracing::info!(part = part.as_str(), "certified");
        write(&self.chain(part), pem.as_bytes())
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("look at {}", path.display())),
        Ok(metadata) if metadata.len() > MAX_FILE => bail!("{} is too large", path.display()),
        Ok(_) => {}
    }
    Ok(Some(std::fs::read(path).with_context(|| format!("read {}", path.display()))?))
}

/// Whole or not at all, so that the other side never reads a half.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, bytes).with_context(|| format!("write {}", fresh.display()))?;
    std::fs::rename(&fresh, path).with_context(|| format!("write {}", path.display()))
}
