//! The calls about an account: signing up, in and out, second factors, devices.

use std::path::Path;
use std::time::Duration;

use ::http::header::{ACCEPT, CONTENT_TYPE, HOST};
use ::http::{HeaderValue, Method, Request, StatusCode};
use api::accounts::{Credentials, Tokens, User};
use api::device::{CLIENT_ID, DeviceCode, DeviceError, DeviceProblem, DeviceTokens, GRANT_TYPE};
use api::factors::{Factors, Proof, RecoveryCodes, TotpCode, TotpOffer};
use api::{Secret, paths};

use super::{As, Call, Gateway, JSON, SignIn};
use crate::context;
use crate::error::{AnswerError, Error};
use crate::http::{Answer, whole};
use crate::profile::Session;
use crate::time;

const ME_FACTORS: &str = "/v1/me/factors";
const ME_TOTP: &str = "/v1/me/totp";
const ME_RECOVERY_CODES: &str = "/v1/me/recovery-codes";
const DEVICE_AUTHORIZATION: &str = "/v1/device/authorization";
const DEVICE_TOKEN: &str = "/v1/device/token";
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// RFC 8628, 3.5: what `slow_down` adds to the pause between two questions.
const SLOWER: Duration = Duration::from_secs(5);
/// Shortest and longest pause between two questions, whatever the server says.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Why a device was not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceRefusal {
    /// The person said no.
    #[error("it was denied")]
    Denied,
    /// Nobody decided in time.
    #[error("nobody entered the code in time")]
    Expired,
    /// Somebody else than who was named said yes.
    #[error("{0} said yes, and not who was named")]
    OtherUser(String),
    /// Another error of OAuth.
    #[error("the server refuses: {0}")]
    Refused(String),
}

impl DeviceRefusal {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Denied => "device_denied",
            Self::Expired => "device_expired",
            Self::OtherUser(_) => "device_other_user",
            Self::Refused(_) => "device_refused",
        }
    }
}

/// A device that waits for somebody to say yes.
pub struct WaitingDevice {
    code: DeviceCode,
    pause: Duration,
    until: u64,
}

impl WaitingDevice {
    /// What the person sees: where to go, and the code to compare.
    #[must_use]
    pub const fn code(&self) -> &DeviceCode {
        &self.code
    }
}

/// Fields as a form (HTML Living Standard, URL-encoded form data); every character that could mean something is escaped.
fn form(fields: &[(&str, &str)]) -> String {
    let escaped = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            match byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
                true => out.push(char::from(byte)),
                false => out.push_str(&format!("%{byte:02X}")),
            }
            out
        })
    };
    fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
}

impl Gateway {
    /// `POST /v1/users`.
    ///
    /// # Errors
    /// What the gateway says: the name is taken or not allowed, the password too short.
    pub async fn sign_up(&mut self, sign_in: &SignIn) -> Result<User, Error> {
        let call = Call::new(Method::POST, paths::USERS, As::Anyone).with_json(&self.credentials(sign_in))?;
        self.json(call).await
    }

    /// `POST /v1/sessions`; the session is kept, and this user becomes the current one.
    ///
    /// # Errors
    /// What the gateway says: wrong name or password.
    pub async fn log_in(&mut self, context: &Path, sign_in: &SignIn) -> Result<Session, Error> {
        let call =
            Call::new(Method::POST, paths::SESSIONS, As::Anyone).with_json(&self.credentials(sign_in))?;
        let tokens: Tokens = self.json(call).await?;
        self.keep_session(context, tokens).await
    }

    async fn keep_session(&mut self, context: &Path, tokens: Tokens) -> Result<Session, Error> {
        let session = Session::new(tokens, time::now());
        let _lock = self.profile.lock().await?;
        self.profile.store_session(&session)?;
        context::set_current_user(context, self.profile.user())?;
        Ok(session)
    }

    fn credentials(&self, sign_in: &SignIn) -> Credentials {
        Credentials {
            name: self.profile.user().to_string(),
            password: sign_in.password.clone(),
            second_factor: sign_in.second_factor.clone(),
        }
    }

    /// `DELETE /v1/sessions/current`; the session is forgotten here in any case.
    ///
    /// # Errors
    /// What the gateway says, except that nobody was logged in.
    pub async fn log_out(&mut self) -> Result<(), Error> {
        let ended = self.done(Call::new(Method::DELETE, paths::SESSIONS_CURRENT, As::User)).await;
        self.profile.drop_session()?;
        match ended {
            Err(Error::NotLoggedIn(_)) => Ok(()),
            Err(Error::Problem(problem)) if problem.status == 401 => Ok(()),
            other => other,
        }
    }

