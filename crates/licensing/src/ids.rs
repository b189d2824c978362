//! Names of licences, plans, entitlements and attestation keys: one form each.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use names::{hex, unhex};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest plan code and longest entitlement, in bytes.
const MAX_LABEL: usize = 63;
/// A TPM name begins with its hash algorithm, here SHA-256. TPM 2.0 Part 1, 16.
const NAME_SHA256: [u8; 2] = [0x00, 0x0b];

/// The text is not such a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct NotAnId(&'static str);

macro_rules! text_form {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

/// A licence's id: 16 random bytes, 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LicenseId([u8; 16]);

impl LicenseId {
    /// Takes the bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for LicenseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for LicenseId {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        unhex(text).map(Self).map_err(|_| NotAnId("32 lower-case hex digits"))
    }
}

/// TPM name of an attestation key: 34 bytes, 68 lower-case hex digits, of the hash SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AkName([u8; 34]);

impl fmt::Display for AkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for AkName {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let refused = NotAnId("a TPM name with SHA-256 in 68 lower-case hex digits");
        let bytes: [u8; 34] = unhex(text).map_err(|_| refused)?;
        if bytes.starts_with(&NAME_SHA256) { Ok(Self(bytes)) } else { Err(refused) }
    }
}

/// A plan's code: a lower-case DNS label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanCode(String);

impl PlanCode {
    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PlanCode {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        is_label(text).then(|| Self(text.into())).ok_or(NotAnId("1 to 63 of a-z, 0-9 and inner hyphens"))
    }
}

/// What a licence entitles to: an app by its name, or `*`, every app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entitlement(String);

impl Entitlement {
    /// The app's name, or `*`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether having this is enough where `wanted` is asked for.
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        self.0 == "*" || self == wanted
    }
}

impl fmt::Display for Entitlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Entitlement {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let good = text == "*" || is_label(text);
        good.then(|| Self(text.into())).ok_or(NotAnId("an app's name, or *"))
    }
}

text_form!(LicenseId);
text_form!(AkName);
text_form!(PlanCode);
text_form!(Entitlement);

fn is_label(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    plain && (1..=MAX_LABEL).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
}
