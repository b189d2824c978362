//! Key sets of other providers (RFC 7517): those keys that we can check signatures with; the others are passed over.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;

/// More keys are refused.
const KEYS: usize = 64;

/// Why a key set is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not JSON of the expected shape.
    #[error("key set is not well formed")]
    Form,
    /// Too many keys.
    #[error("key set is too large")]
    TooLarge,
}

/// Signature algorithms that are accepted. No symmetric one: what checks must not be able to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<RawKey>,
}

#[derive(Deserialize)]
struct RawKey {
    #[serde(default)]
    kid: Option<String>,
    kty: String,
    #[serde(rename = "use", default)]
    usage: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256([u8; 65]),
    Ed25519([u8; 32]),
}

struct Key {
    id: Option<String>,
    material: Material,
}

/// Keys of a provider.
#[derive(Default)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads a key set.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(json: &[u8]) -> Result<Self, KeyError> {
        let raw: RawSet = serde_json::from_slice(json).map_err(|_| KeyError::Form)?;
        if raw.keys.len() > KEYS {
            return Err(KeyError::TooLarge);
        }
        Ok(Self(raw.keys.into_iter().filter_map(Key::read).collect()))
    }

    /// The key of this id for this algorithm; without an id only where there is one for the algorithm.
    pub(crate) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Verified {
        let mut fitting = self
            .0
            .iter()
            .filter(|key| key.material.algorithm() == algorithm && (id.is_none() || key.id.as_deref() == id));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) if key.material.verify(message, signature) => Verified::Right,
            (Some(_), None) => Verified::Wrong,
            (None, _) | (Some(_), Some(_)) => Verified::NoKey,
        }
    }
}

/// What came of checking a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verified {
    Right,
    Wrong,
    /// None of this id for the algorithm, or several.
    NoKey,
}

impl Key {
    fn read(raw: RawKey) -> Option<Self> {
        if raw.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |text: Option<String>| Base64UrlUnpadded::decode_vec(&text?).ok();
        let material = match (raw.kty.as_str(), raw.crv.as_deref()) {
            ("RSA", None) => Material::Rsa { n: bytes(raw.n)?, e: bytes(raw.e)? },
            ("EC", Some("P-256")) => {
                let mut point = [4; 65];
                point[1..33].copy_from_slice(bytes(raw.x)?.get(..).filter(|x| x.len() == 32)?);
                point[33..].copy_from_slice(bytes(raw.y)?.get(..).filter(|y| y.len() == 32)?);
                Material::P256(point)
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(raw.x)?.try_into().ok()?),
            _ => return None,
        };
        // A key that says for which algorithm it is, is for no other.
        let same = raw.alg.is_none_or(|alg| Algorithm::parse(&alg) == Some(material.algorithm()));
        same.then_some(Self { id: raw.kid, material })
    }
}

impl Material {
    const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        };
        verified.is_ok()
    }
}
