//! Signatures (TPM 2.0 Part 2, 11.3.4) and their check against a public area.

use alloc::vec::Vec;

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use sha2::{Digest, Sha256};

use crate::algorithms::{self, Curve, HashAlgorithm};
use crate::keys::{self, KeyError};
use crate::public::{Key, PublicArea, Scheme};
use crate::wire::{Reader, WireError, Writer};

const MAX_RSA: usize = 512;
const MAX_SCALAR: usize = 48;

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The structure is malformed.
    #[error("malformed signature")]
    Wire(#[from] WireError),
    /// The signature is over a digest of another algorithm than SHA-256.
    #[error("a signature over a {0:?} digest is not accepted")]
    HashRefused(HashAlgorithm),
    /// The key signs by another scheme, by another hash, or by whatever a command says.
    #[error("the key does not sign by the scheme of this signature")]
    SchemeMismatch,
    /// The public key is not a key.
    #[error("unusable public key")]
    Key(#[from] KeyError),
    /// The signature is not this key's over this message.
    #[error("the signature does not verify")]
    Invalid,
}

/// A signature over a SHA-256 digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// ECDSA.
    Ecdsa {
        /// Big-endian integer.
        r: Vec<u8>,
        /// Big-endian integer.
        s: Vec<u8>,
    },
    /// RSASSA-PKCS1-v1_5.
    Rsassa(Vec<u8>),
    /// RSASSA-PSS.
    Rsapss(Vec<u8>),
}

impl Signature {
    /// Reads a whole TPMT_SIGNATURE; other hashes than SHA-256 are refused by name.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignatureError> {
        let mut reader = Reader::new(bytes);
        let signature = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(signature)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, SignatureError> {
        let scheme = reader.u16()?;
        if !matches!(scheme, algorithms::ECDSA | algorithms::RSASSA | algorithms::RSAPSS) {
            return Err(WireError::Value { what: "signature scheme", value: u32::from(scheme) }.into());
        }
        let hash = HashAlgorithm::read(reader)?;
        if hash != HashAlgorithm::Sha256 {
            return Err(SignatureError::HashRefused(hash));
        }
        Ok(match scheme {
            algorithms::ECDSA => Self::Ecdsa {
                r: reader.sized("ECDSA r", MAX_SCALAR)?.to_vec(),
                s: reader.sized("ECDSA s", MAX_SCALAR)?.to_vec(),
            },
            algorithms::RSASSA => Self::Rsassa(reader.sized("RSA signature", MAX_RSA)?.to_vec()),
            _ => Self::Rsapss(reader.sized("RSA signature", MAX_RSA)?.to_vec()),
        })
    }

    /// The TPMT_SIGNATURE.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new();
        let sha256 = HashAlgorithm::Sha256.id();
        match self {
            Self::Ecdsa { r, s } => {
                writer.u16(algorithms::ECDSA).u16(sha256).sized("ECDSA r", r).sized("ECDSA s", s);
            }
            Self::Rsassa(value) => {
                writer.u16(algorithms::RSASSA).u16(sha256).sized("RSA signature", value);
            }
            Self::Rsapss(value) => {
                writer.u16(algorithms::RSAPSS).u16(sha256).sized("RSA signature", value);
            }
        }
        writer.finish()
    }

    /// An ECDSA signature on P-256 in the DER form of X.509 (RFC 3279, 2.2.3).
    pub fn to_p256_der(&self) -> Result<Vec<u8>, SignatureError> {
        match self {
            Self::Ecdsa { r, s } => {
                Ok(p256::ecdsa::Signature::from_scalars(keys::integer::<32>(r)?, keys::integer::<32>(s)?)
                    .map_err(|_| SignatureError::Invalid)?
                    .to_der()
                    .as_bytes()
                    .to_vec())
            }
            Self::Rsassa(_) | Self::Rsapss(_) => Err(SignatureError::SchemeMismatch),
        }
    }

    fn scheme(&self) -> Scheme {
        match self {
            Self::Ecdsa { .. } => Scheme::Ecdsa(HashAlgorithm::Sha256),
            Self::Rsassa(_) => Scheme::Rsassa(HashAlgorithm::Sha256),
            Self::Rsapss(_) => Scheme::Rsapss(HashAlgorithm::Sha256),
        }
    }
}

/// Checks that `signature` is the key's over `message`, by exactly the scheme and hash that the key's public area names.
pub fn verify_signature(
    public: &PublicArea,
    message: &[u8],
    signature: &Signature,
) -> Result<(), SignatureError> {
    if public.scheme() != signature.scheme() {
        return Err(SignatureError::SchemeMismatch);
    }
    let digest = Sha256::digest(message);
    match (public.key(), signature) {
        (Key::Ecc { curve: Curve::P256, x, y, .. }, Signature::Ecdsa { r, s }) => {
            let signature =
                p256::ecdsa::Signature::from_scalars(keys::integer::<32>(r)?, keys::integer::<32>(s)?)
                    .map_err(|_| SignatureError::Invalid)?;
            p256::ecdsa::VerifyingKey::from(keys::p256(x, y)?)
                .verify_prehash(&digest, &signature)
                .map_err(|_| SignatureError::Invalid)
        }
        (Key::Ecc { curve: Curve::P384, x, y, .. }, Signature::Ecdsa { r, s }) => {
            let signature =
                p384::ecdsa::Signature::from_scalars(keys::integer::<48>(r)?, keys::integer::<48>(s)?)
                    .map_err(|_| SignatureError::Invalid)?;
            p384::ecdsa::VerifyingKey::from(keys::p384(x, y)?)
                .verify_prehash(&digest, &signature)
                .map_err(|_| SignatureError::Invalid)
        }
        (Key::Rsa { exponent, modulus, .. }, Signature::Rsassa(value)) => {
            let key = rsa::pkcs1v15::VerifyingKey::<Sha256>::new(keys::rsa(modulus, *exponent)?);
            let signature =
                rsa::pkcs1v15::Signature::try_from(value.as_slice()).map_err(|_| SignatureError::Invalid)?;
            key.verify_prehash(&digest, &signature).map_err(|_| SignatureError::Invalid)
        }
        (Key::Rsa { exponent, modulus, .. }, Signature::Rsapss(value)) => {
            // TPMs differ in the salt's length (Part 1, B.7): the key decides, so it is taken from the signature.
            let key =
                rsa::pss::VerifyingKey::<Sha256>::new_with_auto_salt_len(keys::rsa(modulus, *exponent)?);
            let signature =
                rsa::pss::Signature::try_from(value.as_slice()).map_err(|_| SignatureError::Invalid)?;
            key.verify_prehash(&digest, &signature).map_err(|_| SignatureError::Invalid)
        }
        (Key::Ecc { .. } | Key::Rsa { .. } | Key::Sealed { .. }, _) => Err(SignatureError::SchemeMismatch),
    }
}
