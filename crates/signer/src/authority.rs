//! The authority itself: a root whose key signs seldom, an issuing key that signs for a day and is then forgotten.
//!
//! Invariant: every function that issues takes the proof that it issues against; there is no other way.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use appraisal::Trusted;
use attested_tls::{KeyError, LocalKey};
use evidence::Purpose;
use names::{Part, TrustDomain};
use pki::{
    Certificate, CertificateError, IssueError, Issuer, Serial, SigningKey, Validity, csr::Csr,
    enrolment::Enrolment, profile,
};
use tpm2::PublicArea;

use crate::files;

const ROOT: &str = "root.der";
/// A new issuing key is made when the present one has signed for half its life.
pub(crate) const RENEW_AFTER: u64 = profile::ISSUING_KEY_LIFE / 2;

/// DER certificates, leaf first, root last.
pub type Chain = Vec<Vec<u8>>;

/// Why the authority can't be opened, or did not issue.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The root's certificate could not be read or written.
    #[error("root certificate file")]
    File(#[source] std::io::Error),
    /// The root's certificate is not one.
    #[error("root certificate")]
    Root(#[source] CertificateError),
    /// The root's certificate is for another key than the one in the TPM.
    #[error("root certificate belongs to another key")]
    RootKey,
    /// No issuing key could be made.
    #[error("issuing key")]
    IssuingKey(#[source] KeyError),
    /// The issuing key has signed for a whole day and was not renewed.
    #[error("issuing key is too old")]
    IssuingKeyExpired,
    /// The system gave no random bytes.
    #[error("no random bytes for a serial number")]
    Random,
    /// The proof is not one for this certificate.
    #[error("proof is not for this certificate")]
    Proof,
    /// The certificate does not fit its profile.
    #[error("issue")]
    Issue(#[from] IssueError),
}

struct Issuing {
    key: LocalKey,
    certificate: Certificate,
    made_at: u64,
}

/// Leave for one part of the control plane to have a certificate. Made only by [`Ca::authorize_part`]: no message that
/// arrives over a socket turns into one.
pub struct Authorized {
    part: Part,
    spki: Vec<u8>,
    dns_names: Vec<String>,
}

/// The certificate authority.
pub struct Ca {
    trust_domain: TrustDomain,
    root_key: Box<dyn SigningKey>,
    root: Certificate,
    issuing: RwLock<Arc<Issuing>>,
}

impl Ca {
    /// Opens the authority in `folder` with its root key, and makes an issuing key. The root's certificate is made the
    /// first time. Blocks while the root key signs: not for async tasks.
    pub fn open(
        root_key: Box<dyn SigningKey>,
        folder: &Path,
        trust_domain: TrustDomain,
        now: u64,
    ) -> Result<Self, CaError> {
        let root = open_root(root_key.as_ref(), folder, &trust_domain, now)?;
        let issuing = new_issuing(&root, root_key.as_ref(), &trust_domain, now)?;
        Ok(Self { trust_domain, root_key, root, issuing: RwLock::new(Arc::new(issuing)) })
    }

    /// The root's certificate: the anchor of everything that we issue.
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Replaces the issuing key. Blocks while the root key signs: not for async tasks.
    pub fn renew(&self, now: u64) -> Result<(), CaError> {
        let issuing = new_issuing(&self.root, self.root_key.as_ref(), &self.trust_domain, now)?;
        *self.issuing.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(issuing);
        Ok(())
    }

    /// When the issuing key should be renewed, unix seconds.
    pub fn renew_at(&self) -> u64 {
        self.issuing.read().unwrap_or_else(PoisonError::into_inner).made_at.saturating_add(RENEW_AFTER)
    }

    /// Leave for a part to have a certificate for its key. Called by the tool that composes the parts.
    pub fn authorize_part(&self, part: Part, spki: &[u8], dns_names: &[&str]) -> Authorized {
        let dns_names = dns_names.iter().map(|name| (*name).to_owned()).collect();
        Authorized { part, spki: spki.to_vec(), dns_names }
    }

    /// Certifies a part's key for seven days.
    pub fn certify_part(&self, leave: &Authorized, now: u64) -> Result<Chain, CaError> {
        let names: Vec<&str> = leave.dns_names.iter().map(String::as_str).collect();
        let profile = profile::Part { part: leave.part, trust_domain: &self.trust_domain, dns_names: &names };
        self.issue(now, |issuer, serial| {
            profile.issue(issuer, &leave.spki, Validity::starting(now, profile::PART_LIFE), serial)
        })
    }

    /// Certifies an enclave's key for a day, against evidence of purpose `issue` about exactly this request.
    pub fn certify_enclave(
        &self,
        trusted: &Trusted,
        csr: &Csr,
        dns_name: &str,
        now: u64,
    ) -> Result<Chain, CaError> {
        let statement = &trusted.facts().statement;
        let enclave = statement.enclave.as_ref().ok_or(CaError::Proof)?;
        let about_this_request = statement.purpose == Purpose::Issue
            && statement.request.is_some_and(|request| *request.as_bytes() == csr.sha256())
            && *enclave.spki.as_bytes() == csr.spki_sha256();
        if !about_this_request {
            return Err(CaError::Proof);
        }
        let id = self.trust_domain.enclave(&enclave.id);
        let profile = profile::Facade { dns_name, enclave: &id };
        self.issue(now, |issuer, serial| {
            profile.issue(issuer, csr.spki(), Validity::starting(now, profile::FACADE_LIFE), serial)
        })
    }

    /// Certifies an attestation key for seven days, against the verifier's word that it was activated.
    pub fn certify_attestation_key(
        &self,
        enrolment: &Enrolment,
        public: &PublicArea,
        now: u64,
    ) -> Result<Chain, CaError> {
        if enrolment.claims().ak_name != names::hex(public.name().as_bytes()) {
            return Err(CaError::Proof);
        }
        let spki = public.spki_der().map_err(|_| CaError::Proof)?;
        let profile =
            profile::AttestationKey { node: &enrolment.claims().node, purpose: enrolment.purpose() };
        self.issue(now, |issuer, serial| {
            profile.issue(issuer, &spki, Validity::starting(now, profile::ATTESTATION_KEY_LIFE), serial)
        })
    }

    fn issue(
        &self,
        now: u64,
        sign: impl FnOnce(&Issuer<'_>, Serial) -> Result<Certificate, IssueError>,
    ) -> Result<Chain, CaError> {
        let issuing = self.issuing.read().unwrap_or_else(PoisonError::into_inner).clone();
        if now > issuing.made_at.saturating_add(profile::ISSUING_KEY_LIFE) {
            return Err(CaError::IssuingKeyExpired);
        }
        let issuer = Issuer::new(&issuing.certificate, &issuing.key)?;
        let leaf = sign(&issuer, serial()?)?;
        Ok([&leaf, &issuing.certificate, &self.root].map(|certificate| certificate.der().to_vec()).into())
    }
}

fn open_root(
    key: &dyn SigningKey,
    folder: &Path,
    trust_domain: &TrustDomain,
    now: u64,
) -> Result<Certificate, CaError> {
    files::create_folder(folder).map_err(CaError::File)?;
    let path = folder.join(ROOT);
    if let Some(der) = files::read(&path).map_err(CaError::File)? {
        let root = Certificate::from_der(&der).map_err(CaError::Root)?;
        return if root.spki() == key.public_key_spki() { Ok(root) } else { Err(CaError::RootKey) };
    }
    let name = common_name("Sealwright Root", trust_domain);
    let validity = Validity::starting(now, profile::ROOT_LIFE);
    let root = profile::Root { common_name: &name }.issue(key, validity, serial()?)?;
    files::write(&path, root.der()).map_err(CaError::File)?;
    Ok(root)
}

fn new_issuing(
    root: &Certificate,
    root_key: &dyn SigningKey,
    trust_domain: &TrustDomain,
    now: u64,
) -> Result<Issuing, CaError> {
    let key = LocalKey::generate().map_err(CaError::IssuingKey)?;
    let name = common_name("Sealwright Issuing", trust_domain);
    let certificate = profile::Issuing { common_name: &name }.issue(
        &Issuer::new(root, root_key)?,
        key.public_key_spki(),
        Validity::starting(now, profile::ISSUING_LIFE),
        serial()?,
    )?;
    tracing::info!(spki_sha256 = %names::hex(&certificate.spki_sha256()), "new issuing key");
    Ok(Issuing { key, certificate, made_at: now })
}

/// The trust domain may be longer than a common name (RFC 5280, ub-common-name: 64 characters).
fn common_name(what: &str, trust_domain: &TrustDomain) -> String {
    format!("{what} {trust_domain}").chars().take(64).collect()
}

fn serial() -> Result<Serial, CaError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| CaError::Random)?;
    Ok(Serial::from_random(random))
}
