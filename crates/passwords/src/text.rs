//! The one form of a password's text.

use api::Secret;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use zeroize::Zeroizing;

/// NFC. Wiped when dropped.
pub(crate) fn normalized(password: &Secret) -> Zeroizing<String> {
    let text = password.expose();
    if is_nfc(text) {
        return Zeroizing::new(text.to_owned());
    }
    // Composing can make a text longer, by at most three times (UAX 15, 9): reserved, so that no copy is left behind by growing.
    let mut composed = Zeroizing::new(String::with_capacity(text.len().saturating_mul(3)));
    composed.extend(text.nfc());
    composed
}
