//! Public areas as keys of the crypto crates, the only place that knows both.

use alloc::vec::Vec;

use p256::pkcs8::EncodePublicKey;
use rsa::BoxedUint;
use rsa::pkcs1::EncodeRsaPublicKey;

use crate::algorithms::Curve;
use crate::public::{Key, PublicArea, rsa_exponent};

/// Why a public area is not a usable public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The point is not on the curve.
    #[error("the point is not on the curve")]
    Point,
    /// The modulus or exponent is not one of an RSA key.
    #[error("the modulus or exponent is not that of an RSA key")]
    Rsa,
    /// An integer is longer than the curve has room for.
    #[error("an integer is too long for the curve")]
    Integer,
    /// The object is not an asymmetric key.
    #[error("the object is not an asymmetric key")]
    NotAsymmetric,
}

impl PublicArea {
    /// The key as SubjectPublicKeyInfo DER (RFC 5280, 4.1.2.7).
    pub fn spki_der(&self) -> Result<Vec<u8>, KeyError> {
        let document = match self.key() {
            Key::Ecc { curve: Curve::P256, x, y, .. } => {
                p256(x, y)?.to_public_key_der().map_err(|_| KeyError::Point)?
            }
            Key::Ecc { curve: Curve::P384, x, y, .. } => {
                p384(x, y)?.to_public_key_der().map_err(|_| KeyError::Point)?
            }
            Key::Rsa { exponent, modulus, .. } => {
                rsa(modulus, *exponent)?.to_public_key_der().map_err(|_| KeyError::Rsa)?
            }
            Key::Sealed { .. } => return Err(KeyError::NotAsymmetric),
        };
        Ok(document.as_bytes().to_vec())
    }
}

impl PublicArea {
    /// The content of the SubjectPublicKeyInfo's bit string: an uncompressed point or an RSAPublicKey.
    pub fn subject_public_key(&self) -> Result<Vec<u8>, KeyError> {
        match self.key() {
            Key::Ecc { curve: Curve::P256, x, y, .. } => Ok(p256(x, y)?.to_sec1_bytes().into_vec()),
            Key::Ecc { curve: Curve::P384, x, y, .. } => Ok(p384(x, y)?.to_sec1_bytes().into_vec()),
            Key::Rsa { exponent, modulus, .. } => {
                let document = rsa(modulus, *exponent)?.to_pkcs1_der().map_err(|_| KeyError::Rsa)?;
                Ok(document.as_bytes().to_vec())
            }
            Key::Sealed { .. } => Err(KeyError::NotAsymmetric),
        }
    }
}

/// A TPM's integer as a fixed number of bytes. A TPM may leave out leading zeros (Part 2, 11.2.5.1).
pub(crate) fn integer<const N: usize>(bytes: &[u8]) -> Result<[u8; N], KeyError> {
    let mut fixed = [0u8; N];
    let offset = N.checked_sub(bytes.len()).ok_or(KeyError::Integer)?;
    fixed.get_mut(offset..).ok_or(KeyError::Integer)?.copy_from_slice(bytes);
    Ok(fixed)
}

fn point<const N: usize>(x: &[u8], y: &[u8]) -> Result<Vec<u8>, KeyError> {
    let (x, y): ([u8; N], [u8; N]) = (integer(x)?, integer(y)?);
    let mut point = Vec::with_capacity(1 + 2 * N);
    point.push(0x04);
    point.extend_from_slice(&x);
    point.extend_from_slice(&y);
    Ok(point)
}

pub(crate) fn p256(x: &[u8], y: &[u8]) -> Result<p256::PublicKey, KeyError> {
    p256::PublicKey::from_sec1_bytes(&point::<32>(x, y)?).map_err(|_| KeyError::Point)
}

pub(crate) fn p384(x: &[u8], y: &[u8]) -> Result<p384::PublicKey, KeyError> {
    p384::PublicKey::from_sec1_bytes(&point::<48>(x, y)?).map_err(|_| KeyError::Point)
}

pub(crate) fn rsa(modulus: &[u8], stated_exponent: u32) -> Result<rsa::PublicKey, KeyError> {
    let bits = u32::try_from(modulus.len() * 8).map_err(|_| KeyError::Rsa)?;
    let modulus = BoxedUint::from_be_slice(modulus, bits).map_err(|_| KeyError::Rsa)?;
    let exponent = BoxedUint::from(rsa_exponent(stated_exponent));
    rsa::PublicKey::new_with_size_limits(modulus, exponent, 2048..=4096).map_err(|_| KeyError::Rsa)
}
