//! One provider: what it says of itself, the way there, and the way back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::fetch::{self, FetchError, Form};
use crate::id_token::{self, Expected, Identity, Refused};
use crate::keys::{KeyError, Keys};

/// How long what a provider says of itself is kept.
const KEPT: Duration = Duration::from_secs(3600);
/// An unknown key makes us ask again, but not more often than this.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// A provider, as the operator configures it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// Its name in paths: lower-case letters, digits and hyphens.
    pub id: String,
    /// Its name on buttons.
    pub name: String,
    /// Its issuer, exactly as its tokens say it.
    pub issuer: String,
    /// Our id there.
    pub client_id: String,
    /// A file with our secret there; none for a public client.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// Root certificates in PEM that its servers' certificates have to lead to.
    pub ca_file: PathBuf,
    /// Whether whoever comes for the first time gets an account. If not, only accounts that were linked before can come.
    #[serde(default)]
    pub sign_up: bool,
}

/// Why a provider can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The id, the issuer or the client id is not acceptable.
    #[error("provider {0}: the id is a lower-case label, the issuer an https address without query")]
    Config(String),
    /// A file can't be read.
    #[error("read {}", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// No certificate in it.
    #[error("{} holds no root certificate", .0.display())]
    Roots(PathBuf),
    /// TLS can't be set up.
    #[error("TLS")]
    Tls(#[from] rustls::Error),
}

