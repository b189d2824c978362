//! Public keys, signatures and the trait behind which private keys stay where they are.

use alloc::{boxed::Box, vec::Vec};

use der::{AnyRef, Decode, Reader, SliceReader, Tag, asn1::UintRef};
use p256::ecdsa::signature::{Signer, hazmat::PrehashVerifier};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::{
    asn1::{self, malformed},
    oid::Oid,
};

/// RSA moduli outside this range (in bits) are refused.
const RSA_BITS: core::ops::RangeInclusive<u32> = 2048..=4096;

/// A P-256 private key that stays where it was made: in a TPM, in a process, in a test.
pub trait SigningKey: Send + Sync {
    /// DER of the SubjectPublicKeyInfo.
    fn public_key_spki(&self) -> &[u8];
    /// ECDSA with SHA-256 over `message`; the answer is a DER `ECDSA-Sig-Value` (RFC 3279, 2.2.3).
    fn sign_sha256(&self, message: &[u8]) -> Result<Vec<u8>, SigningError>;
}

/// Why a key did not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The device or provider that holds the key answered with an error.
    #[error("the holder of the key did not sign")]
    Holder,
    /// The holder's answer is not an ECDSA signature over P-256.
    #[error("the holder of the key answered with something that is no signature")]
    Answer,
}

/// Why bytes are not a public key that we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Not a SubjectPublicKeyInfo in DER.
    #[error("public key is not well-formed DER")]
    Der,
    /// Another algorithm or curve than P-256, P-384 and RSA.
    #[error("public key algorithm is not supported")]
    Algorithm,
    /// Not a point of the curve, or an RSA modulus or exponent out of bounds.
    #[error("public key value is out of bounds")]
    Value,
}

/// Why a signature was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The algorithm does not belong to this kind of key.
    #[error("signature algorithm does not fit the key")]
    Algorithm,
    /// The signature does not verify.
    #[error("signature does not verify")]
    Invalid,
}

/// The signature algorithms that a certificate may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256.
    EcdsaSha256,
    /// ecdsa-with-SHA384.
    EcdsaSha384,
    /// sha256WithRSAEncryption (PKCS#1 v1.5).
    RsaSha256,
    /// sha384WithRSAEncryption.
    RsaSha384,
    /// sha512WithRSAEncryption.
    RsaSha512,
}

impl SignatureAlgorithm {
    /// AlgorithmIdentifier of ES256: the parameters are absent (RFC 5758, 3.2).
    pub(crate) fn es256_identifier() -> Vec<u8> {
        asn1::sequence(&[&asn1::oid(Oid::ECDSA_SHA256)])
    }

    /// Reads one AlgorithmIdentifier; `Ok(None)` when it is well formed and not one of ours.
    pub(crate) fn read(reader: &mut SliceReader<'_>) -> der::Result<Option<Self>> {
        reader.sequence(|inner| {
            let oid = asn1::read_oid(inner)?;
            let parameters: Option<AnyRef<'_>> =
                if inner.is_finished() { None } else { Some(AnyRef::decode(inner)?) };
            let ecdsa = parameters.is_none();
            // RFC 4055, 5: the parameters MUST be NULL.
            let rsa = parameters.is_some_and(|any| any.is_null());
            Ok([
                (Oid::ECDSA_SHA256, ecdsa, Self::EcdsaSha256),
                (Oid::ECDSA_SHA384, ecdsa, Self::EcdsaSha384),
                (Oid::RSA_SHA256, rsa, Self::RsaSha256),
                (Oid::RSA_SHA384, rsa, Self::RsaSha384),
                (Oid::RSA_SHA512, rsa, Self::RsaSha512),
            ]
            .into_iter()
            .find(|(known, fits, _)| known.as_bytes() == oid && *fits)
            .map(|(_, _, algorithm)| algorithm))
        })
    }
}

