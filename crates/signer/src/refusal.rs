//! Why the signer does not issue: typed, with a stable code, and what of it goes over the wire.

use appraisal::Refused;
use evidence::Rejected;
use pki::{csr::CsrError, enrolment::EnrolmentRefused};
use tonic::{Code, Status};
use tpm2::AttestationKeyError;

use crate::authority::CaError;

/// Reason codes of the signer itself; those of evidence and trust policy are listed with their crates.
pub const CODES: &[&str] = &[
    "too_many_challenges",
    "challenge_unknown",
    "csr_refused",
    "dns_name_refused",
    "ak_public_malformed",
    "ak_not_restricted",
    "ak_purpose_unknown",
    "enrolment_refused",
    "enrolment_mismatch",
    "enrolment_used",
    "signer_unavailable",
    "not_trusted",
];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Too many challenges are open.
    #[error("too many challenges are open")]
    TooManyChallenges,
    /// The evidence answers no challenge that is open: unknown, used or expired.
    #[error("no open challenge has this nonce")]
    UnknownChallenge,
    /// The evidence was rejected.
    #[error("evidence is rejected")]
    Rejected(#[from] Rejected),
    /// The evidence is not good enough.
    #[error("evidence is not trusted")]
    Refused(#[from] Refused),
    /// The request was refused.
    #[error("certificate request is refused")]
    Csr(#[from] CsrError),
    /// The name is not one label below the enclaves' domain.
    #[error("name is not one label below the enclaves' domain")]
    DnsName,
    /// The public area is not one.
    #[error("public area is malformed")]
    PublicArea,
    /// The key is not an attestation key.
    #[error("key is not an attestation key")]
    AttestationKey(#[from] AttestationKeyError),
    /// The purpose is not one of ours.
    #[error("purpose is unknown")]
    Purpose,
    /// The verifier's word was refused.
    #[error("enrolment is refused")]
    Enrolment(#[from] EnrolmentRefused),
    /// The verifier's word is about another key, purpose or node.
    #[error("enrolment is about another key, purpose or node")]
    EnrolmentMismatch,
    /// The verifier's word was used before.
    #[error("enrolment was used before")]
    EnrolmentUsed,
    /// The authority did not issue: our fault.
    #[error("authority did not issue")]
    Ca(#[from] CaError),
    /// A task of ours ended early: our fault.
    #[error("internal task ended early")]
    Task,
}

impl Refusal {
    /// The stable reason code; of a trust policy's reasons the first.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooManyChallenges => "too_many_challenges",
            Self::UnknownChallenge => "challenge_unknown",
            Self::Rejected(rejected) => rejected.code(),
            Self::Refused(refused) => refused.reasons().next().map_or("not_trusted", |reason| reason.code()),
            Self::Csr(_) => "csr_refused",
            Self::DnsName => "dns_name_refused",
            Self::PublicArea => "ak_public_malformed",
            Self::AttestationKey(_) => "ak_not_restricted",
            Self::Purpose => "ak_purpose_unknown",
            Self::Enrolment(_) => "enrolment_refused",
            Self::EnrolmentMismatch => "enrolment_mismatch",
            Self::EnrolmentUsed => "enrolment_used",
            Self::Ca(_) | Self::Task => "signer_unavailable",
        }
    }

    fn grpc_code(&self) -> Code {
        match self {
            Self::TooManyChallenges => Code::ResourceExhausted,
            Self::UnknownChallenge
            | Self::Rejected(_)
            | Self::Refused(_)
            | Self::DnsName
            | Self::AttestationKey(_)
            | Self::Enrolment(_)
            | Self::EnrolmentMismatch
            | Self::EnrolmentUsed => Code::PermissionDenied,
            Self::Csr(_) | Self::PublicArea | Self::Purpose => Code::InvalidArgument,
            Self::Ca(_) | Self::Task => Code::Internal,
        }
    }
}

/// The message is the reason code alone: causes stay in our log.
impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, reason) = (refusal.grpc_code(), refusal.code());
        let error = server::telemetry::chain(&refusal);
        match code {
            Code::Internal => tracing::error!(reason, %error, "no certificate"),
            _ => tracing::info!(reason, %error, "no certificate"),
        }
        Self::new(code, reason)
    }
}
