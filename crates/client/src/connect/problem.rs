//! What the door answers by itself: a problem document with a code, and where a proof failed, its reason.

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use ::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use serde::Serialize;

use super::forward::{Answer, whole};
use crate::error::{Error, Fault};

/// Somebody or something that does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The socket at the other end is of another user, or nobody's.
    Peer,
    /// The request names another host: a page of somebody else whose name leads here (DNS rebinding).
    Host,
    /// It comes from a page of somebody else.
    Origin,
    /// It does not show the secret of this run.
    Secret,
    /// The key of the address that opens the door was used before.
    KeyUsed,
    /// Not a request that can be passed on.
    Request,
}

impl Refusal {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Peer => "door_peer",
            Self::Host => "door_host",
            Self::Origin => "door_origin",
            Self::Secret => "door_secret",
            Self::KeyUsed => "door_key_used",
            Self::Request => "door_request",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Peer | Self::Origin | Self::KeyUsed => StatusCode::FORBIDDEN,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Secret => StatusCode::UNAUTHORIZED,
            Self::Request => StatusCode::BAD_REQUEST,
        }
    }

    /// For people.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Peer => "this door is for another user of this machine",
            Self::Host => "this door has another name",
            Self::Origin => "a page of another site asks for this",
            Self::Secret => {
                "show the bearer that `enclave connect` printed, or open the address that it printed"
            }
            Self::KeyUsed => "that address works once; start `enclave connect` again for another",
            Self::Request => "this is not a request to a path of the enclave",
        }
    }
}

/// Why a request has no answer of the enclave.
#[derive(Debug)]
pub(super) enum Trouble {
    Refusal(Refusal),
    /// The enclave can't be proved or reached; nothing was sent.
    NoEnclave(Error),
    /// The proof was lost while the request was under way.
    Lost,
    /// The proved connection broke before an answer came.
    Broken(crate::http::ExchangeError),
    /// All places are taken.
    Full,
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::NoEnclave(error)
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    type_: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    /// Why the proof failed: a code of the evidence, the policy, the client or the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    detail: String,
}

impl Trouble {
    fn status(&self) -> StatusCode {
        match self {
            Self::Refusal(refusal) => refusal.status(),
            Self::NoEnclave(_) | Self::Lost | Self::Broken(_) => StatusCode::BAD_GATEWAY,
            Self::Full => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Refusal(refusal) => refusal.code(),
            Self::NoEnclave(error) => match error.fault() {
                Fault::Refused => "enclave_unproved",
                Fault::LogInFirst => "session_ended",
                Fault::Failed
                | Fault::Usage
                | Fault::NotFound
                | Fault::Conflict
                | Fault::Unreachable
                | Fault::Pending => "enclave_unreachable",
            },
            Self::Lost => "enclave_unproved",
            Self::Broken(_) => "enclave_broken",
            Self::Full => "door_full",
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Refusal(_) => "not let in",
            Self::NoEnclave(_) | Self::Lost => "there is no proved way to the enclave",
            Self::Broken(_) => "the enclave broke off",
            Self::Full => "too much at once",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Refusal(refusal) => refusal.detail().into(),
            Self::NoEnclave(error) => error.to_string(),
            Self::Lost => "the enclave could not be proved again, or was started anew".into(),
            Self::Broken(error) => error.to_string(),
            Self::Full => "all connections to the enclave are in use".into(),
        }
    }

    /// The document, in full.
    pub(super) fn json(&self) -> Vec<u8> {
        let reason = match self {
            Self::NoEnclave(error) => error.code(),
            Self::Refusal(_) | Self::Lost | Self::Broken(_) | Self::Full => None,
        };
        let problem = Problem {
            type_: format!("{}{}", api::problem::TYPE_PREFIX, self.code()),
            title: self.title(),
            status: self.status().as_u16(),
            code: self.code(),
            reason,
            detail: self.detail(),
        };
        serde_json::to_vec(&problem).unwrap_or_default()
    }

    pub(super) fn answer(&self) -> Answer {
        let mut answer = Response::new(whole(Bytes::from(self.json())));
        *answer.status_mut() = self.status();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(api::paths::PROBLEM_MEDIA_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failed_proof_is_a_502_with_its_reason() {
        let error = Error::Attested(crate::attested::AttestedError::Random);
        let refused = Error::Reference(crate::references::ReferenceError::RecordInvalid {
            app: "hello".parse().unwrap(),
        });
        for (error, code, reason) in
            [(error, "enclave_unreachable", "no_random"), (refused, "enclave_unproved", "record_invalid")]
        {
            let json: serde_json::Value = serde_json::from_slice(&Trouble::from(error).json()).unwrap();
            assert_eq!(
                (&json["status"], &json["code"], &json["reason"]),
                (&502.into(), &code.into(), &reason.into())
            );
        }
    }

    #[test]
    fn every_code_is_declared() {
        let refusals = [
            Refusal::Peer,
            Refusal::Host,
            Refusal::Origin,
            Refusal::Secret,
            Refusal::KeyUsed,
            Refusal::Request,
        ];
        let user = "alice".parse().unwrap();
        let troubles = refusals.map(Trouble::from).into_iter().chain([
            Trouble::Lost,
            Trouble::Broken(crate::http::ExchangeError::TooLarge(1)),
            Trouble::Full,
            Trouble::from(Error::NobodyLoggedIn),
            Trouble::from(Error::NotLoggedIn(user)),
        ]);
        for trouble in troubles {
            assert!(crate::CODES.contains(&trouble.code()), "{}", trouble.code());
        }
    }
}