/// A public key that may verify certificates, requests, tokens and quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// NIST P-256: all keys that the project makes.
    P256(Box<p256::ecdsa::VerifyingKey>),
    /// NIST P-384: endorsement keys and their authorities.
    P384(Box<p384::ecdsa::VerifyingKey>),
    /// RSA of 2048 to 4096 bits: endorsement keys and their authorities.
    Rsa(Box<rsa::PublicKey>),
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7; RFC 5480; RFC 3279, 2.3.1).
    pub fn from_spki(der: &[u8]) -> Result<Self, PublicKeyError> {
        let (algorithm, parameters, key) = asn1::whole(der, |reader| {
            reader.sequence(|spki| {
                let (algorithm, parameters) = spki.sequence(|identifier| {
                    let oid = asn1::read_oid(identifier)?;
                    Ok::<_, der::Error>((oid, identifier.tlv_bytes()?))
                })?;
                Ok((algorithm, parameters, asn1::read_bit_string(spki)?))
            })
        })
        .map_err(|_| PublicKeyError::Der)?;
        if algorithm == Oid::RSA.as_bytes() {
            return if parameters == [5, 0] { rsa_key(key) } else { Err(PublicKeyError::Algorithm) };
        }
        if algorithm != Oid::EC_PUBLIC_KEY.as_bytes() {
            return Err(PublicKeyError::Algorithm);
        }
        // Only the uncompressed form: one key, one encoding.
        let uncompressed = key.first() == Some(&4);
        let value = |ok: bool| if ok { Ok(()) } else { Err(PublicKeyError::Value) };
        if parameters == asn1::oid(Oid::P256) {
            value(uncompressed && key.len() == 65)?;
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| PublicKeyError::Value)?;
            Ok(Self::P256(Box::new(key)))
        } else if parameters == asn1::oid(Oid::P384) {
            value(uncompressed && key.len() == 97)?;
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| PublicKeyError::Value)?;
            Ok(Self::P384(Box::new(key)))
        } else {
            Err(PublicKeyError::Algorithm)
        }
    }

    /// Verifies a DER (ECDSA) or PKCS#1 v1.5 (RSA) signature over `message`.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        use SignatureAlgorithm::{EcdsaSha256, EcdsaSha384, RsaSha256, RsaSha384, RsaSha512};
        let verified = match (self, algorithm) {
            (Self::P256(key), EcdsaSha256) => verify_p256(key, &Sha256::digest(message), signature),
            (Self::P256(key), EcdsaSha384) => verify_p256(key, &Sha384::digest(message), signature),
            (Self::P384(key), EcdsaSha256) => verify_p384(key, &Sha256::digest(message), signature),
            (Self::P384(key), EcdsaSha384) => verify_p384(key, &Sha384::digest(message), signature),
            (Self::Rsa(key), RsaSha256) => key.pkcs1v15_verify::<Sha256>(message, signature).is_ok(),
            (Self::Rsa(key), RsaSha384) => key.pkcs1v15_verify::<Sha384>(message, signature).is_ok(),
            (Self::Rsa(key), RsaSha512) => key.pkcs1v15_verify::<Sha512>(message, signature).is_ok(),
            (Self::P256(_) | Self::P384(_), RsaSha256 | RsaSha384 | RsaSha512)
            | (Self::Rsa(_), EcdsaSha256 | EcdsaSha384) => return Err(SignatureError::Algorithm),
        };
        if verified { Ok(()) } else { Err(SignatureError::Invalid) }
    }

    /// Verifies a raw `r | s` signature of ES256 (RFC 7518, 3.4) over `message`.
    pub fn verify_es256_raw(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let Self::P256(key) = self else { return Err(SignatureError::Algorithm) };
        let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| SignatureError::Invalid)?;
        key.verify_prehash(&Sha256::digest(message), &signature).map_err(|_| SignatureError::Invalid)
    }

    /// The two coordinates, 32 bytes each, of a P-256 key.
    pub fn p256_coordinates(&self) -> Option<([u8; 32], [u8; 32])> {
        let Self::P256(key) = self else { return None };
        let point = key.to_sec1_point(false);
        let (_, coordinates) = point.as_bytes().split_first()?;
        let (x, rest) = coordinates.split_first_chunk::<32>()?;
        Some((*x, *rest.first_chunk::<32>()?))
    }
}

