//! A gateway in a temporary folder and clients for it.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attested_tls::{
    AnchoredConnector, Application, CertificateSlot, Connection, LocalKey, NoServerName, ServerIdentity,
};
use bytes::Bytes;
use fixtures::Database;
use gateway::{Config, Deps, Factors, Gateway, Hashing, Licensing, MakeTokenKey, Quota, Settings, Timeouts};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use names::{Digest, TrustDomain};
use pki::{Certificate, Issuer, Serial, SigningKey, Validity, profile};
use serde_json::{Value, json};
use server::Tasks;
use store::Store;
use tokio::net::TcpStream;

use crate::contract;
use crate::fake_controller::FakeController;

pub const PASSWORD: &str = "a long enough password";

pub struct Rig {
    pub address: SocketAddr,
    pub store: Store,
    keys: Arc<Mutex<Vec<LocalKey>>>,
    pub controller: FakeController,
    root: Certificate,
    tasks: Tasks,
    database: Arc<Database>,
}

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

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn serial() -> Serial {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    Serial::from_random(bytes)
}

pub fn trust_domain() -> TrustDomain {
    "sealwright.internal".parse().unwrap()
}

/// Small bounds, so that tests reach them.
fn config(folder: &Path) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        edge: "127.0.0.1:4433".into(),
        trust_domain: trust_domain(),
        controller: vec![folder.join("controller.sock")],
        blobs: folder.join("blobs"),
        jwks: folder.join("jwks.json"),
        license_key: folder.join("license.key"),
        factors: Factors { key_file: folder.join("factors.key"), public_origin: None, providers: Vec::new() },
        settings: Settings {
            connections: 256,
            default_app: Some("hello".parse().unwrap()),
            quota: Quota { active: 2, total: 3 },
            hashing: Hashing { threads: NonZero::new(2), queue: 64 },
            ..Settings::default()
        },
    }
}

/// On an empty database of the kind that this program tests.
pub async fn rig() -> Rig {
    rig_on(Database::of(crate::DATABASE)).await
}

pub async fn rig_on(database: Database) -> Rig {
    start(Arc::new(database)).await
}

/// A gateway at which nothing starts without a licence.
pub async fn rig_with_licenses() -> Rig {
    rig_with(|config| config.settings.licensing = Licensing::Required).await
}

/// A gateway that waits no longer than a second for anything.
pub async fn hasty_rig() -> Rig {
    let timeouts = Timeouts { head: 1, body: 1, ..Timeouts::default() };
    rig_with(|config| config.settings.timeouts = timeouts).await
}

/// A gateway with other settings.
pub async fn rig_with(change: impl FnOnce(&mut Config)) -> Rig {
    let database = Arc::new(Database::of(crate::DATABASE));
    let mut config = config(database.folder());
    change(&mut config);
    start_with(database, config).await
}

async fn start(database: Arc<Database>) -> Rig {
    let config = config(database.folder());
    start_with(database, config).await
}

async fn start_with(database: Arc<Database>, config: Config) -> Rig {
    let store = Store::open(&database.url().parse().unwrap()).await.unwrap();
    let tasks = Tasks::new();
    let controller = FakeController::serve(&config.controller[0], store.clone(), &tasks);
    serve(config, database, store, controller, tasks).await
}

async fn serve(
    config: Config,
    database: Arc<Database>,
    store: Store,
    controller: FakeController,
    tasks: Tasks,
) -> Rig {
    let (certificate, root) = server_certificate();
    let keys = Arc::<Mutex<Vec<LocalKey>>>::default();
    let deps = Deps { store: store.clone(), certificate, token_keys: recorded(&keys), tasks: tasks.clone() };
    let gateway = Gateway::bind(config, deps).await.unwrap();
    let address = gateway.address();
    tasks.spawn(gateway.serve());
    Rig { address, store, keys, controller, root, tasks, database }
}

/// A second gateway on the same database and the same facades' file.
pub async fn replica(first: &Rig, change: impl FnOnce(&mut Config)) -> Rig {
    let store = Store::open(&first.database.url().parse().unwrap()).await.unwrap();
    let mut config = config(first.database.folder());
    change(&mut config);
    serve(config, Arc::clone(&first.database), store, first.controller.clone(), Tasks::new()).await
}

