//! The signer over gRPC: challenges, and certificates against what answers them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use appraisal::{Policy, Trusted, Versions, appraise};
use evidence::{Anchor, Audience, Challenge, Evidence, Expectation, Rejected, Roots, Statement};
use names::{Digest, Part, SpiffeId};
use pki::{csr::Csr, enrolment, profile::KeyPurpose};
use proto::v1::{
    CertificateChain, CertifyAttestationKeyRequest, CertifyEnclaveRequest, NewChallengeRequest,
    NewChallengeResponse,
    signer_server::{Signer as SignerRpc, SignerServer},
};
use server::Tasks;
use tonic::{Request, Response, Status};
use tpm2::PublicArea;

use crate::{
    authority::{Ca, Chain},
    config::Config,
    nonces::{CHALLENGE_LIFE, Challenges, Seen, Sight},
    refusal::Refusal,
};

/// Deadline of one request.
const DEADLINE: Duration = Duration::from_secs(20);
/// Requests at the same time on one connection.
const MAX_CONCURRENT: usize = 64;
/// Pause before another attempt to renew the issuing key.
const RETRY: Duration = Duration::from_secs(60);

/// Unix seconds; given by the caller so that tests have their own.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(server::clock::now)
}

/// Serves the authority on its socket until the drain, and renews its issuing key meanwhile.
pub fn serve(ca: Arc<Ca>, config: &Config, clock: Clock, tasks: &Tasks) -> anyhow::Result<()> {
    use anyhow::Context;
    let incoming = proto::serve_socket(&config.socket)
        .with_context(|| format!("listen on {}", config.socket.display()))?;
    let service = SignerServer::new(Signer::new(ca.clone(), config, clock.clone()))
        .max_decoding_message_size(evidence::MAX_MESSAGE);
    let router = proto::server()
        .timeout(DEADLINE)
        .concurrency_limit_per_connection(MAX_CONCURRENT)
        .add_service(service);
    proto::serve("signer", router, incoming, tasks);
    tasks.spawn_cancellable(renew(ca, clock));
    Ok(())
}

