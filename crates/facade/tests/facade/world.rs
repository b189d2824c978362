//! What stands around a facade in these tests: a CA, an agent, a gateway's keys, people. The agent is a fake (it signs
//! with the test's CA and echoes questions for evidence); everything else is the real thing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use api::node::{CertifiedChain, CertifyRequest, EvidenceRequest, RegisterKey, SelfDescription};
use attested_tls::{Application, AttestedConnector, Channel, LocalKey, SharedStream};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use base64ct::{Base64, Encoding};
use facade::evidence::Desk;
use facade::front::Front;
use facade::identity::Certifier;
use facade::limits::Limits;
use facade::proxy::Proxy;
use facade::tokens::Tokens;
use facade::upstream::{Address, Upstream};
use names::{Digest, SpiffeId};
use node_api::Node;
use pki::profile::{Facade, Issuing, Root, User};
use pki::token::{AccessClaims, Confirmation};
use pki::{Certificate, Issuer, Serial, SigningKey, Validity};
use server::Tasks;
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Notify, watch};

pub const HOST: &str = "notes-alice.enclaves.localhost";
pub const USER: &str = "user-alice";
pub const USER_NAME: &str = "alice";

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn serial() -> Serial {
    let mut random = [0; 16];
    getrandom::fill(&mut random).unwrap();
    Serial::from_random(random)
}

pub fn enclave() -> SpiffeId {
    "spiffe://sealwright.internal/enclave/000102030405060708090a0b0c0d0e0f".parse().unwrap()
}

pub fn issuer() -> SpiffeId {
    "spiffe://sealwright.internal/part/gateway".parse().unwrap()
}

/// Somebody with a client certificate of their own.
pub struct Person {
    pub key: LocalKey,
    pub certificate: Certificate,
}

impl Person {
    pub fn new() -> Self {
        Self::with_key(LocalKey::generate().unwrap())
    }

    pub fn with_key(key: LocalKey) -> Self {
        let user = User { common_name: "somebody" };
        let certificate = user.issue(&key, Validity::starting(now(), 3600), serial()).unwrap();
        Self { key, certificate }
    }

    pub fn id(&self) -> Digest {
        Digest::from_bytes(self.certificate.spki_sha256())
    }
}

/// Root and issuing CA of the test.
pub struct Authority {
    issuing_key: LocalKey,
    root: Certificate,
    issuing: Certificate,
}

impl Authority {
    fn new() -> Self {
        let (root_key, issuing_key) = (LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
        let day = Validity::starting(now(), 86_400);
        let root = Root { common_name: "test root" }.issue(&root_key, day, serial()).unwrap();
        let issuer = Issuer::new(&root, &root_key).unwrap();
        let issuing = Issuing { common_name: "test issuing" };
        let issuing = issuing.issue(&issuer, issuing_key.public_key_spki(), day, serial()).unwrap();
        Self { issuing_key, root, issuing }
    }

    fn certify(&self, csr: &[u8], dns_name: &str, seconds: u64) -> Vec<Certificate> {
        let csr = pki::csr::Csr::from_der(csr).unwrap();
        let issuer = Issuer::new(&self.issuing, &self.issuing_key).unwrap();
        let profile = Facade { enclave: &enclave(), dns_name };
        let leaf = profile.issue(&issuer, csr.spki(), Validity::starting(now(), seconds), serial()).unwrap();
        vec![leaf, self.issuing.clone(), self.root.clone()]
    }
}

/// What the fake agent does when it is asked for evidence.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Answers with the question itself.
    Echo,
    /// Refuses with 409.
    Refuse,
    /// Never answers.
    Hang,
    /// Answers with a bundle over the nonce, as an agent makes it, about another enclave.
    Forge,
}

/// The fake agent.
pub struct Agent {
    authority: Authority,
    pub registered: Mutex<Option<Vec<u8>>>,
    pub certified: AtomicUsize,
    pub seconds: AtomicU64,
    pub dns_name: Mutex<String>,
    pub evidence: Mutex<Evidence>,
    pub asked: Notify,
    /// The owner that was announced.
    pub owner: Digest,
}

impl Agent {
    pub fn serve(socket: &std::path::Path, owner: Digest, tasks: &Tasks) -> Arc<Self> {
        let agent = Arc::new(Self {
            authority: Authority::new(),
            registered: Mutex::new(None),
            certified: AtomicUsize::new(0),
            seconds: AtomicU64::new(3600),
            dns_name: Mutex::new(HOST.to_owned()),
            evidence: Mutex::new(Evidence::Echo),
            asked: Notify::new(),
            owner,
        });
        let router = axum::Router::new()
            .route("/v1/self", get(myself))
            .route("/v1/self/key", put(register))
            .route("/v1/self/certificate", post(certify))
            .route("/v1/self/evidence", post(evidence))
            .with_state(Arc::clone(&agent));
        let listener = UnixListener::bind(socket).unwrap();
        tasks.spawn_cancellable(async move { axum::serve(listener, router).await.unwrap() });
        agent
    }
}

async fn myself(State(agent): State<Arc<Agent>>) -> impl IntoResponse {
    Json(SelfDescription {
        enclave_id: "000102030405060708090a0b0c0d0e0f".parse().unwrap(),
        spiffe_id: enclave(),
        incarnation: 1,
        owner: agent.owner,
        dns_name: HOST.to_owned(),
        node: "spiffe://sealwright.internal/node/test".parse().unwrap(),
    })
}

async fn register(State(agent): State<Arc<Agent>>, Json(request): Json<RegisterKey>) -> impl IntoResponse {
    let spki = Base64::decode_vec(&request.spki).unwrap();
    let mut registered = agent.registered.lock().await;
    match &*registered {
        Some(pinned) if *pinned != spki => StatusCode::CONFLICT.into_response(),
        _ => {
            *registered = Some(spki);
            Json(serde_json::json!({})).into_response()
        }
    }
}

