//! The facade's certificate: asked for with the key that was made here, renewed before it ends.
//!
//! Invariant: a connection keeps the certificate that its client saw; the next ones get the new one.

use std::time::Duration;

use api::node::{CertifyRequest, RegisterKey};
use attested_tls::{Acceptor, CertificateSlot, ClientCertificates, LocalKey, NoServerName, TlsError};
use base64ct::{Base64, Encoding};
use names::Digest;
use node_api::{CallError, Node};
use pki::{Certificate, CertificateError, SigningError, SigningKey};
pub(crate) use server::clock::now;
use server::telemetry::chain;
use tokio::sync::watch;
use tracing::{info, warn};

/// Certificates in a chain.
const MAX_CHAIN: usize = 4;
/// Bytes of one certificate in base64.
const MAX_CERTIFICATE_TEXT: usize = 16 * 1024;
/// The wall clock is looked at again after this, because timers stand still in a suspended machine.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// After a renewal that did not work: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The agent, or the signer behind it.
    #[error(transparent)]
    Agent(#[from] CallError),
    /// The key did not sign the request.
    #[error("sign the certificate request")]
    Request(#[from] SigningError),
    /// The chain is empty, too long or not base64.
    #[error("certificate chain is malformed")]
    Chain,
    /// One of its certificates.
    #[error("certificate in the chain")]
    Certificate(#[from] CertificateError),
    /// It is for another key or another name, or has ended.
    #[error("the certificate is not the one that was asked for")]
    Other,
    /// TLS can't use it.
    #[error("serve the certificate")]
    Tls(#[from] TlsError),
}

impl IdentityError {
    /// The stable code of whoever refused: the signer's or the agent's.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Agent(CallError::Refused { code, .. }) => Some(code),
            Self::Agent(_) => Some("agent-unreachable"),
            Self::Request(_) | Self::Chain | Self::Certificate(_) | Self::Other | Self::Tls(_) => None,
        }
    }
}

/// A certificate in use.
#[derive(Clone)]
pub struct Identity {
    acceptor: Acceptor,
    certificate: Digest,
    renew_at: u64,
}

impl Identity {
    /// Accepts connections under this certificate.
    #[must_use]
    pub const fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// SHA-256 of the leaf.
    #[must_use]
    pub const fn certificate(&self) -> Digest {
        self.certificate
    }
}

/// Gets certificates for one key and one name.
#[derive(Debug, Clone)]
pub struct Certifier {
    node: Node,
    key: LocalKey,
    dns_name: String,
}

impl Certifier {
    /// Asks this agent.
    #[must_use]
    pub const fn new(node: Node, key: LocalKey, dns_name: String) -> Self {
        Self { node, key, dns_name }
    }

    /// Registers the key with the agent, which pins it, and gets the first certificate.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn first(&self) -> Result<Identity, IdentityError> {
        let spki = Base64::encode_string(self.key.public_key_spki());
        self.node.register_key(&RegisterKey { spki }).await?;
        self.certify().await
    }

    /// Renews at two thirds of each certificate's life, until nobody accepts connections any more.
    pub async fn keep(&self, identity: watch::Sender<Identity>) {
        let mut pause = FIRST_PAUSE;
        while !identity.is_closed() {
            let left = identity.borrow().renew_at.saturating_sub(now());
            if left > 0 {
                tokio::time::sleep(LONGEST_SLEEP.min(Duration::from_secs(left))).await;
                continue;
            }
            match self.certify().await {
                Ok(renewed) => {
                    info!(certificate = %renewed.certificate, "certificate renewed");
                    identity.send_replace(renewed);
                    pause = FIRST_PAUSE;
                }
                Err(error) => {
                    warn!(error = %chain(&error), "certificate not renewed");
                    tokio::time::sleep(pause).await;
                    pause = LAST_PAUSE.min(pause * 2);
                }
            }
        }
    }

    async fn certify(&self) -> Result<Identity, IdentityError> {
        let csr = Base64::encode_string(&pki::csr::build(&self.key, &self.dns_name)?);
        let answer = self.node.certify(&CertifyRequest { csr }).await?;
        let chain = decode(&answer.chain)?;
        let leaf = chain.first().ok_or(IdentityError::Chain)?;
        let now = now();
        let ours = leaf.spki() == self.key.public_key_spki()
            && leaf.dns_names() == [self.dns_name.as_str()]
            && leaf.not_after() > now;
        if !ours {
            return Err(IdentityError::Other);
        }
        let slot = CertificateSlot::new(NoServerName::Refuse);
        slot.install(&self.key, &served(&chain))?;
        Ok(Identity {
            acceptor: Acceptor::new(slot, ClientCertificates::Required)?,
            certificate: Digest::from_bytes(leaf.sha256()),
            renew_at: renewal_time(now, leaf.not_after()),
        })
    }
}

fn decode(chain: &[String]) -> Result<Vec<Certificate>, IdentityError> {
    if chain.is_empty() || chain.len() > MAX_CHAIN {
        return Err(IdentityError::Chain);
    }
    let one = |text: &String| {
        let short = text.len() <= MAX_CERTIFICATE_TEXT;
        let der = short.then(|| Base64::decode_vec(text).ok()).flatten().ok_or(IdentityError::Chain)?;
        Ok(Certificate::from_der(&der)?)
    };
    chain.iter().map(one).collect()
}

/// Everything but the root, which whoever trusts it has (RFC 8446 4.4.2).
fn served(chain: &[Certificate]) -> Vec<&[u8]> {
    let needed = |(index, certificate): &(usize, &Certificate)| {
        *index == 0 || certificate.issuer() != certificate.subject()
    };
    chain.iter().enumerate().filter(needed).map(|(_, certificate)| certificate.der()).collect()
}

/// Two thirds of what is left, and at least a second from now.
const fn renewal_time(now: u64, not_after: u64) -> u64 {
    let wait = not_after.saturating_sub(now) / 3 * 2;
    now.saturating_add(if wait == 0 { 1 } else { wait })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_at_two_thirds_and_never_at_once() {
        assert_eq!(renewal_time(1000, 1000 + 86_400), 1000 + 57_600);
        assert_eq!(renewal_time(1000, 1003), 1002);
        assert_eq!(renewal_time(1000, 1001), 1001);
        assert_eq!(renewal_time(1000, 900), 1001);
    }
}
