//! Names that a person types: checked once, before they become a path on the server or a folder here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not an account's name.
    #[error("a user's name is 1 to 64 of a-z 0-9 . _ - @ and begins with a letter or a digit")]
    User,
    /// Not an enclave's name.
    #[error("an enclave's name is 1 to 63 lower-case letters, digits and inner hyphens")]
    Enclave,
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $error:expr, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let rule: fn(&str) -> bool = $rule;
                rule(text).then(|| Self(text.to_owned())).ok_or($error)
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

text_name!(
    /// An account's name. It is also the name of this user's folder here: no slash, no leading dot.
    UserName,
    NameError::User,
    |text| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-@".contains(&b);
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        first && text.len() <= api::bounds::ACCOUNT_NAME_BYTES && text.bytes().all(plain)
    }
);
text_name!(
    /// An enclave's name, unique among the enclaves of its user.
    EnclaveName,
    NameError::Enclave,
    |text| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let edges = !text.starts_with('-') && !text.ends_with('-');
        !text.is_empty() && text.len() <= 63 && edges && text.bytes().all(plain)
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_is_a_safe_folder_name() {
        for good in ["alice", "a", "0x", "alice@example.org", "a.b_c-d"] {
            assert!(good.parse::<UserName>().is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", ".", "..", ".a", "a/b", "Alice", "ä", "a b", "-a", "@a", "a\0", long.as_str()] {
            assert_eq!(bad.parse::<UserName>(), Err(NameError::User), "{bad}");
        }
    }

    #[test]
    fn an_enclave_name_is_a_safe_path_segment() {
        for good in ["notes", "a-b", "0"] {
            assert!(good.parse::<EnclaveName>().is_ok(), "{good}");
        }
        for bad in ["", "..", "a/b", "a?b", "-a", "a-", "A", "a%2f", "a b"] {
            assert_eq!(bad.parse::<EnclaveName>(), Err(NameError::Enclave), "{bad}");
        }
    }
}
