//! Asks enclaves for evidence on behalf of clients of the original, who expect it in the answer to their login.
//!
//! What comes is made for this gateway's connection, and says so: it is no proof about anybody else's connection. Nothing is judged here.

use std::time::Duration;

use anyhow::Context as _;
use api::Code;
use api::original::Quoted;
use attested_tls::{Application, AttestedConnector, LocalKey, Unproved};
use bytes::Bytes;
use evidence::{Evidence, MAX_BUNDLE};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use names::{Digest, hex};
use pki::{Serial, Validity, profile};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::refusal::Refusal;
use crate::shared::{now, random};

/// Where an enclave answers with its evidence.
const PATH: &str = "/.well-known/sealwright/evidence";
/// A slow TPM and a full batch fit in.
const PATIENCE: Duration = Duration::from_secs(30);
/// Questions at one time: an answer may be large.
const AT_ONCE: usize = 16;
const LIFE: u64 = 10 * 365 * 86_400;

/// The gateway as a client of enclaves, with a key of its own that owns nothing.
pub(crate) struct Witness {
    edge: String,
    connector: AttestedConnector,
    places: Semaphore,
}

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
enum NoEvidence {
    #[error("edge")]
    Edge(#[source] std::io::Error),
    #[error("handshake with the enclave")]
    Tls(#[from] attested_tls::TlsError),
    #[error("exchange with the enclave")]
    Http(#[from] hyper::Error),
    #[error("the question can't be written as HTTP")]
    Request(#[from] http::Error),
    #[error("the answer broke off or is too large")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the enclave answers with status {0}")]
    Status(StatusCode),
    #[error("what the enclave answers is no evidence")]
    Bundle(#[from] evidence::Rejected),
    #[error("the evidence is not over this nonce and the certificate that was shown")]
    Other,
    #[error("no answer in time")]
    Late,
}

impl Witness {
    /// Asks at this edge, with a key that is made now.
    pub(crate) fn new(edge: &str) -> anyhow::Result<Self> {
        let key = LocalKey::generate().context("key of the gateway as a client")?;
        let user = profile::User { common_name: "gateway" };
        let serial = Serial::from_random(random().context("serial")?);
        let certificate = user.issue(&key, Validity::starting(now(), LIFE), serial).context("certificate")?;
        let shown = key.certified_key(&[certificate.der()]).context("certificate")?;
        let connector = AttestedConnector::new(shown, Application::Http1).context("TLS configuration")?;
        Ok(Self { edge: edge.to_owned(), connector, places: Semaphore::new(AT_ONCE) })
    }

    /// What the enclave's TPM says over this nonce.
    pub(crate) async fn quoted(&self, host: &str, nonce: &[u8; 32]) -> Result<Quoted, Refusal> {
        let busy = |_| Refusal::new(Code::Busy, "too many questions for evidence at once");
        let _place = self.places.try_acquire().map_err(busy)?;
        let asked = tokio::time::timeout(PATIENCE, self.ask(host, nonce)).await;
        asked.unwrap_or(Err(NoEvidence::Late)).map_err(|error| {
            Refusal::because(Code::EvidenceUnavailable, "the enclave runs: log in again, or ask it", error)
        })
    }

    async fn ask(&self, host: &str, nonce: &[u8; 32]) -> Result<Quoted, NoEvidence> {
        let stream = TcpStream::connect(&self.edge).await.map_err(NoEvidence::Edge)?;
        let peer = self.connector.connect(host, stream).await?;
        let shown = Digest::from_bytes(peer.certificate().sha256());
        let json = exchange(peer, host, nonce).await?;
        let bundle = Evidence::from_json(&json)?;
        let certificate = bundle.certificate.as_ref().map(|certificate| Digest::of(&certificate.0));
        if certificate != Some(shown) {
            return Err(NoEvidence::Other);
        }
        Quoted::of(bundle, nonce).ok_or(NoEvidence::Other)
    }
}

async fn exchange(peer: Unproved<TcpStream>, host: &str, nonce: &[u8; 32]) -> Result<Bytes, NoEvidence> {
    let (stream, _, _) = peer.into_evidence_stream();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(format!("{PATH}?nonce={}", hex(nonce)))
        .header(header::HOST, host)
        .body(Full::<Bytes>::default())?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        match answer.status() {
            StatusCode::OK => {
                let body = Limited::new(answer.into_body(), MAX_BUNDLE).collect().await;
                Ok(body.map_err(NoEvidence::Body)?.to_bytes())
            }
            status => Err(NoEvidence::Status(status)),
        }
    };
    tokio::pin!(answer);
    tokio::select! {
        answered = &mut answer => answered,
        // An error of the connection is also the error of the request that is under way.
        _ = connection => answer.await,
    }
}
