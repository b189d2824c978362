//! The verifier over gRPC: enrolment and rounds.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use appraisal::node::{NodePolicy, TrustedNode, appraise_node};
use evidence::{Anchor, Audience, Challenge, Evidence, Expectation, Rejected, Roots, Statement};
use names::{Level, Part, SpiffeId, TrustDomain};
use pki::{
    Certificate,
    enrolment::{EnrolmentClaims, MAX_ENROLMENT_LIFE},
    profile::KeyPurpose,
};
use proto::Channel;
use proto::v1::{
    self as wire, CertifiedKey, CertifyAttestationKeyRequest,
    signer_client::SignerClient,
    verifier_server::{Verifier as VerifierRpc, VerifierServer},
};
use server::Tasks;
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tpm2::credential::Randomness;
use zeroize::Zeroizing;

use crate::{
    config::Config,
    enrolment::{self, Begin, Candidate, Enrolled, KeyRandomness, SessionRandomness, Sessions},
    identity::Identity,
    nodes::Nodes,
    pins,
    refusal::Refusal,
    rounds::{ROUND_LIFE, Rounds},
    trust::EkTrust,
    verdict,
};

/// Deadline of one request.
const DEADLINE: Duration = Duration::from_secs(30);
/// Deadline of one question to the signer.
const SIGNER_DEADLINE: Duration = Duration::from_secs(10);
/// Requests at the same time on one connection.
const MAX_CONCURRENT: usize = 16;

/// Unix seconds; given by the caller so that tests have their own.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(server::clock::now)
}

/// What a verifier is made of.
pub struct Setup {
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// Who vouches for TPMs.
    pub ek_trust: EkTrust,
    /// What a node may run.
    pub policy: NodePolicy,
    /// The signer's root: attestation keys' certificates lead to it.
    pub root: Certificate,
    /// What a chain below that root is worth at most.
    pub root_level: Level,
    /// Folder of what the verifier remembers.
    pub directory: PathBuf,
    /// Where the signer listens.
    pub signer_socket: PathBuf,
    /// The verifier's own key and chain, renewed from outside.
    pub identity: watch::Receiver<Identity>,
    /// Unix seconds.
    pub clock: Clock,
}

impl Setup {
    /// Reads the files that the configuration names.
    pub fn load(
        config: &Config,
        root: Certificate,
        identity: watch::Receiver<Identity>,
    ) -> anyhow::Result<Self> {
        let policy = std::fs::read(&config.node_policy)
            .with_context(|| format!("read node policy {}", config.node_policy.display()))?;
        let policy = serde_json::from_slice(&policy)
            .with_context(|| format!("parse node policy {}", config.node_policy.display()))?;
        Ok(Self {
            trust_domain: config.trust_domain.clone(),
            ek_trust: EkTrust::load(config)?,
            policy,
            root,
            root_level: config.root_level,
            directory: config.directory.clone(),
            signer_socket: config.signer_socket.clone(),
            identity,
            clock: system_clock(),
        })
    }
}

/// Serves a verifier on a socket until the drain.
pub fn serve(verifier: Verifier, socket: &Path, tasks: &Tasks) -> anyhow::Result<()> {
    let incoming = proto::serve_socket(socket).with_context(|| format!("listen on {}", socket.display()))?;
    let service = VerifierServer::new(verifier).max_decoding_message_size(evidence::MAX_MESSAGE);
    let router = proto::server()
        .timeout(DEADLINE)
        .concurrency_limit_per_connection(MAX_CONCURRENT)
        .add_service(service);
    proto::serve("verifier", router, incoming, tasks);
    Ok(())
}

/// What does not change while the verifier runs.
struct Rules {
    trust_domain: TrustDomain,
    name: SpiffeId,
    ek_trust: EkTrust,
    policy: NodePolicy,
    roots: Roots,
}

/// The service.
pub struct Verifier {
    rules: Arc<Rules>,
    directory: PathBuf,
    identity: watch::Receiver<Identity>,
    signer: SignerClient<Channel>,
    clock: Clock,
    sessions: Mutex<Sessions>,
    rounds: Mutex<Rounds>,
    nodes: Mutex<Nodes>,
    // Held while pins are written: the file is never older than a pin that was answered.
    pinning: tokio::sync::Mutex<()>,
}

