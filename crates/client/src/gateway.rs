//! The gateway's REST API over a connection of our own: one request at a time, one refresh at most, typed errors.

mod accounts;
mod calls;
mod licenses;
mod sessions;

use std::time::Duration;

use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use ::http::{HeaderValue, Method, Request, StatusCode};
use api::accounts::{Refresh, Tokens, User};
use api::factors::SecondFactor;
use api::{Code, Problem, Secret, paths};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::{AnswerError, Error};
use crate::http::{Answer, Body, Channel, ExchangeError, whole};
use crate::profile::{Profile, Session};
use crate::time;
use crate::transport::GatewayTls;

/// Largest answer: a manifest of the largest app.
const ANSWER_BYTES: usize = 16 << 20;
/// An access token that ends within this time is exchanged before it is used.
const REFRESH_MARGIN: Duration = Duration::from_secs(5);
/// A list that goes on for longer is cut; its `next_cursor` says so.
const LIST_ROWS: usize = 10_000;
/// What the list of sessions shows.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("sealwright/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub use accounts::{DeviceRefusal, WaitingDevice};
pub use licenses::{LicenseAct, Licenses};

/// What a user signs in with.
pub struct SignIn {
    /// The password; it goes to the gateway and nowhere else.
    pub password: Secret,
    /// A second factor, where the account has some.
    pub second_factor: Option<SecondFactor>,
}

/// One user's way to the gateway. The TLS client certificate is the user's own.
pub struct Gateway {
    context: Context,
    profile: Profile,
    tls: GatewayTls,
    channel: Option<Channel>,
    refreshing: Refreshing,
}

/// Whether an old access token is exchanged.
#[derive(Clone, Copy, PartialEq)]
enum Refreshing {
    /// Whenever need be.
    Allowed,
    /// Never: a question that may be cut off at any moment must not be a refresh, whose answer nobody may miss.
    Never,
}

/// Who a request is made as.
#[derive(Clone, Copy, PartialEq)]
enum As {
    Anyone,
    User,
}

/// A request that can be made a second time: after a refresh.
struct Call<'a> {
    method: Method,
    path: &'a str,
    body: Payload,
    who: As,
}

#[derive(Clone)]
enum Payload {
    Empty,
    Json(bytes::Bytes),
}

impl<'a> Call<'a> {
    fn new(method: Method, path: &'a str, who: As) -> Self {
        Self { method, path, body: Payload::Empty, who }
    }

    fn with_json<T: Serialize>(mut self, value: &T) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| self.unreadable(AnswerError::Json(error.to_string())))?;
        self.body = Payload::Json(bytes.into());
        Ok(self)
    }

    fn unreadable(&self, source: AnswerError) -> Error {
        Error::Answer { request: format!("{} {}", self.method, self.path), source }
    }
}

impl Gateway {
    /// The way of this user to the gateway of this context. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Context`] where the context's anchors can't be used.
    pub fn new(context: &Context, profile: Profile) -> Result<Self, Error> {
        let tls = GatewayTls::new(context, &profile)?;
        Ok(Self { context: context.clone(), profile, tls, channel: None, refreshing: Refreshing::Allowed })
    }

    /// The same way for questions that may be cut off: it uses the access token while that is good, and exchanges none.
    #[must_use]
    pub fn without_refresh(self) -> Self {
        Self { refreshing: Refreshing::Never, ..self }
    }

