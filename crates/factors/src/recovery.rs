//! Recovery codes: for the day on which the phone is gone. Eighty random bits each, so a plain hash protects them at rest.

use names::Digest;
use zeroize::Zeroizing;

use crate::spelling::{READABLE, spell};
use crate::{NoRandom, random};

/// Codes of one set.
pub const CODES: usize = 10;
/// Random bytes of a code.
const BYTES: usize = 10;
/// Letters of a code without its hyphens.
const LETTERS: usize = 16;
/// Longer texts are not looked at.
const LONGEST: usize = 64;

/// A code as it is shown once, `xxxx-xxxx-xxxx-xxxx`.
///
/// # Errors
/// [`NoRandom`].
pub fn generate() -> Result<Zeroizing<String>, NoRandom> {
    let bytes = Zeroizing::new(random::<BYTES>()?);
    let letters = Zeroizing::new(spell(&*bytes, READABLE));
    let mut code = Zeroizing::new(String::with_capacity(LETTERS + 3));
    for (place, letter) in letters.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            code.push('-');
        }
        code.push(letter);
    }
    Ok(code)
}

/// The hash under which a code is stored, of what a person typed: case, hyphens and spaces do not matter, nor do letters that look like digits.
/// `None` where it can be no code.
#[must_use]
pub fn hash(typed: &str) -> Option<Digest> {
    if typed.len() > LONGEST {
        return None;
    }
    let mut letters = Zeroizing::new(String::with_capacity(LONGEST));
    for letter in typed.chars().filter(|letter| !matches!(letter, '-' | ' ')) {
        letters.push(match letter.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        });
    }
    let plain = letters.len() == LETTERS && letters.bytes().all(|letter| READABLE.contains(&letter));
    plain.then(|| Digest::of(letters.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_recognised_however_it_is_typed() {
        let code = generate().unwrap();
        assert_eq!(code.len(), 19);
        let stored = hash(&code);
        assert!(stored.is_some());
        for typed in [
            code.to_uppercase(),
            code.replace('-', ""),
            code.replace('-', " "),
            code.replace('0', "O").replace('1', "l"),
        ] {
            assert_eq!(hash(&typed), stored, "{typed}");
        }
    }

    #[test]
    fn what_can_be_no_code_has_no_hash() {
        for typed in [
            "",
            "abcd",
            "uuuu-uuuu-uuuu-uuuu",
            "0123-4567-89ab-cde",
            "0123-4567-89ab-cdefg",
            "\u{e4}bcd-0123-0123-0123",
        ] {
            assert_eq!(hash(typed), None, "{typed}");
        }
        assert_eq!(hash(&"0".repeat(1 << 20)), None);
    }

    #[test]
    fn codes_differ() {
        assert_ne!(*generate().unwrap(), *generate().unwrap());
    }
}