/// Root, issuing authority and the gateway's own certificate, as the signer makes them.
fn server_certificate() -> (Arc<CertificateSlot>, Certificate) {
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

/// Makes token keys and keeps them, for tests that sign like the gateway.
fn recorded(keys: &Arc<Mutex<Vec<LocalKey>>>) -> MakeTokenKey {
    let keys = Arc::clone(keys);
    Arc::new(move || {
        let key = LocalKey::generate()?;
        keys.lock().unwrap().push(key.clone());
        Ok(Arc::new(key))
    })
}

impl Rig {
    /// The key that the gateway made last.
    pub fn token_key(&self) -> LocalKey {
        self.keys.lock().unwrap().last().unwrap().clone()
    }

    /// Ends this gateway and starts another one on the same folder.
    pub async fn restart(self) -> Self {
        assert!(self.tasks.drain().await);
        self.store.close().await;
        start(self.database).await
    }

    /// Another gateway on the same database, with its own connections, as another machine would have them.
    pub async fn beside(&self) -> Self {
        let store = Store::open(&self.database.url().parse().unwrap()).await.unwrap();
        let mut config = config(self.database.folder());
        config.jwks = self.database.folder().join("jwks-of-the-other.json");
        serve(config, Arc::clone(&self.database), store, self.controller.clone(), Tasks::new()).await
    }

    pub fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.database.folder().join(name)).unwrap()
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.database.folder().join(name)
    }

    /// Looks until it is so.
    pub async fn until(&self, what: &str, look: impl AsyncFn() -> bool) {
        let found = async {
            while !look().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found)
            .await
            .unwrap_or_else(|_| panic!("{what}: not in time"));
    }

    pub fn has_file(&self, name: &str) -> bool {
        self.database.folder().join(name).exists()
    }

    /// A connection on which nothing has been said.
    pub async fn connection(&self) -> Connection<TcpStream> {
        self.connect(None, Application::Http1).await
    }

    /// The same, for HTTP/2.
    pub async fn http2_connection(&self) -> Connection<TcpStream> {
        self.connect(None, Application::Http2).await
    }

    async fn connect(&self, identity: Option<&Identity>, application: Application) -> Connection<TcpStream> {
        let client =
            identity.map(|identity| identity.key.certified_key(&[identity.certificate.der()]).unwrap());
        let gateway = ServerIdentity::Spiffe(trust_domain().part(names::Part::Gateway));
        let connector =
            AnchoredConnector::new(vec![self.root.clone()], gateway, client, application).unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        connector.connect("127.0.0.1", stream).await.unwrap()
    }

    /// One request on a connection of its own.
    pub async fn send(&self, identity: Option<&Identity>, request: Request<Full<Bytes>>) -> Answer {
        let (method, path) = asked(&request);
        Answer::read(&method, &path, self.open(identity, request).await).await
    }

    /// The same, with the body still to come.
    pub async fn open(
        &self,
        identity: Option<&Identity>,
        request: Request<Full<Bytes>>,
    ) -> http::Response<Incoming> {
        let connection = self.connect(identity, Application::Http1).await;
        let (mut sender, exchange) =
            hyper::client::conn::http1::handshake(TokioIo::new(connection.stream)).await.unwrap();
        tokio::spawn(exchange);
        sender.send_request(request).await.unwrap()
    }

    pub async fn send_http2(&self, request: Request<Full<Bytes>>) -> Answer {
        let (method, path) = asked(&request);
        let connection = self.connect(None, Application::Http2).await;
        let (mut sender, exchange) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connection.stream))
                .await
                .unwrap();
        tokio::spawn(exchange);
        Answer::read(&method, &path, sender.send_request(request).await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(None, json_request(Method::POST, path, None, &body)).await
    }

    /// Signs up and logs in.
    pub async fn user(&self, name: &str, identity: Option<&Identity>) -> Session<'_> {
        let body = json!({"name": name, "password": PASSWORD});
        self.post("/v1/users", body.clone()).await.expect(StatusCode::CREATED);
        self.log_in(name, identity).await
    }

    /// An account with the role, as the operator gives it at the database.
    pub async fn admin(&self, name: &str) -> Session<'_> {
        let session = self.user(name, None).await;
        self.set_role(&session, store::Role::Admin).await;
        session
    }

    pub async fn set_role(&self, session: &Session<'_>, role: store::Role) {
        let id = session.user_id().parse().unwrap();
        let event = store::Event {
            at: now(),
            actor: String::new(),
            action: "role.set".into(),
            subject: session.user_id().into(),
            result: "ok".into(),
            request: String::new(),
            address: String::new(),
        };
        self.store.set_role(&id, role, event).await.unwrap();
    }

    pub async fn log_in(&self, name: &str, identity: Option<&Identity>) -> Session<'_> {
        let body = json!({"name": name, "password": PASSWORD});
        let request = json_request(Method::POST, "/v1/sessions", None, &body);
        let tokens = self.send(identity, request).await.expect(StatusCode::OK);
        Session { rig: self, identity: identity.cloned(), tokens }
    }
}

