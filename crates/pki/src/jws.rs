//! Compact JWS (RFC 7515) with ES256 and nothing else: one algorithm, a closed list of header members, canonical
//! base64url, bounds on everything. Claims are typed by the caller and only readable after verification.

use alloc::{format, string::String, vec::Vec};

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    certificate::Certificate,
    oid::Oid,
    path::{self, PathError, VerifiedChain},
    signature::{PublicKey, SignatureError, SigningError, SigningKey, ecdsa_der_to_raw},
};

/// Longer tokens are refused before they are decoded; verdicts carry a certificate chain.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Longest key id.
const MAX_KEY_ID: usize = 128;

/// Why a token was refused, or not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// More than 16 KiB.
    #[error("token is too large")]
    TooLarge,
    /// Not three parts of canonical base64url.
    #[error("token is not in compact form")]
    Form,
    /// The header is not JSON with only the members that we know, each once.
    #[error("token header is not acceptable")]
    Header,
    /// Another algorithm than ES256.
    #[error("token algorithm is not ES256")]
    Algorithm,
    /// Another type than the one expected.
    #[error("token is of another type")]
    Type,
    /// No certificate chain in the header.
    #[error("token carries no certificate chain")]
    NoChain,
    /// The chain leads to no anchor.
    #[error("token's certificate chain is refused")]
    Chain(#[from] PathError),
    /// The signature does not verify.
    #[error("token signature does not verify")]
    Signature,
    /// The claims are not JSON of the expected shape, each member once.
    #[error("token claims are not acceptable")]
    Claims,
    /// The key did not sign.
    #[error("token was not signed")]
    Signing(#[from] SigningError),
}

impl From<SignatureError> for JwsError {
    fn from(_: SignatureError) -> Self {
        Self::Signature
    }
}

/// The header members that are understood; any other (`crit`, `jku`, `jwk`, `b64` among them) is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader {
    alg: String,
    typ: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x5c: Option<Vec<String>>,
}

/// How the token names its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyHint {
    /// `kid`: the id of a key that the reader already has.
    Id(String),
    /// `x5c`: DER certificates, leaf first.
    Chain(Vec<Vec<u8>>),
}

/// A token that was taken apart; nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<'a> {
    typ: String,
    key_id: Option<String>,
    chain: Option<Vec<Vec<u8>>>,
    signing_input: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// A token whose signature was verified. Made only by [`Unverified::verify`] and its relatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    payload: Vec<u8>,
}

impl Verified {
    /// Reads the claims. Members that `T` has may appear only once; whether unknown ones are allowed is `T`'s choice.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, JwsError> {
        serde_json::from_slice(&self.payload).map_err(|_| JwsError::Claims)
    }

    /// The payload as signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

impl<'a> Unverified<'a> {
    /// Takes a compact token apart.
    pub fn parse(token: &'a str) -> Result<Self, JwsError> {
        if token.len() > MAX_TOKEN {
            return Err(JwsError::TooLarge);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(JwsError::Form)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::Form)?;
        let decode = |part: &str| Base64UrlUnpadded::decode_vec(part).map_err(|_| JwsError::Form);
        let signature = decode(signature)?;
        let payload = decode(payload)?;
        if signature.len() != 64 {
            return Err(JwsError::Form);
        }
        let header: RawHeader = serde_json::from_slice(&decode(header)?).map_err(|_| JwsError::Header)?;
        if header.alg != "ES256" {
            return Err(JwsError::Algorithm);
        }
        if header.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KEY_ID) {
            return Err(JwsError::Header);
        }
        let chain = header.x5c.map(|chain| decode_chain(&chain)).transpose()?;
        Ok(Self { typ: header.typ, key_id: header.kid, chain, signing_input, payload, signature })
    }

    /// The header's `typ`.
    pub fn typ(&self) -> &str {
        &self.typ
    }

    /// The header's `kid`.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The header's `x5c` as DER, leaf first.
    pub fn chain(&self) -> Option<&[Vec<u8>]> {
        self.chain.as_deref()
    }

    /// Refuses a token of another type.
    pub fn expect_type(self, typ: &str) -> Result<Self, JwsError> {
        if self.typ == typ { Ok(self) } else { Err(JwsError::Type) }
    }

    /// Verifies the signature with a key that the caller chose.
    pub fn verify(self, key: &PublicKey) -> Result<Verified, JwsError> {
        key.verify_es256_raw(self.signing_input.as_bytes(), &self.signature)?;
        Ok(Verified { payload: self.payload })
    }

    /// Verifies the token's own chain against `anchors`, and the signature with the leaf's key.
    pub fn verify_chain(
        self,
        anchors: &[Certificate],
        now: u64,
        purpose: Oid,
    ) -> Result<(Verified, VerifiedChain), JwsError> {
        let chain = self.chain.as_deref().ok_or(JwsError::NoChain)?;
        let verified = path::verify(chain, anchors, now, purpose)?;
        let key = verified.leaf().public_key().map_err(|_| JwsError::Signature)?;
        Ok((self.verify(&key)?, verified))
    }
}

/// Makes a compact token.
pub fn sign<T: Serialize>(
    typ: &str,
    hint: &KeyHint,
    claims: &T,
    key: &dyn SigningKey,
) -> Result<String, JwsError> {
    let (kid, x5c) = match hint {
        KeyHint::Id(id) => (Some(id.clone()), None),
        KeyHint::Chain(chain) => (None, Some(chain.iter().map(|der| Base64::encode_string(der)).collect())),
    };
    let header = RawHeader { alg: "ES256".into(), typ: typ.into(), kid, x5c };
    let header = serde_json::to_vec(&header).map_err(|_| JwsError::Header)?;
    let claims = serde_json::to_vec(claims).map_err(|_| JwsError::Claims)?;
    let signing_input = format!(
        "{}.{}",
        Base64UrlUnpadded::encode_string(&header),
        Base64UrlUnpadded::encode_string(&claims)
    );
    let signature = ecdsa_der_to_raw(&key.sign_sha256(signing_input.as_bytes())?)?;
    let token = format!("{signing_input}.{}", Base64UrlUnpadded::encode_string(&signature));
    if token.len() > MAX_TOKEN { Err(JwsError::TooLarge) } else { Ok(token) }
}

/// `x5c` is standard base64 with padding (RFC 7515, 4.1.6).
fn decode_chain(chain: &[String]) -> Result<Vec<Vec<u8>>, JwsError> {
    if chain.is_empty() || chain.len() > path::MAX_CHAIN {
        return Err(JwsError::Header);
    }
    chain.iter().map(|text| Base64::decode_vec(text).map_err(|_| JwsError::Header)).collect()
}
