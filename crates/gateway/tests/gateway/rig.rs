//! A gateway in a temporary folder and clients for it.

mod answer;
mod identity;

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attested_tls::{AnchoredConnector, Application, Connection, LocalKey, ServerIdentity};
use bytes::Bytes;
use fixtures::Database;
use gateway::{Config, Deps, Factors, Gateway, Hashing, Licensing, MakeTokenKey, Quota, Settings, Timeouts};
use http::{HeaderName, Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use names::TrustDomain;
use pki::Certificate;
use serde_json::{Value, json};
use server::Tasks;
use store::Store;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::fake_controller::FakeController;
pub use answer::{Answer, get, json_request};
use answer::{asked, builder};
use identity::server_certificate;
pub use identity::{Identity, serial};

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

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
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
            connections_per_source: 256,
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

    /// Tells this gateway to end and waits for that; whether it did in time.
    pub async fn drain(&self) -> bool {
        self.tasks.drain().await
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

    /// SQL from outside, as an operator's own program would run it; a line a row.
    pub fn sql(&self, sql: &str) -> String {
        self.database.sql(sql)
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

    /// One request on a connection that begins with these bytes, ahead of TLS; none where that is refused.
    pub async fn send_after(&self, first: &[u8], request: Request<Full<Bytes>>) -> Option<Answer> {
        let (method, path) = asked(&request);
        let gateway = ServerIdentity::Spiffe(trust_domain().part(names::Part::Gateway));
        let connector =
            AnchoredConnector::new(vec![self.root.clone()], gateway, None, Application::Http1).unwrap();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(first).await.unwrap();
        let connection = connector.connect("127.0.0.1", stream).await.ok()?;
        let (mut sender, exchange) =
            hyper::client::conn::http1::handshake(TokioIo::new(connection.stream)).await.unwrap();
        tokio::spawn(exchange);
        Some(Answer::read(&method, &path, sender.send_request(request).await.unwrap()).await)
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

    /// coder/coder#26146: a session's token stood in the address of an app. An address is logged, shown and passed on: it holds no secret.
    #[track_caller]
    pub fn is_not_given_away_by(&self, address: &Value) {
        let address = address.as_str().unwrap();
        for secret in ["eyJ", self.access_token(), self.refresh_token()] {
            assert!(!address.contains(secret), "{address}");
        }
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
