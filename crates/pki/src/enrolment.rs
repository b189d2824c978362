//! The verifier's signed word to the signer: this attestation key was activated against an endorsement key of that
//! level, and belongs to that node. Short-lived, single use (the signer keeps the ids), for one purpose.

use alloc::string::String;

use names::{Level, SpiffeId};
use serde::{Deserialize, Serialize};

use crate::{
    certificate::Certificate,
    jws::{self, JwsError, KeyHint, Unverified},
    oid::Oid,
    profile::KeyPurpose,
    signature::SigningKey,
};

/// The header's `typ`.
pub const ENROLMENT_TYPE: &str = "sealwright-enrolment+jwt";
/// Longest life in seconds: the signer is asked right after activation.
pub const MAX_ENROLMENT_LIFE: u64 = 60;
/// How far the verifier's clock may be ahead of the signer's, in seconds.
const MAX_SKEW: u64 = 5;
/// Longest `jti`.
const MAX_ID: usize = 64;

/// Why the verifier's word was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentRefused {
    /// Not a token of this type by a verifier of ours.
    #[error("enrolment is not signed by a verifier")]
    Token(#[from] JwsError),
    /// The issuer is not the certificate's subject.
    #[error("enrolment names another issuer than its certificate")]
    Issuer,
    /// Expired, not yet valid, or valid for too long.
    #[error("enrolment is not valid now")]
    Expired,
    /// The id is empty or too long.
    #[error("enrolment has no usable id")]
    Id,
    /// The purpose is not one of ours.
    #[error("enrolment is for an unknown purpose")]
    Purpose,
}

/// Claims as signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentClaims {
    /// The verifier.
    pub iss: SpiffeId,
    /// Issued, unix seconds.
    pub iat: u64,
    /// Ends, unix seconds.
    pub exp: u64,
    /// Unique id; good for one certificate.
    pub jti: String,
    /// TPM name of the attestation key, lower-case hex.
    pub ak_name: String,
    /// `ak-enclave` or `ak-keylime`.
    pub purpose: String,
    /// The node.
    pub node: SpiffeId,
    /// Level of the anchor that the endorsement key led to.
    pub level: Level,
}

/// An activated attestation key, on the verifier's word. Made only by [`verify`]; a certificate is issued against it
/// and against nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    claims: EnrolmentClaims,
    purpose: KeyPurpose,
}

impl Enrolment {
    /// The claims.
    pub fn claims(&self) -> &EnrolmentClaims {
        &self.claims
    }

    /// What the key is for.
    pub fn purpose(&self) -> KeyPurpose {
        self.purpose
    }
}

/// Signs the claims; `chain` is the verifier's own, DER, leaf first.
pub fn sign(
    claims: &EnrolmentClaims,
    chain: &[alloc::vec::Vec<u8>],
    key: &dyn SigningKey,
) -> Result<String, JwsError> {
    jws::sign(ENROLMENT_TYPE, &KeyHint::Chain(chain.to_vec()), claims, key)
}

/// Verifies the verifier's word. Whether the id was seen before is the caller's question.
pub fn verify(token: &str, anchors: &[Certificate], now: u64) -> Result<Enrolment, EnrolmentRefused> {
    let token = Unverified::parse(token)?.expect_type(ENROLMENT_TYPE)?;
    let (verified, chain) = token.verify_chain(anchors, now, Oid::PART_VERIFIER)?;
    let claims: EnrolmentClaims = verified.claims()?;
    if chain.leaf().uris() != [claims.iss.as_str()] {
        return Err(EnrolmentRefused::Issuer);
    }
    let life = claims.exp.checked_sub(claims.iat).ok_or(EnrolmentRefused::Expired)?;
    if life > MAX_ENROLMENT_LIFE || now >= claims.exp || claims.iat > now.saturating_add(MAX_SKEW) {
        return Err(EnrolmentRefused::Expired);
    }
    if claims.jti.is_empty() || claims.jti.len() > MAX_ID {
        return Err(EnrolmentRefused::Id);
    }
    let purpose = KeyPurpose::from_name(&claims.purpose).ok_or(EnrolmentRefused::Purpose)?;
    Ok(Enrolment { claims, purpose })
}
