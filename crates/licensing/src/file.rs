//! The licence file: what a licence allows, signed with Ed25519, to be checked without asking anybody. Format: docs/formats.md, 10.
//!
//! Invariant: a [`LicenseFile`] comes out of [`LicenseFile::verify`] alone, so whoever holds one holds a file that a known key signed and that
//! was in force at the time of the check.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64ct::{Base64, Encoding};
use names::{Digest, hex};
use serde::{Deserialize, Serialize};

use crate::{AkName, Entitlement, LicenseId, PlanCode, armour};

/// Longest file, in bytes.
pub const MAX_FILE: usize = 64 * 1024;
/// Most keys that a file is tried with.
pub const MAX_KEYS: usize = 16;
/// Shortest life that can be asked for, in seconds: one hour.
pub const MIN_TTL: u64 = 3600;
/// Longest life, in seconds: 31 days.
pub const MAX_TTL: u64 = 31 * 86_400;
/// The only value of `alg`.
pub const ALGORITHM: &str = "base64+ed25519";
/// What the signature covers before `enc`: it can't be taken for a signature over anything else.
pub const SIGNING_PREFIX: &str = "sealwright/license/v1.";
/// The only value of `format`.
const FORMAT: &str = "sealwright/license/v1";
/// How far the issuer's clock may run ahead, in seconds.
const MAX_SKEW: u64 = 60;
/// Most entitlements in a file.
const MAX_ENTITLEMENTS: usize = 512;

/// The outer JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    enc: String,
    sig: String,
    alg: String,
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    format: String,
    /// Id of the signing key: see [`VerifyKey::id`].
    pub kid: String,
    /// The licence.
    pub license: LicenseId,
    /// Its plan.
    pub plan: PlanCode,
    /// What it covers, sorted, each once.
    pub entitlements: Vec<Entitlement>,
    /// For whom.
    pub holder: Holder,
    /// TPM name of the attestation key of the one node; null for any.
    #[serde(deserialize_with = "present")]
    pub node: Option<AkName>,
    /// Unix seconds.
    pub issued: u64,
    /// Unix seconds: `issued + ttl`.
    pub expiry: u64,
    /// Seconds, at most [`MAX_TTL`].
    pub ttl: u64,
}

/// Without this serde takes an absent member for null.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<AkName>, D::Error> {
    Option::deserialize(deserializer)
}

/// Who may use a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// Id of the account.
    pub user: String,
    /// SHA-256 of the public key (SPKI) of the client that asked.
    pub owner_key: Digest,
}

/// A public key that signs licence files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyKey([u8; 32]);

impl VerifyKey {
    /// Takes the 32 bytes of RFC 8032, 5.1.2.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its id: the first 16 hex digits of `SHA-256("sealwright/license-key/v1" | key)`.
    #[must_use]
    pub fn id(&self) -> String {
        let mut bytes = b"sealwright/license-key/v1".to_vec();
        bytes.extend_from_slice(&self.0);
        let digest = Digest::of(&bytes);
        hex(digest.as_bytes().get(..8).unwrap_or_default())
    }
}

