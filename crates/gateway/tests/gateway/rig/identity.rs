//! Keys and certificates of people and of the gateway.

use std::sync::Arc;

use attested_tls::{CertificateSlot, LocalKey, NoServerName};
use names::Digest;
use pki::{Certificate, Issuer, Serial, SigningKey, Validity, profile};

use super::{now, trust_domain};

/// A person's own key and certificate.
#[derive(Clone)]
pub struct Identity {
    pub key: LocalKey,
    pub certificate: Certificate,
}

impl Identity {
    pub fn new(name: &str) -> Self {
        let key = LocalKey::generate().unwrap();
        let validity = Validity::starting(now(), 3600);
        let certificate = profile::User { common_name: name }.issue(&key, validity, serial()).unwrap();
        Self { key, certificate }
    }

    pub fn thumbprint(&self) -> Digest {
        Digest::from_bytes(self.certificate.sha256())
    }

    pub fn owner(&self) -> Digest {
        Digest::from_bytes(self.certificate.spki_sha256())
    }
}

pub fn serial() -> Serial {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    Serial::from_random(bytes)
}

/// Root, issuing authority and the gateway's own certificate, as the signer makes them.
pub(super) fn server_certificate() -> (Arc<CertificateSlot>, Certificate) {
    let (root_key, issuing_key, key) =
        (LocalKey::generate().unwrap(), LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
    let validity = || Validity::starting(now(), 3600);
    let root = profile::Root { common_name: "root" }.issue(&root_key, validity(), serial()).unwrap();
    let issuer = Issuer::new(&root, &root_key).unwrap();
    let issuing = profile::Issuing { common_name: "issuing" }
        .issue(&issuer, issuing_key.public_key_spki(), validity(), serial())
        .unwrap();
    let issuer = Issuer::new(&issuing, &issuing_key).unwrap();
    let part = profile::Part {
        part: names::Part::Gateway,
        trust_domain: &trust_domain(),
        dns_names: &["localhost"],
    };
    let leaf = part.issue(&issuer, key.public_key_spki(), validity(), serial()).unwrap();
    let slot = CertificateSlot::new(NoServerName::Serve);
    slot.install(&key, &[leaf.der(), issuing.der()]).unwrap();
    (slot, root)
}
