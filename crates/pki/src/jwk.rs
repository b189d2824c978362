//! Key sets (RFC 7517) of P-256 public keys. A key's id is its RFC 7638 thumbprint, and is checked when read.

use alloc::{format, string::String, vec::Vec};

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};

use crate::{
    sha256,
    signature::{PublicKey, p256_spki},
};

/// Longer key sets are refused.
pub const MAX_SET: usize = 64 * 1024;
/// More keys are refused: each gateway has one or two, and those of gateways that are gone stay for minutes.
const MAX_KEYS: usize = 64;

/// Why a key or a key set was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// More than 64 KiB or more than 64 keys.
    #[error("key set is too large")]
    TooLarge,
    /// Not JSON of the expected shape; a member of a private key is refused too.
    #[error("key set is not well formed")]
    Form,
    /// Not a P-256 public key.
    #[error("key is not a P-256 key")]
    Key,
    /// The key's id is not its thumbprint.
    #[error("key id is not the key's thumbprint")]
    KeyId,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
    kid: String,
    alg: String,
    #[serde(rename = "use")]
    usage: String,
}

#[derive(Serialize, Deserialize)]
struct RawSet {
    keys: Vec<RawJwk>,
}

/// One public key with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    id: String,
    x: [u8; 32],
    y: [u8; 32],
    key: PublicKey,
}

impl Jwk {
    /// From a SubjectPublicKeyInfo.
    pub fn from_spki(spki: &[u8]) -> Result<Self, JwkError> {
        let key = PublicKey::from_spki(spki).map_err(|_| JwkError::Key)?;
        let (x, y) = key.p256_coordinates().ok_or(JwkError::Key)?;
        Ok(Self { id: thumbprint(&x, &y), x, y, key })
    }

    /// The key's id: its thumbprint.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Parses one key by itself.
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        if json.len() > MAX_SET {
            return Err(JwkError::TooLarge);
        }
        Self::from_raw(&serde_json::from_slice(json).map_err(|_| JwkError::Form)?)
    }

    /// The key as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.to_raw()).unwrap_or_default()
    }

    fn from_raw(raw: &RawJwk) -> Result<Self, JwkError> {
        if (raw.kty.as_str(), raw.crv.as_str(), raw.alg.as_str(), raw.usage.as_str())
            != ("EC", "P-256", "ES256", "sig")
        {
            return Err(JwkError::Key);
        }
        let key = Self::from_spki(&p256_spki(&coordinate(&raw.x)?, &coordinate(&raw.y)?))?;
        if key.id == raw.kid { Ok(key) } else { Err(JwkError::KeyId) }
    }

    fn to_raw(&self) -> RawJwk {
        RawJwk {
            kty: "EC".into(),
            crv: "P-256".into(),
            x: Base64UrlUnpadded::encode_string(&self.x),
            y: Base64UrlUnpadded::encode_string(&self.y),
            kid: self.id.clone(),
            alg: "ES256".into(),
            usage: "sig".into(),
        }
    }
}

/// The keys whose tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Jwks {
    keys: Vec<Jwk>,
}

impl Jwks {
    /// A set of these keys; at most 64.
    pub fn new(keys: Vec<Jwk>) -> Result<Self, JwkError> {
        if keys.len() > MAX_KEYS { Err(JwkError::TooLarge) } else { Ok(Self { keys }) }
    }

    /// Parses a key set; one key that is not ours spoils it.
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        if json.len() > MAX_SET {
            return Err(JwkError::TooLarge);
        }
        let raw: RawSet = serde_json::from_slice(json).map_err(|_| JwkError::Form)?;
        if raw.keys.len() > MAX_KEYS {
            return Err(JwkError::TooLarge);
        }
        Ok(Self { keys: raw.keys.iter().map(Jwk::from_raw).collect::<Result<_, _>>()? })
    }

    /// The set as JSON.
    pub fn to_json(&self) -> String {
        let raw = RawSet { keys: self.keys.iter().map(Jwk::to_raw).collect() };
        serde_json::to_string(&raw).unwrap_or_default()
    }

    /// The key of this id.
    pub fn key(&self, id: &str) -> Option<&Jwk> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// All keys.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }
}

/// RFC 7638, 3: the required members in lexical order, no white space.
fn thumbprint(x: &[u8; 32], y: &[u8; 32]) -> String {
    let canonical = format!(
        r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
        Base64UrlUnpadded::encode_string(x),
        Base64UrlUnpadded::encode_string(y)
    );
    Base64UrlUnpadded::encode_string(&sha256(canonical.as_bytes()))
}

fn coordinate(text: &str) -> Result<[u8; 32], JwkError> {
    let bytes = Base64UrlUnpadded::decode_vec(text).map_err(|_| JwkError::Key)?;
    bytes.try_into().map_err(|_| JwkError::Key)
}
