//! An RSA-2048 test key, for TPMs that have no elliptic curves. Its primes are published here: it protects nothing.

use std::convert::Infallible;

use names::unhex;
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::sha2::Sha256;
use rsa::signature::{RandomizedSigner, SignatureEncoding};
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, PrivateKey, pkcs1v15, pss};
use tpm2::Signature;
use tpm2::algorithms::HashAlgorithm;
use tpm2::public::Scheme;

/// How an RSA key signs, with SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RsaScheme {
    /// PKCS #1 v1.5.
    Rsassa,
    /// PSS.
    Rsapss,
}

impl RsaScheme {
    pub(crate) const fn in_public_area(self) -> Scheme {
        match self {
            Self::Rsassa => Scheme::Rsassa(HashAlgorithm::Sha256),
            Self::Rsapss => Scheme::Rsapss(HashAlgorithm::Sha256),
        }
    }
}

// `openssl genrsa 2048`, once, for these tests.
const PRIME_1: &str = "\
    f01619eaed588fc8931d11849dc47a0c592e95b16b1dd4bf871efc47c0f4315a223a9dd4fbbadef3e3e35c19e3db55fe\
    c9a3ee7c87f581b9eaec8728fdca99b64dddea94285cc1dccd0595d1839ced889baa60974992a0e507a8fdaea376ab58\
    49fa82fd3e9d458a1c0a18f025de5b35ce37848c56e56be79e41bd9a568d418f";
const PRIME_2: &str = "\
    db05122b6d8b8a26d12f935fa58418933439931f689ca893802ece8f68d89e4a843b9c0a034db70685dd2a913c513c2d\
    621b1a85aa84158908673b78003d18555f5712935ed01d9906a8bfb3b78de85ca57d41b054ee396d5804dd58bec8d785\
    360331c2dba79b14381c6ea97adcc410b01ddc1e2b0996a967c89e5210b2a943";

pub(crate) struct RsaKey {
    secret: PrivateKey,
    scheme: RsaScheme,
}

impl RsaKey {
    pub(crate) fn test_key(scheme: RsaScheme) -> Self {
        let prime = |text| {
            let bytes: [u8; 128] = unhex(text).expect("it is 128 bytes of hex");
            BoxedUint::from_be_slice(&bytes, 1024).expect("128 bytes are 1024 bits")
        };
        let secret = PrivateKey::from_p_q(prime(PRIME_1), prime(PRIME_2), BoxedUint::from(65_537u32));
        Self { secret: secret.expect("the numbers are prime"), scheme }
    }

    pub(crate) fn modulus(&self) -> Vec<u8> {
        self.secret.n_bytes().to_vec()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        let (key, mut salt) = (self.secret.clone(), Counter(0));
        match self.scheme {
            RsaScheme::Rsassa => {
                let signer = pkcs1v15::SigningKey::<Sha256>::new(key);
                Signature::Rsassa(signer.sign_with_rng(&mut salt, message).to_vec())
            }
            RsaScheme::Rsapss => {
                let signer = pss::SigningKey::<Sha256>::new(key);
                Signature::Rsapss(signer.sign_with_rng(&mut salt, message).to_vec())
            }
        }
    }
}

/// A source of bytes that are the same each time, so that the evidence is.
struct Counter(u8);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}