macro_rules! errors {
    ($($(#[$doc:meta])* $variant:ident $code:literal $text:literal,)*) => {
        /// Why a licence file is refused. The first that applies, in this order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        pub enum FileError { $($(#[$doc])* #[error($text)] $variant,)* }

        impl FileError {
            /// All codes.
            pub const CODES: &[&str] = &[$($code),*];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }
    };
}

errors! {
    /// Not a block of ours with canonical base64 and JSON of three members.
    Form "license_file_form" "it is not a license file",
    /// Another algorithm.
    Algorithm "license_file_algorithm" "it is signed with another algorithm",
    /// No known key has signed it.
    Signature "license_file_signature" "no known key has signed it",
    /// Signed, but not a dataset in its one form.
    Content "license_file_content" "what was signed is no license of this format",
    /// Issued in the future.
    Future "license_file_future" "it was issued in the future",
    /// It was in force.
    Expired "license_file_expired" "it has expired",
    /// It is for another node.
    Node "license_file_node" "it is locked to another node",
    /// It is for another key.
    Holder "license_file_holder" "it was issued to another key",
}

/// What the holder of the key signs for `enc`.
#[must_use]
pub fn signing_input(enc: &str) -> Vec<u8> {
    format!("{SIGNING_PREFIX}{enc}").into_bytes()
}

impl Dataset {
    /// A dataset that [`LicenseFile::verify`] will read: entitlements sorted, life within bounds.
    ///
    /// # Errors
    /// [`FileError::Content`] where it would be refused.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        key: &VerifyKey,
        license: LicenseId,
        plan: PlanCode,
        entitlements: impl IntoIterator<Item = Entitlement>,
        holder: Holder,
        node: Option<AkName>,
        issued: u64,
        ttl: u64,
    ) -> Result<Self, FileError> {
        let mut entitlements: Vec<Entitlement> = entitlements.into_iter().collect();
        entitlements.sort();
        entitlements.dedup();
        let expiry = issued.saturating_add(ttl);
        let format = FORMAT.to_string();
        let dataset =
            Self { format, kid: key.id(), license, plan, entitlements, holder, node, issued, expiry, ttl };
        if dataset.is_sound() { Ok(dataset) } else { Err(FileError::Content) }
    }

    /// The member `enc`: base64 of the JSON.
    #[must_use]
    pub fn enc(&self) -> String {
        Base64::encode_string(&serde_json::to_vec(self).unwrap_or_default())
    }

    fn is_sound(&self) -> bool {
        let sorted = self.entitlements.is_sorted_by(|a, b| a < b);
        let count = (1..=MAX_ENTITLEMENTS).contains(&self.entitlements.len());
        let life =
            (1..=MAX_TTL).contains(&self.ttl) && self.issued.checked_add(self.ttl) == Some(self.expiry);
        let user = names::unhex::<16>(&self.holder.user).is_ok();
        self.format == FORMAT && sorted && count && life && user
    }
}

/// The text of a file.
#[must_use]
pub fn assemble(enc: String, signature: &[u8; 64]) -> String {
    let sealed = Sealed { enc, sig: Base64::encode_string(signature), alg: ALGORITHM.into() };
    armour::wrap(&serde_json::to_vec(&sealed).unwrap_or_default())
}

/// A licence file that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseFile {
    dataset: Dataset,
}

impl LicenseFile {
    /// Checks a file against keys that the caller trusts. `verifies(key, message, signature)` is Ed25519 (RFC 8032) of the caller's provider;
    /// nothing inside is read before it says yes.
    ///
    /// # Errors
    /// [`FileError`]: the first check that fails.
    pub fn verify(
        text: &str,
        keys: &[VerifyKey],
        verifies: impl Fn(&VerifyKey, &[u8], &[u8; 64]) -> bool,
        now: u64,
    ) -> Result<Self, FileError> {
        if text.len() > MAX_FILE {
            return Err(FileError::Form);
        }
        let json = armour::unwrap(text).ok_or(FileError::Form)?;
        let sealed: Sealed = one_form(&json).ok_or(FileError::Form)?;
        if sealed.alg != ALGORITHM {
            return Err(FileError::Algorithm);
        }
        let signature: [u8; 64] = decoded(&sealed.sig)?.try_into().map_err(|_| FileError::Form)?;
        let payload = decoded(&sealed.enc)?;
        let message = signing_input(&sealed.enc);
        let signed_by = |key: &&VerifyKey| verifies(key, &message, &signature);
        let key = keys.iter().take(MAX_KEYS).find(signed_by).ok_or(FileError::Signature)?;
        let dataset: Dataset = one_form(&payload).ok_or(FileError::Content)?;
        if !dataset.is_sound() || dataset.kid != key.id() {
            return Err(FileError::Content);
        }
        if dataset.issued > now.saturating_add(MAX_SKEW) {
            return Err(FileError::Future);
        }
        if now >= dataset.expiry {
            return Err(FileError::Expired);
        }
        Ok(Self { dataset })
    }

    /// What was signed.
    #[must_use]
    pub const fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Whether it covers an app.
    #[must_use]
    pub fn covers(&self, app: &Entitlement) -> bool {
        self.dataset.entitlements.iter().any(|entitlement| entitlement.covers(app))
    }

    /// Holds the node lock against the attestation key of verified evidence.
    ///
    /// # Errors
    /// [`FileError::Node`].
    pub fn check_node(&self, attested: &AkName) -> Result<(), FileError> {
        match self.dataset.node {
            Some(node) if node != *attested => Err(FileError::Node),
            Some(_) | None => Ok(()),
        }
    }

    /// Holds the holder against the key of whoever shows the file.
    ///
    /// # Errors
    /// [`FileError::Holder`].
    pub fn check_holder(&self, owner_key: &Digest) -> Result<(), FileError> {
        if self.dataset.holder.owner_key == *owner_key { Ok(()) } else { Err(FileError::Holder) }
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, FileError> {
    Base64::decode_vec(text).map_err(|_| FileError::Form)
}

/// Reads JSON that is exactly what we would write: no white space, no other order, no escapes that need not be.
fn one_form<T: Serialize + for<'de> Deserialize<'de>>(json: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(json).ok()?;
    (serde_json::to_vec(&value).ok()? == json).then_some(value)
}
