//! The code that a person reads on a device and types into a page (RFC 8628, 6.1): eight of twenty consonants, so that no words come out.

use names::Digest;

use crate::{NoRandom, random};

/// RFC 8628, 6.1.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a code without its hyphen: about 34.6 bits.
const LENGTH: usize = 8;
/// Bytes above this are drawn again, so that each letter is as likely.
const FAIR: u8 = 240;
/// Longer texts are not looked at.
const LONGEST: usize = 32;

/// A new code, `BCDF-GHJK`.
///
/// # Errors
/// [`NoRandom`].
pub fn generate() -> Result<String, NoRandom> {
    let mut code = String::with_capacity(LENGTH + 1);
    let mut letters = 0;
    while letters < LENGTH {
        for byte in random::<16>()? {
            if byte < FAIR && letters < LENGTH {
                if letters == LENGTH / 2 {
                    code.push('-');
                }
                code.push(char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
                letters += 1;
            }
        }
    }
    Ok(code)
}

/// The hash under which a code is stored, of what a person typed: case, hyphens and spaces do not matter. `None` where it can be no code.
#[must_use]
pub fn hash(typed: &str) -> Option<Digest> {
    if typed.len() > LONGEST {
        return None;
    }
    let letters: String = typed
        .chars()
        .filter(|letter| !matches!(letter, '-' | ' '))
        .map(|letter| letter.to_ascii_uppercase())
        .collect();
    let plain = letters.len() == LENGTH && letters.bytes().all(|letter| LETTERS.contains(&letter));
    plain.then(|| Digest::of(letters.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_consonants_that_are_read_back() {
        for _ in 0..200 {
            let code = generate().unwrap();
            assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'), "{code}");
            let stored = hash(&code);
            assert!(stored.is_some(), "{code}");
            assert_eq!(hash(&code.to_lowercase().replace('-', " ")), stored);
        }
    }

    #[test]
    fn what_can_be_no_code_has_no_hash() {
        for typed in ["", "BCDF", "BCDF-GHJA", "BCDF-GHJKL", "BCDF-GH\u{212a}J", &"B".repeat(1 << 20)] {
            assert_eq!(hash(typed), None);
        }
    }
}
