//! What a key must be to be trusted in a role. Its holder chose the public area: every attribute that the role rests on
//! is checked, and the first that is missing is the reason.

use crate::algorithms::{HashAlgorithm, NameAlgorithm};
use crate::attributes::ObjectAttributes as Attribute;
use crate::public::{DEFAULT_EXPONENT, Key, PublicArea, Scheme, rsa_exponent};

/// Why a key is not one that signs only what its TPM made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttestationKeyError {
    /// The name is not a SHA-256 name.
    #[error("the key's name is not by SHA-256")]
    NameAlgorithm,
    /// `restricted` is not set: it would sign a quote that somebody made up.
    #[error("the key is not restricted")]
    NotRestricted,
    /// `sign` is not set.
    #[error("the key does not sign")]
    NotSigning,
    /// `decrypt` is set.
    #[error("the key also decrypts")]
    Decrypts,
    /// `fixedTPM` or `fixedParent` is not set: it may exist elsewhere.
    #[error("the key can leave its TPM")]
    NotFixed,
    /// `sensitiveDataOrigin` is not set: somebody else may know it.
    #[error("the key was not made by its TPM")]
    ForeignOrigin,
    /// The scheme is not ECDSA, RSASSA or RSAPSS with SHA-256.
    #[error("the key's scheme is not a signature with SHA-256")]
    Scheme,
    /// It is not an RSA or elliptic curve key.
    #[error("the object is not an asymmetric key")]
    NotAsymmetric,
    /// The RSA exponent is not 65537.
    #[error("the key's exponent is not 65537")]
    Exponent,
}

/// Why a key is not one to which a secret for a TPM may be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndorsementKeyError {
    /// `restricted` is not set: it would decrypt anything for anybody.
    #[error("the key is not restricted")]
    NotRestricted,
    /// `decrypt` is not set.
    #[error("the key does not decrypt")]
    NotDecrypting,
    /// `sign` is set.
    #[error("the key also signs")]
    Signs,
    /// `fixedTPM` or `fixedParent` is not set: it may exist elsewhere.
    #[error("the key can leave its TPM")]
    NotFixed,
    /// `sensitiveDataOrigin` is not set: somebody else may know it.
    #[error("the key was not made by its TPM")]
    ForeignOrigin,
    /// It is not an RSA or elliptic curve key.
    #[error("the object is not an asymmetric key")]
    NotAsymmetric,
    /// The RSA exponent is not 65537.
    #[error("the key's exponent is not 65537")]
    Exponent,
}

impl PublicArea {
    /// Whether this key signs only structures that its own TPM made, with SHA-256; the reason if not.
    pub fn check_restricted_signing_key(&self) -> Result<(), AttestationKeyError> {
        use AttestationKeyError as Refusal;
        let has = |wanted| self.attributes().contains(wanted);
        if self.name_algorithm() != NameAlgorithm::Sha256 {
            return Err(Refusal::NameAlgorithm);
        }
        if !has(Attribute::RESTRICTED) {
            return Err(Refusal::NotRestricted);
        }
        if !has(Attribute::SIGN) {
            return Err(Refusal::NotSigning);
        }
        if has(Attribute::DECRYPT) {
            return Err(Refusal::Decrypts);
        }
        if !has(Attribute::FIXED_TPM | Attribute::FIXED_PARENT) {
            return Err(Refusal::NotFixed);
        }
        if !has(Attribute::SENSITIVE_DATA_ORIGIN) {
            return Err(Refusal::ForeignOrigin);
        }
        match self.key() {
            Key::Sealed { .. } => return Err(Refusal::NotAsymmetric),
            Key::Rsa { exponent, .. } if rsa_exponent(*exponent) != DEFAULT_EXPONENT => {
                return Err(Refusal::Exponent);
            }
            Key::Rsa { .. } | Key::Ecc { .. } => {}
        }
        match self.scheme() {
            Scheme::Ecdsa(HashAlgorithm::Sha256)
            | Scheme::Rsassa(HashAlgorithm::Sha256)
            | Scheme::Rsapss(HashAlgorithm::Sha256) => Ok(()),
            Scheme::Null | Scheme::Oaep(_) | Scheme::Ecdsa(_) | Scheme::Rsassa(_) | Scheme::Rsapss(_) => {
                Err(Refusal::Scheme)
            }
        }
    }

    /// Whether this key decrypts only what its own TPM will use by the rules; the reason if not. That the key itself is
    /// the one in the endorsement certificate is for the caller to compare ([`PublicArea::subject_public_key`]).
    pub fn check_restricted_decryption_key(&self) -> Result<(), EndorsementKeyError> {
        use EndorsementKeyError as Refusal;
        let has = |wanted| self.attributes().contains(wanted);
        if !has(Attribute::RESTRICTED) {
            return Err(Refusal::NotRestricted);
        }
        if !has(Attribute::DECRYPT) {
            return Err(Refusal::NotDecrypting);
        }
        if has(Attribute::SIGN) {
            return Err(Refusal::Signs);
        }
        if !has(Attribute::FIXED_TPM | Attribute::FIXED_PARENT) {
            return Err(Refusal::NotFixed);
        }
        if !has(Attribute::SENSITIVE_DATA_ORIGIN) {
            return Err(Refusal::ForeignOrigin);
        }
        match self.key() {
            Key::Sealed { .. } => Err(Refusal::NotAsymmetric),
            Key::Rsa { exponent, .. } if rsa_exponent(*exponent) != DEFAULT_EXPONENT => {
                Err(Refusal::Exponent)
            }
            Key::Rsa { .. } | Key::Ecc { .. } => Ok(()),
        }
    }
}