async fn certify(State(agent): State<Arc<Agent>>, Json(request): Json<CertifyRequest>) -> impl IntoResponse {
    let csr = Base64::decode_vec(&request.csr).unwrap();
    let spki = pki::csr::Csr::from_der(&csr).unwrap().spki().to_vec();
    if agent.registered.lock().await.as_ref() != Some(&spki) {
        return StatusCode::FORBIDDEN.into_response();
    }
    agent.certified.fetch_add(1, Ordering::SeqCst);
    let dns_name = agent.dns_name.lock().await.clone();
    let chain = agent.authority.certify(&csr, &dns_name, agent.seconds.load(Ordering::SeqCst));
    Json(CertifiedChain { chain: chain.iter().map(|one| Base64::encode_string(one.der())).collect() })
        .into_response()
}

async fn evidence(
    State(agent): State<Arc<Agent>>,
    Json(request): Json<EvidenceRequest>,
) -> impl IntoResponse {
    agent.asked.notify_one();
    let behaviour = *agent.evidence.lock().await;
    match behaviour {
        Evidence::Echo => Json(request).into_response(),
        Evidence::Refuse => {
            (StatusCode::CONFLICT, Json(serde_json::json!({"code": "not_keyed", "detail": "x"})))
                .into_response()
        }
        Evidence::Hang => std::future::pending().await,
        Evidence::Forge => {
            let forged = forge::World::new();
            let mut draft = forged.draft();
            let nonce = Base64::decode_vec(&request.nonce).unwrap();
            draft.statement.nonce = nonce.try_into().unwrap();
            Json(draft.seal()).into_response()
        }
    }
}

/// The gateway as far as a facade knows it: a key and a file.
pub struct Gateway {
    pub key: LocalKey,
}

impl Gateway {
    pub fn new() -> Self {
        Self { key: LocalKey::generate().unwrap() }
    }

    pub fn publish(&self, file: &std::path::Path) {
        let keys = vec![pki::jwk::Jwk::from_spki(self.key.public_key_spki()).unwrap()];
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, pki::jwk::Jwks::new(keys).unwrap().to_json()).unwrap();
        std::fs::rename(&fresh, file).unwrap();
    }

    /// Claims of a token that is good for this person.
    pub fn claims(&self, person: &Person) -> AccessClaims {
        AccessClaims {
            iss: issuer().as_str().to_owned(),
            sub: USER.to_owned(),
            aud: enclave().as_str().to_owned(),
            iat: now(),
            nbf: now(),
            exp: now() + 300,
            jti: "1".to_owned(),
            cnf: Some(Confirmation::certificate(&person.certificate.sha256())),
            username: Some(USER_NAME.to_owned()),
        }
    }

    pub fn token(&self, person: &Person) -> String {
        self.sign(&self.claims(person))
    }

    pub fn sign(&self, claims: &AccessClaims) -> String {
        pki::token::issue(claims, &self.key).unwrap()
    }
}

/// A facade in this process, everything around it, and its owner.
pub struct World {
    pub owner: Person,
    pub gateway: Gateway,
    pub agent: Arc<Agent>,
    pub tasks: Tasks,
    pub folder: TempDir,
}

impl World {
    pub async fn start(app: Address) -> Self {
        Self::with_limits(app, Limits::default()).await
    }

    pub async fn with_limits(app: Address, limits: Limits) -> Self {
        Self::with(app, limits, 3600).await
    }

    /// A world in which certificates live this long.
    pub async fn with(app: Address, limits: Limits, seconds: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let tasks = Tasks::new();
        let (owner, gateway) = (Person::new(), Gateway::new());
        let agent = Agent::serve(&folder.path().join("agent.sock"), owner.id(), &tasks);
        agent.seconds.store(seconds, Ordering::SeqCst);
        gateway.publish(&folder.path().join("jwks.json"));
        let world = Self { owner, gateway, agent, tasks, folder };
        world.open(app, limits).await;
        world
    }

    async fn open(&self, app: Address, limits: Limits) {
        let node = Node::new(&self.path("agent.sock"));
        let certifier = Certifier::new(node.clone(), LocalKey::generate().unwrap(), HOST.to_owned());
        let (renewed, identity) = watch::channel(certifier.first().await.unwrap());
        self.tasks.spawn_cancellable(async move { certifier.keep(renewed).await });
        let tokens = Tokens::new(&self.path("jwks.json"), issuer().as_str(), enclave().as_str());
        let proxy = Proxy::new(Upstream::new(app), limits, self.tasks.clone());
        let parts = (tokens, Desk::new(node, &limits), proxy);
        let front = Front::new((HOST.to_owned(), self.owner.id()), parts, limits, self.tasks.clone());
        let listener = UnixListener::bind(self.path("facade.sock")).unwrap();
        self.tasks.spawn(Arc::new(front).serve(listener, identity));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn token(&self) -> String {
        self.gateway.token(&self.owner)
    }

    /// A TLS connection of this person: the bytes, the exporter and the certificate that was shown.
    pub async fn tls(&self, person: &Person, application: Application) -> Tls {
        dial(&self.path("facade.sock"), person, application).await
    }
}

pub type Tls = (SharedStream<UnixStream>, Channel<UnixStream>, Certificate);

pub async fn dial(socket: &std::path::Path, person: &Person, application: Application) -> Tls {
    let shown = person.key.certified_key(&[person.certificate.der()]).unwrap();
    let connector = AttestedConnector::new(shown, application).unwrap();
    let stream = UnixStream::connect(socket).await.unwrap();
    connector.connect(HOST, stream).await.unwrap().into_evidence_stream()
}