async fn renew(ca: Arc<Ca>, clock: Clock) {
    loop {
        let wait = ca.renew_at().saturating_sub(clock());
        if wait > 0 {
            // Never longer than an hour at once, because a suspended machine's timers lag behind its clock.
            tokio::time::sleep(Duration::from_secs(wait.min(3600))).await;
            continue;
        }
        let (renewing, now) = (ca.clone(), clock());
        match tokio::task::spawn_blocking(move || renewing.renew(now)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(error = %server::telemetry::chain(&error), "issuing key not renewed");
                tokio::time::sleep(RETRY).await;
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

struct Rules {
    audience: SpiffeId,
    roots: Roots,
    policy: Policy,
    enclaves_suffix: String,
}

/// The service. In process it is called through [`Signer::certify_enclave`] and its relatives like over the socket.
pub struct Signer {
    ca: Arc<Ca>,
    clock: Clock,
    rules: Arc<Rules>,
    challenges: Mutex<Challenges>,
    enrolments: Mutex<Seen>,
}

impl Signer {
    /// A signer of this authority.
    pub fn new(ca: Arc<Ca>, config: &Config, clock: Clock) -> Self {
        let anchor =
            Anchor { name: "operator CA".into(), certificate: ca.root().clone(), level: config.root_level };
        let policy =
            Policy { min_level: config.min_level, pcrs: config.pcrs.clone(), ..Policy::new(Versions::Any) };
        let rules = Rules {
            audience: ca.trust_domain().part(Part::Signer),
            roots: Roots::new(vec![anchor]),
            policy,
            enclaves_suffix: format!(".{}", config.enclaves_domain),
        };
        Self { ca, clock, rules: Arc::new(rules), challenges: Mutex::default(), enrolments: Mutex::default() }
    }

    /// A fresh nonce, good for one request within a minute.
    pub fn new_challenge(&self) -> Result<[u8; 32], Refusal> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|_| Refusal::Task)?;
        lock(&self.challenges).add(nonce, (self.clock)()).map_err(|_| Refusal::TooManyChallenges)?;
        Ok(nonce)
    }

    /// A certificate for an enclave's key. The challenge is used up, whatever the answer.
    pub async fn certify_enclave(&self, csr: &[u8], json: Vec<u8>, dns_name: &str) -> Result<Chain, Refusal> {
        let now = (self.clock)();
        let (evidence, nonce) = read_evidence(json).await?;
        let made_at = lock(&self.challenges).take(&nonce, now).ok_or(Refusal::UnknownChallenge)?;
        let csr = Csr::from_der(csr)?;
        check_name(dns_name, &self.rules.enclaves_suffix)?;
        let expectation = Expectation::Issue {
            csr: Digest::from_bytes(csr.sha256()),
            spki: Digest::from_bytes(csr.spki_sha256()),
        };
        let audience = Audience::Service(self.rules.audience.clone());
        let challenge = Challenge::new(nonce, made_at, CHALLENGE_LIFE, audience, expectation);
        let trusted = judge(self.rules.clone(), challenge, evidence, now).await?;
        let chain = self.ca.certify_enclave(&trusted, &csr, dns_name, now)?;
        let enclave = trusted.facts().statement.enclave.as_ref().map(|claim| claim.id.to_string());
        tracing::info!(enclave, dns_name, level = %trusted.level(), "enclave certified");
        Ok(chain)
    }

    /// A certificate for an attestation key, against the verifier's word; the word is used up if it is valid.
    pub fn certify_attestation_key(
        &self,
        public_area: &[u8],
        purpose: &str,
        node: &str,
        token: &str,
    ) -> Result<Chain, Refusal> {
        let now = (self.clock)();
        let enrolment = enrolment::verify(token, self.rules.roots.certificates(), now)?;
        let claims = enrolment.claims();
        match lock(&self.enrolments).first(&claims.jti, claims.exp, now) {
            Sight::First => {}
            Sight::Again => return Err(Refusal::EnrolmentUsed),
            Sight::Full => return Err(Refusal::TooManyChallenges),
        }
        let purpose = KeyPurpose::from_name(purpose).ok_or(Refusal::Purpose)?;
        let public = PublicArea::parse(public_area).map_err(|_| Refusal::PublicArea)?;
        public.check_restricted_signing_key()?;
        let about_this_key = enrolment.purpose() == purpose
            && claims.node.as_str() == node
            && claims.ak_name == names::hex(public.name().as_bytes());
        if !about_this_key {
            return Err(Refusal::EnrolmentMismatch);
        }
        let chain = self.ca.certify_attestation_key(&enrolment, &public, now)?;
        tracing::info!(node, purpose = purpose.as_str(), level = %claims.level, "attestation key certified");
        Ok(chain)
    }
}

#[tonic::async_trait]
impl SignerRpc for Signer {
    async fn new_challenge(
        &self,
        _request: Request<NewChallengeRequest>,
    ) -> Result<Response<NewChallengeResponse>, Status> {
        let nonce = Self::new_challenge(self)?.to_vec();
        Ok(Response::new(NewChallengeResponse { nonce, audience: self.rules.audience.to_string() }))
    }

    async fn certify_enclave(
        &self,
        request: Request<CertifyEnclaveRequest>,
    ) -> Result<Response<CertificateChain>, Status> {
        let CertifyEnclaveRequest { csr, evidence, dns_name } = request.into_inner();
        let certificates = Self::certify_enclave(self, &csr, evidence, &dns_name).await?;
        Ok(Response::new(CertificateChain { certificates }))
    }

    async fn certify_attestation_key(
        &self,
        request: Request<CertifyAttestationKeyRequest>,
    ) -> Result<Response<CertificateChain>, Status> {
        let CertifyAttestationKeyRequest { public_area, purpose, node, enrolment } = request.into_inner();
        let certificates = Self::certify_attestation_key(self, &public_area, &purpose, &node, &enrolment)?;
        Ok(Response::new(CertificateChain { certificates }))
    }
}

/// Parsing and verifying are work for a thread that may be busy.
async fn read_evidence(json: Vec<u8>) -> Result<(Evidence, [u8; 32]), Refusal> {
    let read = move || {
        let evidence = Evidence::from_json(&json)?;
        let statement = Statement::parse(&evidence.statement.0).map_err(|_| Rejected::StatementMalformed)?;
        Ok((evidence, statement.nonce))
    };
    tokio::task::spawn_blocking(read).await.map_err(|_| Refusal::Task)?
}

async fn judge(
    rules: Arc<Rules>,
    challenge: Challenge,
    evidence: Evidence,
    now: u64,
) -> Result<Trusted, Refusal> {
    let judge = move || {
        let verified = evidence::verify(challenge, &evidence, &rules.roots, now)?;
        Ok(appraise(&rules.policy, verified)?)
    };
    tokio::task::spawn_blocking(judge).await.map_err(|_| Refusal::Task)?
}

/// One label below the enclaves' domain; the profile checks that the label is a label.
fn check_name(name: &str, suffix: &str) -> Result<(), Refusal> {
    match name.strip_suffix(suffix) {
        Some(label) if !label.is_empty() && !label.contains('.') => Ok(()),
        Some(_) | None => Err(Refusal::DnsName),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
