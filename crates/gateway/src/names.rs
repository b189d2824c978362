//! Names that users choose for their accounts and enclaves.

use std::str::FromStr;

use api::bounds::{ACCOUNT_NAME_BYTES, ENCLAVE_NAME_BYTES};

/// An account's name: 1 to 64 of `[a-z0-9._-]` after lower-casing ASCII, first a letter or a digit; one `@` between two such parts may stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountName(String);

/// The text is no such name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAName;

impl AccountName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = NotAName;
    fn from_str(text: &str) -> Result<Self, NotAName> {
        if text.len() > ACCOUNT_NAME_BYTES {
            return Err(NotAName);
        }
        // Only ASCII is folded: Unicode's folding would let the Kelvin sign take the name of a `k`.
        let folded = text.to_ascii_lowercase();
        let good = match folded.split_once('@') {
            Some((local, domain)) => is_part(local) && is_part(domain),
            None => is_part(&folded),
        };
        good.then_some(Self(folded)).ok_or(NotAName)
    }
}

fn is_part(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().all(|byte| alphanumeric(byte) || b"._-".contains(&byte))
}

/// An enclave's name: a lower-case DNS label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnclaveName(String);

impl EnclaveName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EnclaveName {
    type Err = NotAName;
    fn from_str(text: &str) -> Result<Self, NotAName> {
        let plain =
            text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let edges = !text.starts_with('-') && !text.ends_with('-');
        let good = !text.is_empty() && text.len() <= ENCLAVE_NAME_BYTES && plain && edges;
        good.then(|| Self(text.to_owned())).ok_or(NotAName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_are_folded_and_plain() {
        for (text, name) in
            [("alice", "alice"), ("Alice", "alice"), ("a.b_c-9", "a.b_c-9"), ("A@b.example", "a@b.example")]
        {
            assert_eq!(text.parse::<AccountName>().map(|name| name.0), Ok(name.into()));
        }
        let long = "x".repeat(65);
        for bad in [
            "",
            " ",
            "-a",
            ".a",
            "a b",
            "a\0",
            "a@b@c",
            "@a",
            "a@",
            "ä",
            "\u{212a}im",
            "a/b",
            "../a",
            long.as_str(),
        ] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn enclave_names_are_dns_labels() {
        assert!("web-2".parse::<EnclaveName>().is_ok());
        let long = "x".repeat(64);
        for bad in ["", "-", "a-", "A", "a.b", "a/b", "..", long.as_str()] {
            assert!(bad.parse::<EnclaveName>().is_err(), "{bad:?}");
        }
    }
}
