//! Certificates for the parts of the control plane, renewed before they end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use attested_tls::{CertificateSlot, LocalKey, NoServerName};
use names::Part;
use pki::SigningKey;
use server::Tasks;
use signer::{Ca, Clock};
use tokio::sync::watch;
use verifier::Identity;

/// A third of a part certificate's seven days.
pub(crate) const RENEW: Duration = Duration::from_secs(2 * 86_400);

/// The verifier's identity, renewed as long as the tasks run.
pub(crate) fn verifier_identity(
    ca: &Arc<Ca>,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<watch::Receiver<Identity>> {
    let (sender, receiver) = watch::channel(new_identity(ca, clock)?);
    let (ca, clock) = (Arc::clone(ca), Arc::clone(clock));
    tasks.spawn_cancellable(async move {
        loop {
            tokio::time::sleep(RENEW).await;
            match new_identity(&ca, &clock) {
                Ok(identity) => drop(sender.send(identity)),
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "verifier's certificate not renewed")
                }
            }
        }
    });
    Ok(receiver)
}

fn new_identity(ca: &Ca, clock: &Clock) -> Result<Identity> {
    let key = LocalKey::generate().context("make the verifier's key")?;
    let leave = ca.authorize_part(Part::Verifier, key.public_key_spki(), &[]);
    let chain = ca.certify_part(&leave, clock()).context("certify the verifier")?;
    Ok(Identity { key, chain: chain.to_vec() })
}

/// The gateway's certificate, renewed as long as the tasks run. It is dialled by address, so no server name is served too.
pub(crate) fn gateway_certificate(
    ca: &Arc<Ca>,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<Arc<CertificateSlot>> {
    let slot = CertificateSlot::new(NoServerName::Serve);
    install(&slot, ca, clock)?;
    let (ca, clock, renewed) = (Arc::clone(ca), Arc::clone(clock), Arc::clone(&slot));
    tasks.spawn_cancellable(async move {
        loop {
            tokio::time::sleep(RENEW).await;
            if let Err(error) = install(&renewed, &ca, &clock) {
                tracing::error!(error = format!("{error:#}"), "gateway's certificate not renewed");
            }
        }
    });
    Ok(slot)
}

fn install(slot: &CertificateSlot, ca: &Ca, clock: &Clock) -> Result<()> {
    let key = LocalKey::generate().context("make the gateway's key")?;
    let leave = ca.authorize_part(Part::Gateway, key.public_key_spki(), &["localhost"]);
    let chain = ca.certify_part(&leave, clock()).context("certify the gateway")?;
    slot.install(&key, &chain).context("install the gateway's certificate")
}

/// Makes the gateway's token keys, in memory.
pub(crate) fn token_keys() -> gateway::MakeTokenKey {
    Arc::new(|| Ok(Arc::new(LocalKey::generate()?)))
}
