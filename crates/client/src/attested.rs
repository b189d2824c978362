//! The connection to an enclave. It begins unproved and has one thing to say then: the question for evidence. Only a
//! [`Connection<Proved>`] can send a request, and [`Answered::judge`] is the only way to one.

use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use ::http::{HeaderValue, Method, Request, StatusCode};
use ::names::{Digest, hex};
use api::enclaves::EnclaveToken;
use appraisal::{Policy, Trusted};
use attested_tls::{Application, AttestedConnector, Channel as TlsChannel, TlsError};
use bytes::Bytes;
use evidence::{Audience, Challenge, ChannelRule, Evidence, Expectation, Roots};
use hyper::body::Incoming;
use tokio::net::TcpStream;

use crate::context::Endpoint;
use crate::error::{Error, Fault};
use crate::http::{Answer, Body, Channel, ExchangeError, Unanswered, whole};
use crate::profile::Profile;
use crate::report::{Report, ReportGap};
use crate::transport;

/// Where an enclave answers with its evidence.
pub const EVIDENCE_PATH: &str = "/.well-known/sealwright/evidence";
/// Longest time between a question for evidence and its judgement. A slow TPM and a full batch fit in.
pub const CHALLENGE_LIFE: Duration = Duration::from_secs(30);
/// Largest answer of an app.
const APP_ANSWER_BYTES: usize = 64 << 20;

/// Why an enclave could not even be judged.
#[derive(Debug, thiserror::Error)]
pub enum AttestedError {
    /// It answered the question with an error.
    #[error("it answers the question for evidence with status {status}{}", .code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
    NoEvidence {
        /// The status.
        status: StatusCode,
        /// The code of its problem document.
        code: Option<String>,
    },
    /// The connection has no exporter value.
    #[error("the connection can't be told from others")]
    Exporter(#[source] TlsError),
    /// The operating system gives no random bytes.
    #[error("no random bytes for a nonce")]
    Random,
    /// The token or the request can't be put into HTTP.
    #[error("the request can't be written as HTTP")]
    Request,
}

impl AttestedError {
    /// Whose move is next. What gives no evidence is refused.
    pub(crate) const fn fault(&self) -> Fault {
        match self {
            Self::NoEvidence { .. } | Self::Exporter(_) => Fault::Refused,
            Self::Random | Self::Request => Fault::Failed,
        }
    }

    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::NoEvidence { .. } => "no_evidence",
            Self::Exporter(_) => "no_exporter",
            Self::Random => "no_random",
            Self::Request => "request_malformed",
        }
    }
}

/// Nothing is known of the peer but that it holds the key of the certificate that it showed.
pub struct Unproved(());

/// The peer is the enclave that was meant, and this is the proof.
pub struct Proved {
    trusted: Trusted,
    report: Report,
}

/// One connection to one enclave. It is never made again behind the caller's back: a proof is about this one.
pub struct Connection<State> {
    http: Channel,
    tls: TlsChannel<TcpStream>,
    edge: Endpoint,
    host: String,
    certificate: pki::Certificate,
    audience: Digest,
    state: State,
}

/// The enclave has answered, and nothing of it is believed yet.
pub struct Answered {
    connection: Connection<Unproved>,
    challenge: Challenge,
    json: Vec<u8>,
}

fn unreachable(edge: &Endpoint, host: &str) -> impl FnOnce(ExchangeError) -> Error {
    let at = format!("{host} at the edge {edge}");
    move |source| Error::Unreachable { at, source }
}

impl<State> Connection<State> {
    fn with<Next>(self, state: Next) -> Connection<Next> {
        let Self { http, tls, edge, host, certificate, audience, state: _ } = self;
        Connection { http, tls, edge, host, certificate, audience, state }
    }
}

