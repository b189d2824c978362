//! What went wrong, as the user reads it: what, why, and the next command.

use std::error::Error as StdError;
use std::fmt::Write as _;

use api::enclaves::State;
use client::connect::DoorError;
use client::{DeviceRefusal, Error};

use crate::exit::ExitCode;
use crate::output::tame;

/// One failure of the command. It knows its exit code; nothing else decides on it.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) exit: ExitCode,
    what: String,
    why: Vec<String>,
    code: Option<String>,
    request_id: Option<String>,
    next: Option<String>,
}

impl Failure {
    /// A failure with nothing more to say than what went wrong.
    pub(crate) fn new(exit: ExitCode, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), why: Vec::new(), code: None, request_id: None, next: None }
    }

    /// Adds a reason.
    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Adds what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Adds a stable code.
    pub(crate) fn coded(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// The text for standard error; the last line ends with a line feed.
    pub(crate) fn render(&self) -> String {
        let mut text = format!("error: {}\n", tame(&self.what));
        for why in &self.why {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  why: {}", tame(why));
        }
        if let Some(code) = &self.code {
            let _ = writeln!(text, "  code: {}", tame(code));
        }
        if let Some(id) = &self.request_id {
            let _ = writeln!(text, "  request: {}", tame(id));
        }
        if let Some(next) = &self.next {
            let _ = writeln!(text, "  next: {}", tame(next));
        }
        text
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Failure::new(error.fault().into(), what(&error));
        failure.code = error.code().map(str::to_owned);
        failure.request_id = error.request_id().map(str::to_owned);
        failure.why = whys(&error);
        failure.next = next_step(&error);
        failure
    }
}

impl From<client::FileError> for Failure {
    fn from(error: client::FileError) -> Self {
        Error::from(error).into()
    }
}

impl From<client::ContextError> for Failure {
    fn from(error: client::ContextError) -> Self {
        Error::from(error).into()
    }
}

/// A failure of wiring or of a service, with its chain of causes.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let mut chain = error.chain().map(ToString::to_string);
        let mut failure = Failure::new(ExitCode::Failed, chain.next().unwrap_or_default());
        failure.why = chain.collect();
        if error.is::<ensemble::TpmEnded>() {
            failure.exit = ExitCode::StartAgain;
            failure.code = ensemble::TpmEnded::CODES.first().map(|code| (*code).to_owned());
            failure.next = Some("start it again; enclaves come back as new incarnations".to_owned());
        }
        failure
    }
}

/// What went wrong; of a problem, what the server said about this case.
fn what(error: &Error) -> String {
    match error {
        Error::Problem(problem) if !problem.detail.is_empty() => problem.detail.clone(),
        other => other.to_string(),
    }
}

/// The causes.
fn whys(error: &Error) -> Vec<String> {
    let mut whys = Vec::new();
    if let Error::Problem(problem) = error {
        whys.extend(problem.validation.as_ref().map(|code| format!("the licences say {code}")));
    }
    if let Error::Refused(report) = error {
        let failed = report.checks.iter().filter(|check| check.result == client::CheckResult::Fail);
        whys.extend(failed.map(|check| check.detail.clone()));
    }
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some libraries repeat their cause in their own message.
        if !said.contains(&text) && !whys.contains(&text) {
            whys.push(text.clone());
            said = text;
        }
        source = cause.source();
    }
    whys
}

fn next_step(error: &Error) -> Option<String> {
    use client::ContextError;

    let next = match error {
        Error::Context(ContextError::Missing(_)) => {
            "sealwright up    (or name one with --context FILE)".into()
        }
        Error::Context(ContextError::NotALink(_)) => {
            "name contexts with --context FILE, or move that file away".into()
        }
        Error::File(client::FileError::Exposed { path, .. }) => format!("chmod go= {}", path.display()),
        Error::NobodyLoggedIn => "sealwright auth login NAME    (or: auth signup NAME)".into(),
        Error::NotLoggedIn(user) => format!("sealwright auth login {user}"),
        Error::Unreachable { .. } => {
            "is it running? sealwright up; sealwright doctor tells what is missing".into()
        }
        Error::StillStarting { name, .. } => format!("sealwright enclave show {name}"),
        Error::DidNotStart { name, .. } => format!("sealwright enclave logs {name}"),
        Error::Problem(problem) => return problem_step(problem),
        Error::Refused(report) if only_simulated(report) => {
            "add --allow-simulated if a software TPM is good enough this time".into()
        }
        Error::Reference(client::ReferenceError::Older(_)) => {
            "if you want that one: name it with --version; else ask the operator why it is shown".into()
        }
        Error::Door(DoorError::InUse(_)) => {
            "another `enclave connect` is open there; --socket PATH for one more".into()
        }
        Error::Door(DoorError::TooLong(_)) => "--socket PATH with a shorter path".into(),
        Error::Device(DeviceRefusal::Expired | DeviceRefusal::Denied) => {
            "begin again: auth login NAME --device".into()
        }
        Error::NotRunning { name, state, .. } => match state {
            State::Pending | State::Starting | State::Stopping => format!("sealwright enclave show {name}"),
            State::Failed => format!("sealwright enclave logs {name}"),
            State::Deleting | State::Deleted => "sealwright enclave list".to_owned(),
            State::Stopped | State::Running => format!("sealwright enclave start {name}"),
        },
        _ => return None,
    };
    Some(next)
}

/// Whether the flag would be enough.
fn only_simulated(report: &client::Report) -> bool {
    let mut failed = report.checks.iter().filter(|check| check.result == client::CheckResult::Fail);
    failed.next().and_then(|check| check.reason.as_deref()) == Some("level_simulated")
        && failed.next().is_none()
}

fn problem_step(problem: &api::Problem) -> Option<String> {
    use api::Code;

    let next = match problem.known_code()? {
        Code::NotFound => "sealwright enclave list; sealwright app list",
        Code::InvalidPassword => "choose a password of 15 to 1024 characters",
        Code::TokenMissing | Code::TokenInvalid | Code::TokenExpired => "sealwright auth login NAME",
        Code::SessionRevoked | Code::RefreshReused => "sealwright auth login NAME",
        Code::SecondFactorRequired => {
            "sealwright auth login NAME    (it asks for a code, or reads one as the next line)"
        }
        Code::SecondFactorInvalid => "wait for the next code of your app; each works once",
        Code::TooManyAttempts => "wait; attempts are counted per account and per address",
        Code::LicenseRefused => {
            "sealwright license list; an admin issues one: sealwright admin licenses issue --plan PLAN --holder NAME"
        }
        Code::QuotaExceeded => "sealwright enclave delete NAME",
        Code::VersionConflict => "give the changed app a new `version` in its app.yaml",
        Code::Busy | Code::DatabaseUnavailable => "try again in a moment",
        Code::OutcomeUnknown => "look whether it was done, then try again",
        Code::Internal => "tell the operator the request id",
        Code::ControllerUnavailable => "ask the operator: sealwright doctor",
        _ => return None,
    };
    Some(next.into())
}

#[cfg(test)]
mod tests;