/// SubjectPublicKeyInfo of a P-256 point given as two coordinates. Does not check that it is on the curve.
pub fn p256_spki(x: &[u8; 32], y: &[u8; 32]) -> Vec<u8> {
    let identifier = asn1::sequence(&[&asn1::oid(Oid::EC_PUBLIC_KEY), &asn1::oid(Oid::P256)]);
    asn1::sequence(&[&identifier, &asn1::bit_string(&[&[4][..], x, y].concat())])
}

/// Turns a DER `ECDSA-Sig-Value` over P-256 into `r | s`, 64 bytes.
pub fn ecdsa_der_to_raw(der: &[u8]) -> Result<[u8; 64], SignatureError> {
    let signature = p256::ecdsa::Signature::from_der(der).map_err(|_| SignatureError::Invalid)?;
    Ok(signature.to_bytes().into())
}

/// Turns `r | s` (64 bytes) over P-256 into a DER `ECDSA-Sig-Value`.
pub fn ecdsa_raw_to_der(raw: &[u8; 64]) -> Result<Vec<u8>, SignatureError> {
    let signature = p256::ecdsa::Signature::from_slice(raw).map_err(|_| SignatureError::Invalid)?;
    Ok(signature.to_der().as_bytes().to_vec())
}

/// A P-256 key in memory on the pure floor's crypto: for the browser and for tests. Services use
/// `attested_tls::LocalKey`. Signatures are deterministic (RFC 6979).
pub struct SoftwareKey {
    key: p256::ecdsa::SigningKey,
    spki: Vec<u8>,
}

impl SoftwareKey {
    /// A key from 32 secret bytes, which the caller draws at random. `None` for values that are no scalar.
    pub fn from_bytes(secret: &[u8; 32]) -> Option<Self> {
        let key = p256::ecdsa::SigningKey::from_slice(secret).ok()?;
        let public = PublicKey::P256(Box::new(*key.verifying_key()));
        let (x, y) = public.p256_coordinates()?;
        Some(Self { key, spki: p256_spki(&x, &y) })
    }
}

impl SigningKey for SoftwareKey {
    fn public_key_spki(&self) -> &[u8] {
        &self.spki
    }

    fn sign_sha256(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let signature: p256::ecdsa::Signature =
            self.key.try_sign(message).map_err(|_| SigningError::Holder)?;
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

fn verify_p256(key: &p256::ecdsa::VerifyingKey, digest: &[u8], signature: &[u8]) -> bool {
    p256::ecdsa::Signature::from_der(signature)
        .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok())
}

fn verify_p384(key: &p384::ecdsa::VerifyingKey, digest: &[u8], signature: &[u8]) -> bool {
    p384::ecdsa::Signature::from_der(signature)
        .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok())
}

fn rsa_key(der: &[u8]) -> Result<PublicKey, PublicKeyError> {
    let (modulus, exponent) = asn1::whole(der, |reader| {
        reader.sequence(|key| {
            let modulus = UintRef::decode(key)?;
            let exponent = UintRef::decode(key)?;
            if modulus.is_empty() { Err(malformed(Tag::Integer)) } else { Ok((modulus, exponent)) }
        })
    })
    .map_err(|_| PublicKeyError::Der)?;
    rsa_from_parts(modulus.as_bytes(), exponent.as_bytes())
}

fn rsa_from_parts(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, PublicKeyError> {
    let bits = (modulus.len() as u32).saturating_mul(8);
    if !RSA_BITS.contains(&bits) || exponent.len() > 4 {
        return Err(PublicKeyError::Value);
    }
    let modulus = rsa::BoxedUint::from_be_slice(modulus, bits).map_err(|_| PublicKeyError::Value)?;
    let exponent = rsa::BoxedUint::from_be_slice(exponent, 32).map_err(|_| PublicKeyError::Value)?;
    let key = rsa::PublicKey::new(modulus, exponent).map_err(|_| PublicKeyError::Value)?;
    Ok(PublicKey::Rsa(Box::new(key)))
}
