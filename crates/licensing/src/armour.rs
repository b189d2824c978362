//! The text block around a licence file: two marker lines, base64 between them in lines of 64, each ended by one line feed. One form.

use alloc::string::String;
use alloc::vec::Vec;

use base64ct::{Base64, Encoding};

const BEGIN: &str = "-----BEGIN LICENSE FILE-----\n";
const END: &str = "-----END LICENSE FILE-----\n";
const LINE: usize = 64;

/// Puts bytes into a block.
pub(crate) fn wrap(bytes: &[u8]) -> String {
    let mut text = String::from(BEGIN);
    for (position, character) in Base64::encode_string(bytes).chars().enumerate() {
        if position > 0 && position.is_multiple_of(LINE) {
            text.push('\n');
        }
        text.push(character);
    }
    text.push('\n');
    text.push_str(END);
    text
}

/// Takes the bytes out of a block that is exactly what [`wrap`] makes of them.
pub(crate) fn unwrap(text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix(BEGIN)?.strip_suffix(END)?;
    let base64: String = inner.split('\n').collect();
    let bytes = Base64::decode_vec(&base64).ok()?;
    (wrap(&bytes) == text).then_some(bytes)
}
