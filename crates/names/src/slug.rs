//! From people's names to DNS labels, so that two names never share a label.

use alloc::format;
use alloc::string::String;

use crate::{Digest, hex};

/// The domain below which every enclave has one exact host name.
pub const ENCLAVES_DOMAIN: &str = "enclaves.localhost";

const MAX_SLUG: usize = 24;
const MAX_LABEL: usize = 63;
const HASH_DIGITS: usize = 8;

/// A DNS-safe form: lower-case letters, digits and single hyphens, first a letter, last no hyphen.
/// Where that changed anything, `---` and eight hex digits of the name's SHA-256 follow.
///
/// The rule is KubeSpawner's (`slugs.py`, `safe_slug`); the older escaping there let names collide (CVE-2020-15110).
#[must_use]
pub fn slug(name: &str) -> String {
    let mut safe = String::new();
    for character in name.chars().map(|c| c.to_ascii_lowercase()) {
        match character {
            'a'..='z' => safe.push(character),
            '0'..='9' if !safe.is_empty() => safe.push(character),
            _ if !safe.is_empty() && !safe.ends_with('-') => safe.push('-'),
            _ => {}
        }
    }
    let cut: String = safe.chars().take(MAX_SLUG).collect();
    let safe = cut.trim_end_matches('-');
    if !safe.is_empty() && safe == name {
        return name.into();
    }
    let first = if safe.is_empty() { "x" } else { safe };
    format!("{first}---{}", short_hash(&[name]))
}

/// The label of an enclave: `slug(name)-slug(user)`. Where a hyphen in either part would make the join ambiguous,
/// a hash over both names follows.
#[must_use]
pub fn host_label(enclave: &str, user: &str) -> String {
    let (enclave_slug, user_slug) = (slug(enclave), slug(user));
    let joined = format!("{enclave_slug}-{user_slug}");
    let ambiguous = enclave_slug.contains('-') || user_slug.contains('-');
    if !ambiguous && joined.len() <= MAX_LABEL {
        return joined;
    }
    let room = MAX_LABEL - HASH_DIGITS - 3;
    let cut: String = joined.replace("---", "-").chars().take(room).collect();
    format!("{}---{}", cut.trim_end_matches('-'), short_hash(&[enclave, user]))
}

/// The host name that a client puts into the TLS server name; it dials the edge's address and never resolves it.
#[must_use]
pub fn enclave_host(enclave: &str, user: &str) -> String {
    format!("{}.{ENCLAVES_DOMAIN}", host_label(enclave, user))
}

fn short_hash(names: &[&str]) -> String {
    let mut bytes = alloc::vec::Vec::new();
    for name in names {
        bytes.extend_from_slice(&(name.len() as u64).to_be_bytes());
        bytes.extend_from_slice(name.as_bytes());
    }
    let mut digits = hex(Digest::of(&bytes).as_bytes());
    digits.truncate(HASH_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_names_stay_as_they_are() {
        assert_eq!(slug("alice"), "alice");
        assert_eq!(slug("web-2"), "web-2");
        assert_eq!(host_label("notes", "alice"), "notes-alice");
    }

    #[test]
    fn unsafe_names_are_told_apart_by_hash() {
        for (left, right) in [("Alice", "alice"), ("a_b", "a.b"), ("1", "2"), ("", "-"), ("a--b", "a-b")] {
            assert_ne!(slug(left), slug(right), "{left} {right}");
        }
        assert!(slug("user@email.com").starts_with("user-email-com---"));
    }

    /// The join of the text alone would give `a-b-c` to both.
    #[test]
    fn joined_labels_are_unambiguous() {
        assert_ne!(host_label("a", "b-c"), host_label("a-b", "c"));
        assert_ne!(host_label("a-b", "c"), host_label("a", "b--c"));
    }

    #[test]
    fn labels_fit_into_dns() {
        let long = "x".repeat(300);
        for (enclave, user) in [(long.as_str(), "u"), ("e", long.as_str()), ("ü", "ß"), ("-", "-"), ("", "")]
        {
            let label = host_label(enclave, user);
            assert!(label.len() <= MAX_LABEL, "{label}");
            assert!(label.starts_with(|c: char| c.is_ascii_lowercase()) && !label.ends_with('-'), "{label}");
            assert!(label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        }
    }
}