    /// Whose way it is.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The context.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    async fn json<T: DeserializeOwned>(&mut self, call: Call<'_>) -> Result<T, Error> {
        let answer = self.call(&call).await?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| call.unreadable(AnswerError::Json(error.to_string())))
    }

    async fn done(&mut self, call: Call<'_>) -> Result<(), Error> {
        self.call(&call).await.map(drop)
    }

    /// Makes a request; where the access token has ended, exchanges it and makes the request once more.
    async fn call(&mut self, call: &Call<'_>) -> Result<Answer, Error> {
        if call.who == As::Anyone {
            let answer = self.send(call, None).await?;
            return self.judge(call, answer);
        }
        let session = self.fresh_session().await?;
        let answer = self.send(call, Some(&session.access_token)).await?;
        if !asks_for_refresh(&answer) {
            return self.judge(call, answer);
        }
        let session = self.refresh(&session).await?;
        let answer = self.send(call, Some(&session.access_token)).await?;
        self.judge(call, answer)
    }

    async fn send(&mut self, call: &Call<'_>, token: Option<&Secret>) -> Result<Answer, Error> {
        let request = self.request(call, token)?;
        self.exchange(request).await
    }

    async fn exchange(&mut self, request: Request<Body>) -> Result<Answer, Error> {
        let mut channel = self.open().await.map_err(|source| self.unreachable(source))?;
        let outcome = channel.exchange(request, ANSWER_BYTES).await;
        // Kept only after a whole answer: an exchange that is given up in the middle takes its connection along.
        self.channel = outcome.is_ok().then_some(channel);
        outcome.map_err(|source| self.unreachable(source))
    }

    fn request(&self, call: &Call<'_>, token: Option<&Secret>) -> Result<Request<Body>, Error> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(call.path)
            .header(HOST, self.context.gateway.to_string())
            .header(ACCEPT, JSON)
            .header(USER_AGENT, AGENT);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, bearer(token).ok_or_else(|| self.not_logged_in())?);
        }
        let request = match &call.body {
            Payload::Empty => request.body(whole(bytes::Bytes::new())),
            Payload::Json(json) => request.header(CONTENT_TYPE, JSON).body(whole(json.clone())),
        };
        request.map_err(|error| call.unreadable(AnswerError::Json(error.to_string())))
    }

    async fn open(&mut self) -> Result<Channel, ExchangeError> {
        match self.channel.take().filter(Channel::is_open) {
            Some(channel) => Ok(channel),
            None => Channel::open(self.tls.connect().await?).await,
        }
    }

    fn unreachable(&mut self, source: ExchangeError) -> Error {
        self.channel = None;
        Error::Unreachable { at: format!("the gateway at {}", self.context.gateway.url()), source }
    }

    fn not_logged_in(&self) -> Error {
        Error::NotLoggedIn(self.profile.user().clone())
    }

    fn judge(&self, call: &Call<'_>, answer: Answer) -> Result<Answer, Error> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let error = problem(&answer).ok_or(AnswerError::Status(answer.status.as_u16()));
        Err(match error {
            Ok(problem) => Error::Problem(Box::new(problem)),
            Err(source) => call.unreadable(source),
        })
    }

    async fn fresh_session(&mut self) -> Result<Session, Error> {
        let session = self.profile.session()?.ok_or_else(|| self.not_logged_in())?;
        match session.expires_at > time::now().saturating_add(REFRESH_MARGIN.as_secs()) {
            true => Ok(session),
            false => self.refresh(&session).await,
        }
    }

    /// Exchanges the refresh token. Another command may have done so while we waited for the lock: then its session is ours too.
    async fn refresh(&mut self, old: &Session) -> Result<Session, Error> {
        if self.refreshing == Refreshing::Never {
            return Err(self.not_logged_in());
        }
        let _lock = self.profile.lock().await?;
        let stored = self.profile.session()?.ok_or_else(|| self.not_logged_in())?;
        if stored.access_token != old.access_token {
            return Ok(stored);
        }
        let refresh = Refresh { refresh_token: stored.refresh_token };
        let call = Call::new(Method::POST, paths::SESSIONS_REFRESH, As::Anyone).with_json(&refresh)?;
        let answer = self.send(&call, None).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.profile.drop_session()?;
            return Err(self.not_logged_in());
        }
        let answer = self.judge(&call, answer)?;
        let tokens: Tokens = serde_json::from_slice(&answer.body)
            .map_err(|_| call.unreadable(AnswerError::Json("not a pair of tokens".into())))?;
        let session = Session::new(tokens, time::now());
        self.profile.store_session(&session)?;
        Ok(session)
    }

    /// The session as it is kept here, and the account as the gateway sees it.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`] and whatever the gateway says.
    pub async fn status(&mut self) -> Result<(Session, User), Error> {
        let user = self.me().await?;
        let session = self.profile.session()?.ok_or_else(|| self.not_logged_in())?;
        Ok((session, user))
    }
}

/// A list's path with the cursor, which is base64url and needs no escape.
fn page(path: &str, cursor: Option<&str>) -> String {
    cursor.map_or_else(|| path.to_owned(), |cursor| format!("{path}?cursor={cursor}"))
}

fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn problem(answer: &Answer) -> Option<Problem> {
    let media_type = answer.header("content-type")?.split(';').next()?.trim();
    (media_type == paths::PROBLEM_MEDIA_TYPE).then(|| serde_json::from_slice(&answer.body).ok())?
}

/// An ended session can't be refreshed; a token that has only become old can.
fn asks_for_refresh(answer: &Answer) -> bool {
    let code = problem(answer).and_then(|problem| problem.known_code());
    answer.status == StatusCode::UNAUTHORIZED && matches!(code, Some(Code::TokenExpired | Code::TokenInvalid))
}
