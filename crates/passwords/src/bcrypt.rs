//! Hashes that were made elsewhere with bcrypt: checked until their owner logs in, never made for an account.
//!
//! bcrypt reads 72 bytes at most, and implementations cut longer passwords without a word (CVE-2025-22228). Here a longer one never matches, and
//! takes as long as one that does not.

use bcrypt::HashParts;

/// Bytes that bcrypt tells apart: the 72nd is the closing zero.
const MOST_BYTES: usize = 71;
/// A stored cost above this is an accident or an attack: each step doubles the work, and 14 takes more than a second.
const MOST_COST: u32 = 14;
/// The cost that the original used (portal.md 1.1), and most others by default.
pub(crate) const USUAL_COST: u32 = 10;

/// The text is meant to be a bcrypt hash and can't be read, or would take too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a bcrypt hash that can be checked")]
pub struct NotABcryptHash;

/// Whether the text is meant to be one. `$2x$` marks hashes of a program with a known fault: those are refused as unreadable.
pub(crate) fn is_one(stored: &str) -> bool {
    stored.starts_with("$2")
}

/// Checks a password as its user sent it: what made these hashes did not normalize.
pub(crate) fn check(password: &[u8], stored: &str) -> Result<bool, NotABcryptHash> {
    if !["$2a$", "$2b$", "$2y$"].iter().any(|prefix| stored.starts_with(prefix)) {
        return Err(NotABcryptHash);
    }
    let parts: HashParts = stored.parse().map_err(|_| NotABcryptHash)?;
    if parts.get_cost() > MOST_COST {
        return Err(NotABcryptHash);
    }
    let matches = bcrypt::verify(password, stored).map_err(|_| NotABcryptHash)?;
    Ok(matches & (password.len() <= MOST_BYTES))
}

/// A hash of a password that nobody knows.
pub(crate) fn stand_in(salt: [u8; 16], password: &[u8]) -> Result<String, NotABcryptHash> {
    bcrypt::hash_with_salt(password, USUAL_COST, salt)
        .map(|parts| parts.to_string())
        .map_err(|_| NotABcryptHash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &[u8], prefix: &str) -> String {
        let parts = bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap();
        parts.to_string().replacen("$2b$", prefix, 1)
    }

    /// Made by libxcrypt, which shares nothing with the library that checks here.
    #[test]
    fn hashes_of_another_implementation_are_checked() {
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let stored = format!("{prefix}04$abcdefghijklmnopqrstuuT3Sk3nxm7zGO9HawtOFdMehp4wZKzES");
            assert_eq!(check(b"an old password", &stored), Ok(true), "{prefix}");
            assert_eq!(check(b"an old passwort", &stored), Ok(false), "{prefix}");
        }
    }

    #[test]
    fn the_three_usual_kinds_are_checked() {
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let stored = hash(b"correct horse", prefix);
            assert_eq!(check(b"correct horse", &stored), Ok(true), "{prefix}");
            assert_eq!(check(b"correct horsf", &stored), Ok(false), "{prefix}");
        }
        assert_eq!(check(b"correct horse", &hash(b"correct horse", "$2x$")), Err(NotABcryptHash));
    }

    /// CVE-2025-22228: a password of more than 72 bytes matched by its beginning.
    #[test]
    fn a_long_password_never_matches_by_its_beginning() {
        for stored_length in [71, 72, 73, 100] {
            let stored = hash(&vec![b'a'; stored_length], "$2b$");
            for length in 60..120 {
                let expected = length == stored_length && length <= 71;
                assert_eq!(check(&vec![b'a'; length], &stored), Ok(expected), "{length} {stored_length}");
            }
        }
    }

    /// RUSTSEC-2026-0199: a tampered stored hash made the library panic.
    #[test]
    fn a_corrupt_hash_is_an_error_and_not_a_panic() {
        let good = hash(b"correct horse", "$2b$");
        let mut corrupt =
            vec!["$2b$".to_owned(), "$2b$04$".into(), "$2b$99$".to_owned() + "a".repeat(53).as_str()];
        corrupt.extend((1..good.len()).map(|length| good[..length].to_owned()).filter(|text| text.len() > 4));
        corrupt.extend((4..good.len()).map(|at| format!("{}\u{a3}{}", &good[..at], &good[at + 1..])));
        corrupt.push(good.replacen("$04$", "$15$", 1));
        corrupt.push(good.replacen("$04$", "$31$", 1));
        corrupt.push(good.clone() + "a");
        for text in corrupt {
            assert_eq!(check(b"correct horse", &text), Err(NotABcryptHash), "{text}");
        }
    }
}
