//! Everything that can go wrong for a user of this library, sorted by whose move is next.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use api::enclaves::State;
use api::{Code, Problem};

use crate::attested::AttestedError;
use crate::connect::DoorError;
use crate::context::ContextError;
use crate::files::FileError;
use crate::gateway::DeviceRefusal;
use crate::http::ExchangeError;
use crate::names::UserName;
use crate::profile::KeyError;
use crate::publish::PublishError;
use crate::references::ReferenceError;
use crate::report::Report;

/// Every reason code of this crate. Those of evidence, trust policies and the gateway pass through it unchanged.
pub const CODES: &[&str] = &[
    "no_evidence",
    "no_exporter",
    "no_random",
    "request_malformed",
    "record_invalid",
    "record_other",
    "publisher_other",
    "created_other",
    "version_older",
    "door_peer",
    "door_host",
    "door_origin",
    "door_secret",
    "door_key_used",
    "door_request",
    "door_full",
    "enclave_unproved",
    "enclave_unreachable",
    "enclave_broken",
    "session_ended",
    "device_denied",
    "device_expired",
    "device_other_user",
    "device_refused",
];

/// Kinds of failure that a caller may act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// None of the others.
    Failed,
    /// What was asked for makes no sense.
    Usage,
    /// Attestation refused.
    Refused,
    /// Nobody is logged in, or the session has ended.
    LogInFirst,
    /// There is no such thing, or it is not yours to know.
    NotFound,
    /// It conflicts with what is there, or a limit is reached.
    Conflict,
    /// The other side does not answer, or not in time.
    Unreachable,
    /// Still under way when the waiting time was over.
    Pending,
}