impl Verifier {
    /// A verifier of this setup; reads its pins.
    pub fn new(setup: Setup) -> anyhow::Result<Self> {
        let pins = pins::load(&setup.directory)
            .with_context(|| format!("pins of nodes in {}", setup.directory.display()))?;
        let anchor = Anchor { name: "operator CA".into(), certificate: setup.root, level: setup.root_level };
        let rules = Rules {
            name: setup.trust_domain.part(Part::Verifier),
            trust_domain: setup.trust_domain,
            ek_trust: setup.ek_trust,
            policy: setup.policy,
            roots: Roots::new(vec![anchor]),
        };
        Ok(Self {
            rules: Arc::new(rules),
            directory: setup.directory,
            identity: setup.identity,
            signer: SignerClient::new(proto::connect(&setup.signer_socket)),
            clock: setup.clock,
            sessions: Mutex::default(),
            rounds: Mutex::default(),
            nodes: Mutex::new(Nodes::new(pins)),
            pinning: tokio::sync::Mutex::default(),
        })
    }

    fn begin(&self, request: wire::BeginEnrolmentRequest) -> Result<wire::BeginEnrolmentResponse, Refusal> {
        let now = (self.clock)();
        let begin = Begin {
            node_name: request.node_name,
            ek_public: request.ek_public_area,
            ek_chain: request.ek_certificates,
            keys: request.keys.into_iter().map(|key| (key.purpose, key.public_area)).collect(),
        };
        let (subject, ek) = enrolment::check(&begin, &self.rules.ek_trust, &self.rules.trust_domain, now)?;
        lock(&self.nodes).check(&subject)?;
        let randomness = session_randomness()?;
        let session = randomness.session.to_vec();
        let credentials = lock(&self.sessions).begin(subject, &ek, randomness, now)?;
        let credentials = credentials.map(|(purpose, credential)| wire::Credential {
            purpose: purpose.as_str().to_owned(),
            id_object: credential.id_object,
            encrypted_secret: credential.encrypted_secret,
        });
        Ok(wire::BeginEnrolmentResponse { session, credentials: credentials.into() })
    }

    async fn finish(
        &self,
        request: wire::FinishEnrolmentRequest,
    ) -> Result<wire::FinishEnrolmentResponse, Refusal> {
        let now = (self.clock)();
        let answers: Vec<(String, Vec<u8>)> =
            request.answers.into_iter().map(|answer| (answer.purpose, answer.mac)).collect();
        let subject = lock(&self.sessions).finish(&request.session, &answers, now)?;
        self.pin(&subject).await?;
        let mut keys = Vec::new();
        for key in &subject.keys {
            let certificates = self.certify(&subject, key, now).await?;
            keys.push(CertifiedKey { purpose: key.purpose.as_str().to_owned(), certificates });
        }
        tracing::info!(node = %subject.node, level = %subject.level, anchor = subject.anchor, "node enrolled");
        let (node, level) = (subject.node.to_string(), subject.level.to_string());
        lock(&self.nodes).enrol(subject, now);
        Ok(wire::FinishEnrolmentResponse { node, level, keys })
    }

    async fn pin(&self, subject: &Enrolled) -> Result<(), Refusal> {
        let _one_at_a_time = self.pinning.lock().await;
        let Some(pins) = lock(&self.nodes).pin(subject)? else { return Ok(()) };
        let directory = self.directory.clone();
        let saved = tokio::task::spawn_blocking(move || pins::save(&directory, &pins)).await;
        let saved = saved.map_err(|_| Refusal::Task).and_then(|saved| saved.map_err(Refusal::Pins));
        if saved.is_err() {
            lock(&self.nodes).unpin(subject);
        }
        saved
    }

    /// Asks the signer for an attestation key's certificate, on our word.
    async fn certify(&self, subject: &Enrolled, key: &Candidate, now: u64) -> Result<Vec<Vec<u8>>, Refusal> {
        let claims = EnrolmentClaims {
            iss: self.rules.name.clone(),
            iat: now,
            exp: now.saturating_add(MAX_ENROLMENT_LIFE),
            jti: names::hex(&random::<16>()?),
            ak_name: names::hex(key.public.name().as_bytes()),
            purpose: key.purpose.as_str().to_owned(),
            node: subject.node.clone(),
            level: subject.level,
        };
        let identity = self.identity.borrow().clone();
        let enrolment = pki::enrolment::sign(&claims, &identity.chain, &identity.key)?;
        let mut request = Request::new(CertifyAttestationKeyRequest {
            public_area: key.public.as_bytes().to_vec(),
            purpose: claims.purpose,
            node: subject.node.to_string(),
            enrolment,
        });
        request.set_timeout(SIGNER_DEADLINE);
        let answer = self.signer.clone().certify_attestation_key(request).await;
        Ok(answer.map_err(|status| Refusal::Signer(Box::new(status)))?.into_inner().certificates)
    }

