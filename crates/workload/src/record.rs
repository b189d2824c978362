//! What a publisher signs: this name and this version are this digest.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use names::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const MAX_NAME: usize = 63;
const MAX_VERSION: usize = 64;

/// Why a text is not an app's name or version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not 1 to 63 lower-case letters, digits and inner hyphens.
    #[error("an app's name is 1 to 63 lower-case letters, digits and inner hyphens")]
    Name,
    /// Not 1 to 64 letters, digits, dots, pluses, hyphens and underscores, the first of them a letter or a digit.
    #[error("a version is 1 to 64 letters, digits and . + - _ and begins with a letter or a digit")]
    Version,
}

/// An app's name: a lower-case DNS label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppName(String);

/// An app's version: compared for equality only; what it means is the publisher's business.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppVersion(String);

impl FromStr for AppName {
    type Err = RecordError;
    fn from_str(text: &str) -> Result<Self, RecordError> {
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let edges = !text.starts_with('-') && !text.ends_with('-');
        let good = !text.is_empty() && text.len() <= MAX_NAME && plain && edges;
        good.then(|| Self(text.to_owned())).ok_or(RecordError::Name)
    }
}

impl FromStr for AppVersion {
    type Err = RecordError;
    fn from_str(text: &str) -> Result<Self, RecordError> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-_".contains(&b));
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        (first && text.len() <= MAX_VERSION && plain)
            .then(|| Self(text.to_owned()))
            .ok_or(RecordError::Version)
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

text_type!(AppName);
text_type!(AppVersion);

/// The payload of a publisher's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRecord {
    /// The app.
    pub name: AppName,
    /// The version.
    pub version: AppVersion,
    /// The digest of its manifest.
    pub digest: Digest,
    /// When the publisher said so, in unix seconds.
    pub issued_at: u64,
}
