//! Standard base64 with padding (RFC 4648, 4), read in the one form that it has.

use alloc::string::String;
use alloc::vec::Vec;

use base64ct::{Base64, Encoding};

/// The bytes; `None` for anything but their canonical form.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

/// The canonical form.
pub(crate) fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_read() {
        assert_eq!(decode("Zg=="), Some(alloc::vec![b'f']));
        for other in ["Zg", "Zg=", "Zh==", "Zg==\n", " Zg==", "Zg===", "Z g=="] {
            assert_eq!(decode(other), None, "{other:?}");
        }
    }
}