    fn new_round(&self, node: &str) -> Result<[u8; 32], Refusal> {
        let now = (self.clock)();
        let node: SpiffeId = node.parse().map_err(|_| Refusal::NodeName)?;
        lock(&self.nodes).enrolled(&node, now)?;
        let nonce = random()?;
        lock(&self.rounds).open(nonce, node, now)?;
        Ok(nonce)
    }

    /// A verdict for evidence that answers an open round. The round is used up, whatever the answer.
    async fn attest(&self, json: Vec<u8>) -> Result<String, Refusal> {
        let now = (self.clock)();
        let (evidence, nonce) = busy(move || read_evidence(&json)).await?;
        let round = lock(&self.rounds).take(&nonce, now)?;
        let enrolled = lock(&self.nodes).enrolled(&round.node, now)?.clone();
        let audience = Audience::Service(self.rules.name.clone());
        let challenge = Challenge::new(nonce, round.made_at, ROUND_LIFE, audience, Expectation::Node);
        let rules = self.rules.clone();
        let trusted = busy(move || {
            let verified = evidence::verify(challenge, &evidence, &rules.roots, now)?;
            Ok(appraise_node(&rules.policy, &verified)?)
        })
        .await?;
        check_subject(&trusted, &enrolled)?;
        let identity = self.identity.borrow().clone();
        let verdict =
            verdict::sign(&trusted, &enrolled, &self.rules.policy, &self.rules.name, &identity, now)?;
        tracing::debug!(node = %trusted.node(), ima_position = trusted.ima_position(), "verdict");
        Ok(verdict)
    }
}

#[tonic::async_trait]
impl VerifierRpc for Verifier {
    async fn begin_enrolment(
        &self,
        request: Request<wire::BeginEnrolmentRequest>,
    ) -> Result<Response<wire::BeginEnrolmentResponse>, Status> {
        Ok(Response::new(self.begin(request.into_inner())?))
    }

    async fn finish_enrolment(
        &self,
        request: Request<wire::FinishEnrolmentRequest>,
    ) -> Result<Response<wire::FinishEnrolmentResponse>, Status> {
        Ok(Response::new(self.finish(request.into_inner()).await?))
    }

    async fn new_round(
        &self,
        request: Request<wire::NewRoundRequest>,
    ) -> Result<Response<wire::NewRoundResponse>, Status> {
        let nonce = Self::new_round(self, &request.into_inner().node)?.to_vec();
        Ok(Response::new(wire::NewRoundResponse { nonce, audience: self.rules.name.to_string() }))
    }

    async fn attest(
        &self,
        request: Request<wire::AttestRequest>,
    ) -> Result<Response<wire::AttestResponse>, Status> {
        let verdict = Self::attest(self, request.into_inner().evidence).await?;
        Ok(Response::new(wire::AttestResponse { verdict }))
    }
}

fn read_evidence(json: &[u8]) -> Result<(Evidence, [u8; 32]), Refusal> {
    let evidence = Evidence::from_json(json)?;
    let statement = Statement::parse(&evidence.statement.0).map_err(|_| Rejected::StatementMalformed)?;
    Ok((evidence, statement.nonce))
}

/// The evidence must be about the node of the round, quoted by the key that was enrolled for it.
fn check_subject(trusted: &TrustedNode, enrolled: &Enrolled) -> Result<(), Refusal> {
    if *trusted.node() != enrolled.node {
        return Err(Refusal::OtherNode);
    }
    let quoted_by = names::hex(trusted.ak_name());
    if enrolled.ak_name(KeyPurpose::Enclave) != Some(quoted_by) {
        return Err(Refusal::OtherKey);
    }
    Ok(())
}

/// Parsing and verifying are work for a thread that may be busy.
async fn busy<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Task)?
}

fn session_randomness() -> Result<SessionRandomness, Refusal> {
    let key = || {
        Ok::<_, Refusal>(KeyRandomness {
            secret: Zeroizing::new(random()?),
            wrapping: Randomness { seed: Zeroizing::new(random()?), padding: Zeroizing::new(random()?) },
        })
    };
    Ok(SessionRandomness { session: random()?, keys: [key()?, key()?] })
}

fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::Random)?;
    Ok(bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
