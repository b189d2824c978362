//! Why an operation on a TPM did not work.

use tpm2::credential::CredentialError;
use tpm2::frame::{CommandError, ResponseError};
use tpm2::{KeyError, ResponseCode, SignatureError, WireError};

use crate::device::DeviceError;

/// Why an operation on a TPM did not work.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// The device does not answer.
    #[error("TPM device")]
    Device(#[from] DeviceError),
    /// A command can't be written.
    #[error("TPM command")]
    Command(#[from] CommandError),
    /// A template or blob is malformed.
    #[error("TPM structure")]
    Structure(#[from] WireError),
    /// The TPM refused, or its response is not one.
    #[error("TPM command {command:#x}")]
    Response {
        /// TPM_CC.
        command: u32,
        /// Why.
        #[source]
        source: ResponseError,
    },
    /// A secret could not be wrapped.
    #[error("wrap a secret for the TPM")]
    Wrap(#[from] CredentialError),
    /// The TPM gave a key that is none.
    #[error("key of the TPM")]
    Key(#[from] KeyError),
    /// The TPM gave a signature that is none.
    #[error("signature of the TPM")]
    Signature(#[from] SignatureError),
    /// No random bytes.
    #[error("the system gives no random bytes")]
    Random(#[from] getrandom::Error),
    /// A non-volatile index is larger than anything that we keep or expect there.
    #[error("the index has {0} bytes")]
    IndexTooLarge(u16),
    /// The TPM does not tell a property that every TPM has.
    #[error("the TPM has no property {0:#x}")]
    PropertyMissing(u32),
    /// There is no endorsement certificate.
    #[error("the TPM has no endorsement certificate")]
    NoEndorsementCertificate,
    /// The endorsement certificate is not one.
    #[error("the endorsement certificate is malformed")]
    EndorsementCertificate,
    /// No endorsement key of this TPM has the certificate's key.
    #[error("the endorsement key is not that of its certificate")]
    EndorsementKeyMismatch,
    /// The endorsement key's policy is not one that we can satisfy.
    #[error("unknown endorsement key policy")]
    EndorsementKeyPolicy,
    /// The PCR is not in the SHA-256 bank.
    #[error("the SHA-256 bank has no PCR {0}")]
    NoSuchPcr(u8),
    /// The key was flushed, or belongs to another TPM.
    #[error("the key is not loaded")]
    NotLoaded,
}

impl TpmError {
    /// What the TPM answered, if it refused.
    pub fn code(&self) -> Option<ResponseCode> {
        match self {
            Self::Response { source: ResponseError::Refused(code), .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the device itself is lost, so that no later command can work either.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Device(_))
    }
}