/// Why a call of this library did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable context.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A file of this user can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The user's key can't be made or used.
    #[error("the key of {user} can't be used")]
    Key {
        /// Whose key.
        user: UserName,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// No user is named, and nobody has logged in here.
    #[error("nobody is logged in")]
    NobodyLoggedIn,
    /// This user has no session here, or the server has ended it.
    #[error("{0} is not logged in")]
    NotLoggedIn(UserName),
    /// The connection could not be made, or broke.
    #[error("cannot reach {at}")]
    Unreachable {
        /// Which address.
        at: String,
        /// Why.
        #[source]
        source: ExchangeError,
    },
    /// The server answered with an error.
    #[error("{}", .0.title)]
    Problem(Box<Problem>),
    /// The server answered with something that is not its API.
    #[error("the gateway's answer to {request} can't be read")]
    Answer {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        #[source]
        source: AnswerError,
    },
    /// Creation went on longer than the caller wanted to wait.
    #[error("enclave {name} is still being started after {} s", .waited.as_secs())]
    StillStarting {
        /// Which enclave.
        name: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The enclave exists, and is not running.
    #[error("enclave {name} is {}", .state.as_str())]
    NotRunning {
        /// Which enclave.
        name: String,
        /// Its state.
        state: State,
        /// Stable code of a failure.
        reason: Option<String>,
    },
    /// Creation ended without a running enclave.
    #[error("enclave {name} did not start: {message}")]
    DidNotStart {
        /// Which enclave.
        name: String,
        /// For people.
        message: String,
        /// Stable code.
        reason: Option<String>,
    },
    /// The enclave's certificate, connection or answer is not what an enclave of ours has.
    #[error("the enclave can't be verified")]
    Attested(#[from] AttestedError),
    /// The evidence was judged, and not good enough.
    #[error("attestation refused")]
    Refused(Box<Report>),
    /// The values that the evidence is compared with can't be had.
    #[error("there is nothing to compare the enclave with")]
    Reference(#[from] ReferenceError),
    /// The app can't be packed or signed.
    #[error("the app can't be published")]
    Publish(#[from] PublishError),
    /// This device was not let in.
    #[error("this device is not let in")]
    Device(#[from] DeviceRefusal),
    /// There is no door on this machine.
    #[error("there is no door")]
    Door(#[from] DoorError),
    /// A file that the caller named can't be used.
    #[error("{} can't be used", .path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: InputError,
    },
}

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// A status that this request never has.
    #[error("status {0}, and no problem document")]
    Status(u16),
    /// Not the JSON of this answer.
    #[error("not the expected JSON: {0}")]
    Json(String),
    /// An event stream that broke a rule or ended early.
    #[error("the event stream {0}")]
    Stream(&'static str),
}

/// What is wrong with a file that the caller named.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It can't be read.
    #[error("it can't be read")]
    Io(#[from] io::Error),
    /// Larger than any such file.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    /// Not of the format.
    #[error("it is not {expected}: {problem}")]
    Malformed {
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    /// Whose move is next.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Error::Context(ContextError::Missing(_)) => Fault::NotFound,
            Error::Context(ContextError::Exists(_)) => Fault::Conflict,
            Error::NobodyLoggedIn | Error::NotLoggedIn(_) => Fault::LogInFirst,
            Error::Unreachable { .. } => Fault::Unreachable,
            Error::Problem(problem) => problem_fault(problem),
            Error::StillStarting { .. } => Fault::Pending,
            Error::NotRunning { state: State::Pending | State::Starting, .. } => Fault::Pending,
            Error::NotRunning { .. } => Fault::Conflict,
            Error::Attested(error) => error.fault(),
            Error::Refused(_) | Error::Reference(_) => Fault::Refused,
            Error::Door(DoorError::InUse(_)) => Fault::Conflict,
            Error::Input { source: InputError::Io(error), .. } if error.kind() == io::ErrorKind::NotFound => {
                Fault::NotFound
            }
            Error::Context(_)
            | Error::File(_)
            | Error::Key { .. }
            | Error::Answer { .. }
            | Error::DidNotStart { .. }
            | Error::Publish(_)
            | Error::Door(_)
            | Error::Device(_)
            | Error::Input { .. } => Fault::Failed,
        }
    }

    /// The stable code, where there is one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Problem(problem) => Some(&problem.code),
            Error::DidNotStart { reason, .. } | Error::NotRunning { reason, .. } => reason.as_deref(),
            Error::Refused(report) => report.reason(),
            Error::Attested(error) => Some(error.code()),
            Error::Reference(error) => Some(error.code()),
            Error::Device(error) => Some(error.code()),
            Error::Context(_)
            | Error::File(_)
            | Error::Key { .. }
            | Error::NobodyLoggedIn
            | Error::NotLoggedIn(_)
            | Error::Unreachable { .. }
            | Error::Answer { .. }
            | Error::StillStarting { .. }
            | Error::Publish(_)
            | Error::Door(_)
            | Error::Input { .. } => None,
        }
    }

    /// The id under which the operator finds the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        let Error::Problem(problem) = self else { return None };
        Some(problem.request_id.as_str()).filter(|id| !id.is_empty())
    }
}

fn problem_fault(problem: &Problem) -> Fault {
    match problem.known_code() {
        // An answer to a login, not a reason to log in.
        Some(Code::BadCredentials | Code::SecondFactorInvalid | Code::PasskeyRefused) => Fault::Failed,
        Some(_) | None => match problem.status {
            401 => Fault::LogInFirst,
            404 => Fault::NotFound,
            409 | 429 => Fault::Conflict,
            503 => Fault::Unreachable,
            _ => Fault::Failed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_codes_have_their_faults() {
        for (code, expected) in [
            (Code::TokenExpired, Fault::LogInFirst),
            (Code::SessionRevoked, Fault::LogInFirst),
            (Code::SecondFactorRequired, Fault::LogInFirst),
            (Code::BadCredentials, Fault::Failed),
            (Code::SecondFactorInvalid, Fault::Failed),
            (Code::NotFound, Fault::NotFound),
            (Code::NameTaken, Fault::Conflict),
            (Code::QuotaExceeded, Fault::Conflict),
            (Code::TooManyAttempts, Fault::Conflict),
            (Code::Busy, Fault::Unreachable),
            (Code::StorageFull, Fault::Unreachable),
            (Code::Internal, Fault::Failed),
        ] {
            let fault = problem_fault(&Problem::new(code, String::new(), String::new()));
            assert_eq!(fault, expected, "{}", code.as_str());
        }
    }
}