impl Connection<Unproved> {
    /// Dials the edge and asks for the host, with the user's certificate.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn dial(edge: &Endpoint, host: &str, profile: &Profile) -> Result<Self, Error> {
        let connector = AttestedConnector::new(profile.certified_key()?, Application::Http1)
            .map_err(|error| profile.unusable(error.into()))?;
        let peer =
            transport::connect_enclave(edge, host, &connector).await.map_err(unreachable(edge, host))?;
        let (stream, tls, certificate) = peer.into_evidence_stream();
        let http = Channel::open(stream).await.map_err(unreachable(edge, host))?;
        let (edge, host, audience) = (edge.clone(), host.to_owned(), profile.key_hash());
        Ok(Self { http, tls, edge, host, certificate, audience, state: Unproved(()) })
    }

    /// Asks for evidence at `now` (unix seconds). The challenge is made before the question: fresh nonce, this client's key, this connection's
    /// exporter value, the certificate that this peer showed.
    ///
    /// # Errors
    /// [`Error::Unreachable`], and [`Error::Attested`] where it gives none.
    pub async fn ask(mut self, now: u64) -> Result<Answered, Error> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|_| AttestedError::Random)?;
        let exporter = self.tls.evidence_exporter(&nonce).map_err(AttestedError::Exporter)?;
        let expectation = Expectation::Serve {
            certificate: Digest::from_bytes(self.certificate.sha256()),
            channel: ChannelRule::Required(exporter),
        };
        let audience = Audience::Key(self.audience);
        let challenge = Challenge::new(nonce, now, CHALLENGE_LIFE.as_secs(), audience, expectation);
        let request = Request::get(format!("{EVIDENCE_PATH}?nonce={}", hex(&nonce)))
            .header(HOST, &self.host)
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(whole(Bytes::new()))
            .map_err(|_| AttestedError::Request)?;
        let answer = self
            .http
            .exchange(request, evidence::MAX_BUNDLE)
            .await
            .map_err(unreachable(&self.edge, &self.host))?;
        if answer.status != StatusCode::OK {
            let problem: Option<api::Problem> = serde_json::from_slice(&answer.body).ok();
            let code = problem.map(|problem| problem.code);
            return Err(AttestedError::NoEvidence { status: answer.status, code }.into());
        }
        Ok(Answered { connection: self, challenge, json: answer.body })
    }
}

impl Answered {
    /// The evidence as it came, for a file. Whether it holds is another question.
    #[must_use]
    pub fn evidence_json(&self) -> &[u8] {
        &self.json
    }

    /// Verifies and appraises at `now` (unix seconds). The challenge is used up either way.
    ///
    /// # Errors
    /// The report with every reason why not.
    pub fn judge(self, roots: &Roots, policy: &Policy, now: u64) -> Result<Connection<Proved>, Box<Report>> {
        let Self { connection, challenge, json } = self;
        let verified = Evidence::from_json(&json)
            .and_then(|evidence| evidence::verify(challenge, &evidence, roots, now))
            .map_err(|rejected| Box::new(Report::of_rejected(rejected)))?;
        match appraisal::appraise(policy, verified) {
            Err(refused) => Err(Box::new(Report::of_refused(&refused))),
            Ok(trusted) => {
                let report = Report::of_trusted(&trusted);
                Ok(connection.with(Proved { trusted, report }))
            }
        }
    }
}

/// One request to a proved enclave.
#[derive(Debug, Clone)]
pub struct AppRequest {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The body, and its media type; absent where there is none.
    pub body: Option<(Bytes, HeaderValue)>,
}

impl Connection<Proved> {
    /// What was proved, and what was not.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.state.report
    }

    /// The proof itself.
    #[must_use]
    pub const fn trusted(&self) -> &Trusted {
        &self.state.trusted
    }

    /// Adds to what is not proved.
    pub(crate) fn noting(mut self, gap: Option<ReportGap>) -> Self {
        self.state.report.not_proved.extend(gap);
        self
    }

    /// Gives the proof up, to ask this same connection again: a proof is about a moment, and an open connection outlives
    /// it. Every few minutes is the rule; where the second answer does not hold, the connection is gone.
    #[must_use]
    pub fn doubt(self) -> Connection<Unproved> {
        self.with(Unproved(()))
    }

    /// SHA-256 of the key (SPKI) that the enclave showed on this connection, which the proof is about.
    #[must_use]
    pub fn peer_key(&self) -> Digest {
        Digest::from_bytes(self.certificate.spki_sha256())
    }

    /// The name that requests on this connection are for.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Lets it move by itself, so that bodies can stream.
    pub(crate) fn on_a_task(self) -> Self {
        Self { http: self.http.on_a_task(), ..self }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.http.is_open()
    }

    pub(crate) async fn is_free(&mut self, within: Duration) -> bool {
        self.http.is_free(within).await
    }

    /// Sends a request as it is; the answer's body is still to come. Only [on a task](Self::on_a_task).
    pub(crate) async fn stream(
        &mut self,
        request: Request<Body>,
    ) -> Result<hyper::Response<Incoming>, Unanswered> {
        self.http.stream(request).await
    }

    /// Sends one request to the app, with the token for this enclave.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where the connection breaks; an error status of the app is an answer.
    pub async fn request(&mut self, token: &EnclaveToken, request: AppRequest) -> Result<Answer, Error> {
        let AppRequest { method, path, body } = request;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.token.expose()))
            .map_err(|_| AttestedError::Request)?;
        bearer.set_sensitive(true);
        let builder = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, bearer);
        let request = match body {
            None => builder.body(whole(Bytes::new())),
            Some((bytes, media_type)) => builder.header(CONTENT_TYPE, media_type).body(whole(bytes)),
        };
        let request = request.map_err(|_| AttestedError::Request)?;
        self.http.exchange(request, APP_ANSWER_BYTES).await.map_err(unreachable(&self.edge, &self.host))
    }
}
