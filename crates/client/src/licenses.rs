//! Licence files, checked offline with keys that the client has pinned (docs/formats.md, 10).

use attested_tls::verify_ed25519;
use licensing::{FileError, LicenseFile, VerifyKey};

/// Checks a licence file against pinned keys, with the process's one provider of Ed25519. The node lock and the holder are the caller's to hold
/// against verified evidence and its own key: [`LicenseFile::check_node`], [`LicenseFile::check_holder`].
///
/// # Errors
/// [`FileError`]: the first check that fails.
pub fn verify_license_file(text: &str, keys: &[VerifyKey], now: u64) -> Result<LicenseFile, FileError> {
    let ed25519 = |key: &VerifyKey, message: &[u8], signature: &[u8; 64]| {
        verify_ed25519(key.as_bytes(), message, signature)
    };
    LicenseFile::verify(text, keys, ed25519, now)
}