/// Why a sign-in did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The provider can't be reached.
    #[error("ask the provider")]
    Fetch(#[from] FetchError),
    /// It does not say of itself what it has to.
    #[error("what the provider says of itself is not acceptable: {0}")]
    Metadata(&'static str),
    /// Its key set.
    #[error("the provider's keys")]
    Keys(#[from] KeyError),
    /// It refused the code.
    #[error("the provider refused the code")]
    Code,
    /// Its token is not acceptable.
    #[error("the provider's token is refused")]
    Token(#[from] Refused),
    /// No random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// RFC 8414, 2 and OpenID Connect Discovery, 3: what we need of it.
#[derive(Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// What has to be kept between the way there and the way back, by the browser and sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Started {
    /// `state`: this browser's sign-in.
    pub state: String,
    /// `nonce`: this sign-in's token.
    pub nonce: String,
    /// `code_verifier` (RFC 7636, 4.1).
    pub verifier: String,
}

struct Known {
    metadata: Metadata,
    keys: Arc<Keys>,
    at: Instant,
}

/// A provider that we know how to reach.
pub struct Provider {
    config: ProviderConfig,
    secret: Option<Zeroizing<String>>,
    tls: TlsConnector,
    known: Mutex<Option<Known>>,
}

impl Provider {
    /// Reads the files that the configuration names. The provider itself is asked when somebody comes.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn new(config: ProviderConfig) -> Result<Self, SetupError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let id = !config.id.is_empty() && config.id.len() <= 32 && config.id.bytes().all(plain);
        let issuer = config.issuer.starts_with("https://") && !config.issuer.contains(['?', '#', ' ']);
        if !id || !issuer || config.client_id.is_empty() {
            return Err(SetupError::Config(config.id));
        }
        let secret = config.client_secret_file.as_deref().map(read_secret).transpose()?;
        let tls = TlsConnector::from(Arc::new(tls(&config.ca_file)?));
        Ok(Self { config, secret, tls, known: Mutex::new(None) })
    }

    /// Its name in paths.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.config.id
    }

    /// Its name on buttons.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Whether whoever comes for the first time gets an account.
    #[must_use]
    pub const fn signs_up(&self) -> bool {
        self.config.sign_up
    }

    /// Its issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// The address to send a browser to, and what has to be kept until it comes back.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn start(&self, redirect_uri: &str) -> Result<(String, Started), SignInError> {
        let (metadata, _) = self.known(KEPT).await?;
        let started = Started { state: random()?, nonce: random()?, verifier: random()? };
        let challenge =
            Base64UrlUnpadded::encode_string(digest(&SHA256, started.verifier.as_bytes()).as_ref());
        let query = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", &self.config.client_id),
            ("redirect_uri", redirect_uri),
            ("scope", "openid"),
            ("state", &started.state),
            ("nonce", &started.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let query = serde_urlencoded::to_string(query).map_err(|_| SignInError::Metadata("address"))?;
        let joint = if metadata.authorization_endpoint.contains('?') { '&' } else { '?' };
        Ok((format!("{}{joint}{query}", metadata.authorization_endpoint), started))
    }

    /// Exchanges the code for a token and checks it. The identity holds no longer than the provider's answer, because we keep no refresh token
    /// with which to ask again (GHSA-3rw9-wmc8-8948).
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn finish(
        &self,
        code: &str,
        redirect_uri: &str,
        started: &Started,
        now: u64,
    ) -> Result<Identity, SignInError> {
        let (metadata, keys) = self.known(KEPT).await?;
        let mut form = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", &started.verifier),
        ]);
        // RFC 6749, 2.3.1: a secret goes into the header, each half encoded as in a form.
        let authorization = self.secret.as_deref().map(|secret| basic(&self.config.client_id, secret));
        if authorization.is_none() {
            form.insert("client_id", &self.config.client_id);
        }
        let body = serde_urlencoded::to_string(form).map_err(|_| SignInError::Code)?;
        let form = Form { body, authorization: authorization.as_ref().map(|text| text.as_str()) };
        let answer = fetch::post(&self.tls, &metadata.token_endpoint, form).await?;
        if !answer.status.is_success() {
            return Err(SignInError::Code);
        }
        let answer: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| SignInError::Code)?;
        let expected = Expected {
            issuer: &self.config.issuer,
            client_id: &self.config.client_id,
            nonce: &started.nonce,
            now,
        };
        let identity = match id_token::check(&answer.id_token, &keys, &expected) {
            // The provider may have new keys.
            Err(Refused::Key) => {
                let (_, keys) = self.known(ASK_AGAIN).await?;
                id_token::check(&answer.id_token, &keys, &expected)?
            }
            checked => checked?,
        };
        Ok(identity.no_later_than(answer.expires_in.map(|life| now.saturating_add(life))))
    }

    /// Whether an `iss` that came back is this provider's (RFC 9207): another one means that answers were mixed up.
    #[must_use]
    pub fn is_issuer(&self, issuer: Option<&str>) -> bool {
        issuer.is_none_or(|issuer| issuer == self.config.issuer)
    }

    /// What the provider says of itself, not older than this.
    async fn known(&self, age: Duration) -> Result<(Metadata, Arc<Keys>), SignInError> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.at.elapsed() < age) {
            return Ok((known.metadata.clone(), Arc::clone(&known.keys)));
        }
        let (metadata, keys) = self.ask().await?;
        *known = Some(Known { metadata: metadata.clone(), keys: Arc::clone(&keys), at: Instant::now() });
        Ok((metadata, keys))
    }

    async fn ask(&self) -> Result<(Metadata, Arc<Keys>), SignInError> {
        // OpenID Connect Discovery, 4.1.
        let address =
            format!("{}/.well-known/openid-configuration", self.config.issuer.trim_end_matches('/'));
        let answer = fetch::get(&self.tls, &address).await?;
        if !answer.status.is_success() {
            return Err(SignInError::Metadata("there is none"));
        }
        let metadata: Metadata =
            serde_json::from_slice(&answer.body).map_err(|_| SignInError::Metadata("it can't be read"))?;
        // 4.3: exactly the issuer that was asked.
        if metadata.issuer != self.config.issuer {
            return Err(SignInError::Metadata("it is of another issuer"));
        }
        let endpoints = [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
        if !endpoints.iter().all(|endpoint| endpoint.starts_with("https://")) {
            return Err(SignInError::Metadata("an endpoint is not https"));
        }
        let keys = fetch::get(&self.tls, &metadata.jwks_uri).await?;
        let keys = Arc::new(Keys::parse(&keys.body)?);
        Ok((metadata, keys))
    }
}

fn tls(ca_file: &Path) -> Result<ClientConfig, SetupError> {
    let pem = std::fs::read(ca_file).map_err(|error| SetupError::File(ca_file.to_owned(), error))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() {
        return Err(SetupError::Roots(ca_file.to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    Ok(builder.with_no_client_auth())
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, SetupError> {
    let text = std::fs::read_to_string(path).map_err(|error| SetupError::File(path.to_owned(), error))?;
    let text = Zeroizing::new(text);
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn basic(client_id: &str, secret: &str) -> Zeroizing<String> {
    let encode = |text: &str| {
        let pair = serde_urlencoded::to_string([("", text)]).unwrap_or_default();
        Zeroizing::new(pair.trim_start_matches('=').to_owned())
    };
    let pair = Zeroizing::new(format!("{}:{}", *encode(client_id), *encode(secret)));
    Zeroizing::new(format!("Basic {}", Base64::encode_string(pair.as_bytes())))
}

/// 32 bytes: also a verifier of RFC 7636, 4.1.
fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(Base64UrlUnpadded::encode_string(&bytes))
}
