//! Why the verifier refuses: typed, with a stable code, and what of it goes over the wire.

use appraisal::node::NodeRefused;
use evidence::Rejected;
use pki::{jws::JwsError, path::PathError};
use tonic::{Code, Status};
use tpm2::{AttestationKeyError, credential::CredentialError};

/// Reason codes of the verifier itself; those of evidence and node policy are listed with their crates.
pub const CODES: &[&str] = &[
    "node_name_malformed",
    "ek_chain",
    "ek_public_malformed",
    "ek_attributes",
    "ek_mismatch",
    "ak_keys",
    "ak_public_malformed",
    "ak_not_restricted",
    "ak_same_key",
    "ek_unusable",
    "enrolment_too_many",
    "enrolment_session_unknown",
    "enrolment_session_expired",
    "activation_failed",
    "node_name_taken",
    "ek_of_other_node",
    "too_many_nodes",
    "signer_refused",
    "node_not_enrolled",
    "too_many_rounds",
    "round_unknown",
    "round_other_node",
    "round_other_key",
    "verifier_unavailable",
];

/// Why a node was not enrolled, or got no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The name is not a lower-case label.
    #[error("node name is not a label")]
    NodeName,
    /// The endorsement key's chain leads to no anchor.
    #[error("endorsement key's certificate is refused")]
    EkChain(#[from] PathError),
    /// The endorsement key's public area is not one.
    #[error("endorsement key's public area is malformed")]
    EkPublic,
    /// The endorsement key is not a storage key that is fixed to its TPM.
    #[error("endorsement key has other attributes than one")]
    EkAttributes,
    /// The public area is not the certificate's key.
    #[error("endorsement key is not the certificate's")]
    EkMismatch,
    /// Not exactly one key, or one answer, per purpose.
    #[error("not exactly one attestation key per purpose")]
    Keys,
    /// An attestation key's public area is not one.
    #[error("attestation key's public area is malformed")]
    AkPublic,
    /// A key is not an attestation key.
    #[error("key is not an attestation key")]
    AkAttributes(#[from] AttestationKeyError),
    /// One key for both purposes.
    #[error("one key for both purposes")]
    SameKey,
    /// No secret can be wrapped for the endorsement key.
    #[error("endorsement key can't be used")]
    EkUnusable(#[from] CredentialError),
    /// Too many enrolments are under way.
    #[error("too many enrolments are under way")]
    TooManySessions,
    /// No such enrolment: never begun, ended, or failed.
    #[error("enrolment is unknown")]
    UnknownSession,
    /// The enrolment took too long.
    #[error("enrolment took too long")]
    SessionExpired,
    /// An answer is wrong: the keys are not all in the TPM of the endorsement key.
    #[error("credential activation gave a wrong answer")]
    Activation,
    /// The name belongs to another TPM.
    #[error("node name belongs to another TPM")]
    NodeNameTaken,
    /// The TPM has another node name.
    #[error("TPM has another node name")]
    EkOfOtherNode,
    /// No room for another node.
    #[error("too many nodes")]
    TooManyNodes,
    /// The signer did not certify the keys.
    #[error("signer did not certify the keys")]
    Signer(#[source] Box<Status>),
    /// The node is not enrolled here, or was too long ago.
    #[error("node is not enrolled")]
    NotEnrolled,
    /// Too many rounds are open.
    #[error("too many rounds are open")]
    TooManyRounds,
    /// The evidence answers no open round: unknown, used or expired.
    #[error("no open round has this nonce")]
    UnknownRound,
    /// The evidence is about another node than the round.
    #[error("evidence is about another node")]
    OtherNode,
    /// The evidence was quoted by another key than the enrolled one.
    #[error("evidence was quoted by another key")]
    OtherKey,
    /// The evidence was rejected.
    #[error("evidence is rejected")]
    Rejected(#[from] Rejected),
    /// The node policy does not allow the node.
    #[error("node is refused")]
    Node(#[from] NodeRefused),
    /// Nothing could be signed: our fault.
    #[error("nothing was signed")]
    Signing(#[from] JwsError),
    /// The pins could not be written: our fault.
    #[error("pins were not written")]
    Pins(#[source] std::io::Error),
    /// The system gave no random bytes: our fault.
    #[error("no random bytes")]
    Random,
    /// A task of ours ended early: our fault.
    #[error("internal task ended early")]
    Task,
}

impl Refusal {
    /// The stable reason code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NodeName => "node_name_malformed",
            Self::EkChain(_) => "ek_chain",
            Self::EkPublic => "ek_public_malformed",
            Self::EkAttributes => "ek_attributes",
            Self::EkMismatch => "ek_mismatch",
            Self::Keys => "ak_keys",
            Self::AkPublic => "ak_public_malformed",
            Self::AkAttributes(_) => "ak_not_restricted",
            Self::SameKey => "ak_same_key",
            Self::EkUnusable(_) => "ek_unusable",
            Self::TooManySessions => "enrolment_too_many",
            Self::UnknownSession => "enrolment_session_unknown",
            Self::SessionExpired => "enrolment_session_expired",
            Self::Activation => "activation_failed",
            Self::NodeNameTaken => "node_name_taken",
            Self::EkOfOtherNode => "ek_of_other_node",
            Self::TooManyNodes => "too_many_nodes",
            Self::Signer(_) => "signer_refused",
            Self::NotEnrolled => "node_not_enrolled",
            Self::TooManyRounds => "too_many_rounds",
            Self::UnknownRound => "round_unknown",
            Self::OtherNode => "round_other_node",
            Self::OtherKey => "round_other_key",
            Self::Rejected(rejected) => rejected.code(),
            Self::Node(refused) => refused.code(),
            Self::Signing(_) | Self::Pins(_) | Self::Random | Self::Task => "verifier_unavailable",
        }
    }

    fn grpc_code(&self) -> Code {
        match self {
            Self::NodeName | Self::EkPublic | Self::Keys | Self::AkPublic => Code::InvalidArgument,
            Self::EkChain(_)
            | Self::EkAttributes
            | Self::EkMismatch
            | Self::AkAttributes(_)
            | Self::SameKey
            | Self::EkUnusable(_)
            | Self::UnknownSession
            | Self::SessionExpired
            | Self::Activation
            | Self::UnknownRound
            | Self::OtherNode
            | Self::OtherKey
            | Self::Rejected(_)
            | Self::Node(_) => Code::PermissionDenied,
            Self::NodeNameTaken | Self::EkOfOtherNode => Code::AlreadyExists,
            Self::TooManySessions | Self::TooManyNodes | Self::TooManyRounds => Code::ResourceExhausted,
            // Agents enrol again when they see this.
            Self::NotEnrolled => Code::NotFound,
            Self::Signer(_) => Code::Unavailable,
            Self::Signing(_) | Self::Pins(_) | Self::Random | Self::Task => Code::Internal,
        }
    }
}

/// The message is the reason code alone: causes stay in our log.
impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, reason) = (refusal.grpc_code(), refusal.code());
        let error = server::telemetry::chain(&refusal);
        match code {
            Code::Internal | Code::Unavailable => {
                tracing::error!(reason, %error, "verifier could not answer")
            }
            _ => tracing::warn!(reason, %error, "node refused"),
        }
        Self::new(code, reason)
    }
}