    /// `GET /v1/me`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn me(&mut self) -> Result<User, Error> {
        self.json(Call::new(Method::GET, paths::ME, As::User)).await
    }

    /// `GET /v1/me/factors`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn factors(&mut self) -> Result<Factors, Error> {
        self.json(Call::new(Method::GET, ME_FACTORS, As::User)).await
    }

    /// `POST /v1/me/totp`: an offer that counts once it is confirmed.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn begin_totp(&mut self, password: Secret) -> Result<TotpOffer, Error> {
        self.json(Call::new(Method::POST, ME_TOTP, As::User).with_json(&by_password(password))?).await
    }

    /// `PUT /v1/me/totp`.
    ///
    /// # Errors
    /// What the gateway says: the code is not one of the app's.
    pub async fn confirm_totp(&mut self, code: Secret) -> Result<(), Error> {
        self.done(Call::new(Method::PUT, ME_TOTP, As::User).with_json(&TotpCode { code })?).await
    }

    /// `DELETE /v1/me/totp`.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn remove_totp(&mut self, password: Secret) -> Result<(), Error> {
        self.done(Call::new(Method::DELETE, ME_TOTP, As::User).with_json(&by_password(password))?).await
    }

    /// `POST /v1/me/recovery-codes`: new ones, told this once.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn renew_recovery_codes(&mut self, password: Secret) -> Result<RecoveryCodes, Error> {
        let call = Call::new(Method::POST, ME_RECOVERY_CODES, As::User).with_json(&by_password(password))?;
        self.json(call).await
    }

    /// `POST /v1/device/authorization` (RFC 8628, 3.1).
    ///
    /// # Errors
    /// [`Error::Device`], and what the gateway says.
    pub async fn begin_device(&mut self) -> Result<WaitingDevice, Error> {
        let call = Call::new(Method::POST, DEVICE_AUTHORIZATION, As::Anyone);
        let answer = self.send_form(&call, &[("client_id", CLIENT_ID)]).await?;
        if answer.status != StatusCode::OK {
            return Err(self.device_refusal(&call, answer)?.into());
        }
        let code: DeviceCode = serde_json::from_slice(&answer.body)
            .map_err(|_| call.unreadable(AnswerError::Json("not a device code".into())))?;
        let pause = Duration::from_secs(code.interval).clamp(PAUSES.0, PAUSES.1);
        let until = time::now().saturating_add(code.expires_in);
        Ok(WaitingDevice { code, pause, until })
    }

    /// `POST /v1/device/token` until somebody has decided (RFC 8628, 3.4 and 3.5); the session is kept then.
    ///
    /// # Errors
    /// [`Error::Device`], and what the gateway says. A question that is not answered is asked again.
    pub async fn await_device(&mut self, context: &Path, device: WaitingDevice) -> Result<Session, Error> {
        let WaitingDevice { code, mut pause, until } = device;
        let call = Call::new(Method::POST, DEVICE_TOKEN, As::Anyone);
        let question = [
            ("grant_type", GRANT_TYPE),
            ("device_code", code.device_code.expose()),
            ("client_id", CLIENT_ID),
        ];
        loop {
            tokio::time::sleep(pause).await;
            if time::now() > until {
                return Err(DeviceRefusal::Expired.into());
            }
            let answer = match self.send_form(&call, &question).await {
                Ok(answer) => answer,
                Err(Error::Unreachable { .. }) => continue,
                Err(error) => return Err(error),
            };
            if answer.status == StatusCode::OK {
                let tokens: DeviceTokens = serde_json::from_slice(&answer.body)
                    .map_err(|_| call.unreadable(AnswerError::Json("not a pair of tokens".into())))?;
                return self.let_in(context, tokens).await;
            }
            let pending = |error: DeviceError| {
                problem_of(&answer).is_some_and(|problem| problem.error == error.as_str())
            };
            if pending(DeviceError::SlowDown) {
                pause = (pause + SLOWER).min(PAUSES.1);
            } else if !pending(DeviceError::AuthorizationPending) {
                return Err(self.device_refusal(&call, answer)?.into());
            }
        }
    }

    async fn let_in(&mut self, context: &Path, tokens: DeviceTokens) -> Result<Session, Error> {
        let DeviceTokens { access_token, refresh_token, expires_in, user, .. } = tokens;
        if user.name != self.profile.user().as_str() {
            // Nobody here asked for that session.
            let call = Call::new(Method::DELETE, paths::SESSIONS_CURRENT, As::User);
            let _ = self.send(&call, Some(&access_token)).await;
            return Err(DeviceRefusal::OtherUser(user.name).into());
        }
        self.keep_session(context, Tokens { access_token, refresh_token, expires_in, user }).await
    }

    fn device_refusal(&self, call: &Call<'_>, answer: Answer) -> Result<DeviceRefusal, Error> {
        let Some(problem) = problem_of(&answer) else {
            let unexpected = AnswerError::Status(answer.status.as_u16());
            return self.judge(call, answer).and_then(|_| Err(call.unreadable(unexpected)));
        };
        Ok(match problem.error {
            error if error == DeviceError::AccessDenied.as_str() => DeviceRefusal::Denied,
            error if error == DeviceError::ExpiredToken.as_str() => DeviceRefusal::Expired,
            error => DeviceRefusal::Refused(error),
        })
    }

    async fn send_form(&mut self, call: &Call<'_>, fields: &[(&str, &str)]) -> Result<Answer, Error> {
        let request = Request::builder()
            .method(call.method.clone())
            .uri(call.path)
            .header(HOST, self.context.gateway.to_string())
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, FORM)
            .body(whole(form(fields)))
            .map_err(|error| call.unreadable(AnswerError::Json(error.to_string())))?;
        self.exchange(request).await
    }
}

fn by_password(password: Secret) -> Proof {
    Proof { password: Some(password), second_factor: None }
}

/// An error of OAuth; a problem of ours is none.
fn problem_of(answer: &Answer) -> Option<DeviceProblem> {
    let media_type = answer.header("content-type")?.split(';').next()?.trim();
    (media_type == "application/json").then(|| serde_json::from_slice(&answer.body).ok())?
}

#[cfg(test)]
mod tests {
    use super::form;

    #[test]
    fn nothing_in_a_value_ends_it() {
        assert_eq!(form(&[("a", "x&b=c%+ \u{e4}"), ("d", "e-._1")]), "a=x%26b%3Dc%25%2B%20%C3%A4&d=e-._1");
    }
}