/// A user who is logged in.
pub struct Session<'a> {
    rig: &'a Rig,
    pub identity: Option<Identity>,
    pub tokens: Value,
}

impl Session<'_> {
    pub fn access_token(&self) -> &str {
        self.tokens["access_token"].as_str().unwrap()
    }

    pub fn refresh_token(&self) -> &str {
        self.tokens["refresh_token"].as_str().unwrap()
    }

    pub fn user_id(&self) -> &str {
        self.tokens["user"]["id"].as_str().unwrap()
    }

    /// The same session at another gateway.
    pub fn at<'b>(&self, rig: &'b Rig) -> Session<'b> {
        Session { rig, identity: self.identity.clone(), tokens: self.tokens.clone() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    /// With headers of the caller's choice.
    pub async fn with(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let mut request = json_request(method, path, Some(self.access_token()), &body);
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        self.rig.send(self.identity.as_ref(), request).await
    }

    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = json_request(method, path, Some(self.access_token()), &body);
        self.rig.send(self.identity.as_ref(), request).await
    }

    pub async fn put(&self, path: &str, bytes: &[u8]) -> Answer {
        let request = builder(Method::PUT, path, Some(self.access_token()))
            .body(Full::new(Bytes::copy_from_slice(bytes)))
            .unwrap();
        self.rig.send(self.identity.as_ref(), request).await
    }

    pub async fn stages(&self, enclave: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v1/enclaves/{enclave}/stages")).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "text/event-stream");
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        text.lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

fn asked(request: &Request<Full<Bytes>>) -> (Method, String) {
    (request.method().clone(), request.uri().path().to_owned())
}

fn builder(method: Method, path: &str, token: Option<&str>) -> http::request::Builder {
    let mut builder = Request::builder().method(method).uri(path).header(header::HOST, "gateway");
    if let Some(token) = token {
        builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    builder
}

/// `Null` is no body at all.
pub fn json_request(method: Method, path: &str, token: Option<&str>, body: &Value) -> Request<Full<Bytes>> {
    let builder = builder(method, path, token);
    if body.is_null() {
        return builder.body(Full::default()).unwrap();
    }
    let bytes = Bytes::from(serde_json::to_vec(body).unwrap());
    builder.header(header::CONTENT_TYPE, "application/json").body(Full::new(bytes)).unwrap()
}

pub fn get(path: &str, token: Option<&str>) -> Request<Full<Bytes>> {
    json_request(Method::GET, path, token, &Value::Null)
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Reads it whole, and compares it with what the API's document promises.
    pub async fn read(method: &Method, path: &str, response: http::Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        contract::check(method, path, parts.status, &parts.headers, &body);
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    #[track_caller]
    pub fn expect(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{:?}", self.body);
        self.json()
    }

    /// A refusal in full form with this code; its detail comes back.
    #[track_caller]
    pub fn refused(&self, code: &str) -> String {
        let problem = self.json();
        assert_eq!(problem["code"], code, "{} {:?}", self.status, self.body);
        let known = api::Code::parse(code).unwrap();
        assert_eq!(self.status.as_u16(), known.status());
        assert_eq!(problem["status"], known.status());
        assert_eq!(problem["title"], known.title());
        assert_eq!(problem["type"], format!("{}{code}", api::problem::TYPE_PREFIX));
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(problem["request_id"], self.headers["x-request-id"].to_str().unwrap());
        problem["detail"].as_str().unwrap().to_owned()
    }
}
