//! Which passwords may be set.

use std::collections::HashSet;
use std::sync::LazyLock;

use api::Secret;
use api::bounds::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};

use crate::breached::{Breached, Unreadable};
use crate::text::normalized;

/// Characters that must be left when the names have been taken out.
const OWN_CHARS_MIN: usize = 8;
/// Shorter names stand in too many good passwords.
const NAME_CHARS_MIN: usize = 3;
/// The most common passwords; origin and licence are in data/README.md.
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("../data/common.txt").lines().collect());

/// Why a password may not be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// Fewer than 15 characters.
    #[error("a password has at least {PASSWORD_CHARS_MIN} characters")]
    Short,
    /// More than 1024 bytes.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    Long,
    /// It says little more than the account's or the service's name.
    #[error("the password is little more than the name of the account or of the service")]
    Names,
    /// A common one, or the same common one several times.
    #[error("the password is one of the most common ones")]
    Common,
    /// It is in the operator's file of passwords that are known to attackers.
    #[error("the password is known from a data breach")]
    Breached,
    /// The operator's file can't be read, and is to be asked.
    #[error("the list of known passwords can't be read now")]
    Unchecked,
}

/// The rules of one deployment.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The name of the service, in lower case.
    service: String,
    breached: Option<Breached>,
}

impl Rules {
    /// Rules with the service's name, and with a file of breached passwords if the operator has one.
    #[must_use]
    pub fn new(service: &str, breached: Option<Breached>) -> Self {
        Self { service: service.to_lowercase(), breached }
    }

    /// Whether an account of this name may have this password. Reads the file: not for an async thread.
    ///
    /// # Errors
    /// [`Unacceptable`].
    pub fn check(&self, password: &Secret, account: &str) -> Result<(), Unacceptable> {
        let text = normalized(password);
        if !can_be_one(password) || text.len() > PASSWORD_BYTES_MAX {
            return Err(Unacceptable::Long);
        }
        if text.chars().count() < PASSWORD_CHARS_MIN {
            return Err(Unacceptable::Short);
        }
        let folded = zeroize::Zeroizing::new(text.to_lowercase());
        if own_chars(&folded, &[account, &self.service]) < OWN_CHARS_MIN {
            return Err(Unacceptable::Names);
        }
        if is_common(&folded) {
            return Err(Unacceptable::Common);
        }
        match self.breached.as_ref().map(|breached| (breached.contains(text.as_bytes()), breached)) {
            None | Some((Ok(false), _)) => Ok(()),
            Some((Ok(true), _)) => Err(Unacceptable::Breached),
            Some((Err(error), breached)) => {
                tracing::warn!(%error, "the file of breached passwords can't be read");
                match breached.unreadable {
                    Unreadable::Accept => Ok(()),
                    Unreadable::Refuse => Err(Unacceptable::Unchecked),
                }
            }
        }
    }
}

/// The bound that also holds at login, before anything is hashed, for every name the same (CVE-2025-22234).
pub(crate) fn can_be_one(password: &Secret) -> bool {
    password.expose().len() <= PASSWORD_BYTES_MAX
}

/// Characters outside of the names.
fn own_chars(text: &str, names: &[&str]) -> usize {
    let mut rest = zeroize::Zeroizing::new(text.to_owned());
    for name in names.iter().filter(|name| name.chars().count() >= NAME_CHARS_MIN) {
        *rest = rest.replace(name, "");
    }
    rest.chars().count()
}

/// A common password, also when it is written several times to make it long enough.
fn is_common(text: &str) -> bool {
    let whole = text.chars().count();
    (1..=whole)
        .filter(|length| whole.is_multiple_of(*length))
        .filter_map(|length| text.char_indices().nth(length).map_or(Some(text), |(end, _)| text.get(..end)))
        .any(|unit| COMMON.contains(unit) && text.split(unit).all(str::is_empty))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<(), Unacceptable> {
        Rules::new("Sealwright", None).check(&Secret::new(password.into()), "alice")
    }

    #[test]
    fn length_is_counted_in_characters_and_bounded_in_bytes() {
        assert_eq!(check("fourteen chars"), Err(Unacceptable::Short));
        assert_eq!(check("fifteen charact"), Ok(()));
        assert_eq!(check(&"\u{e4}".repeat(14)), Err(Unacceptable::Short));
        assert_eq!(check(&"\u{1f512}".repeat(15)), Ok(()));
        assert_eq!(check(&("x".repeat(1023) + "y")), Ok(()));
        assert_eq!(check(&"x".repeat(1025)), Err(Unacceptable::Long));
    }

    /// `a` and a combining diaeresis are one character.
    #[test]
    fn characters_are_counted_as_composed() {
        assert_eq!(check(&"a\u{308}".repeat(8)), Err(Unacceptable::Short));
        assert_eq!(check(&"a\u{308}".repeat(15)), Ok(()));
    }

    /// NIST SP 800-63B-4, 3.1.1.2: the service's name, the user's name and what is derived from them.
    #[test]
    fn names_do_not_make_a_password_longer() {
        for password in ["alice-alice-alice", "Alice@Sealwright!", "sealwright12345", "SEALWRIGHTalice77"] {
            assert_eq!(check(password), Err(Unacceptable::Names), "{password}");
        }
        assert_eq!(check("alice has a garden"), Ok(()));
    }

    #[test]
    fn common_passwords_are_refused_also_when_repeated() {
        for password in ["12345678900987654321", "passwordpassword", "PassWordPASSWORD", "qwertyqwertyqwerty"]
        {
            assert_eq!(check(password), Err(Unacceptable::Common), "{password}");
        }
        assert_eq!(check("password of my own"), Ok(()));
    }

    #[test]
    fn the_list_is_whole() {
        assert_eq!(COMMON.len(), 19_640);
        assert!(COMMON.iter().all(|line| *line == line.to_lowercase()));
    }
}
