//! Licence files, checked offline with keys that the client has pinned (docs/formats.md, 10).
//!
//! The first keys that a gateway names are kept, as the first publisher of an app is; later ones count when their user says so.

use std::path::Path;

use ::names::Digest;
use api::licenses::LicenseKeys;
use attested_tls::verify_ed25519;
use base64ct::{Base64UrlUnpadded, Encoding};
use licensing::{FileError, LicenseFile, MAX_FILE, MAX_KEYS, VerifyKey};

use crate::error::{AnswerError, Error, InputError};
use crate::gateway::Gateway;
use crate::profile::Profile;

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

/// Reads a licence file: no more of it than a file may have.
///
/// # Errors
/// [`Error::Input`].
pub fn read_license_file(path: &Path) -> Result<String, Error> {
    let fault = |source| Error::Input { path: path.to_owned(), source };
    let most = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    if std::fs::metadata(path).map_err(|error| fault(error.into()))?.len() > most {
        return Err(fault(InputError::TooLarge(most)));
    }
    let bytes = std::fs::read(path).map_err(|error| fault(error.into()))?;
    String::from_utf8(bytes).map_err(|_| {
        let problem = "not text".to_owned();
        fault(InputError::Malformed { expected: "a license file", problem })
    })
}

/// The keys of an answer. One whose id is not its own is no key of ours.
pub(crate) fn published(keys: &LicenseKeys) -> Result<Vec<VerifyKey>, AnswerError> {
    let wrong = || AnswerError::Json("not keys of license files".into());
    if keys.keys.len() > MAX_KEYS {
        return Err(wrong());
    }
    let one = |key: &api::licenses::LicenseKey| {
        let mut bytes = [0; 32];
        let whole = Base64UrlUnpadded::decode(&key.x, &mut bytes).map_err(|_| wrong())?.len() == 32;
        let known = VerifyKey::from_bytes(bytes);
        if whole && key.crv == "Ed25519" && known.id() == key.kid { Ok(known) } else { Err(wrong()) }
    };
    keys.keys.iter().map(one).collect()
}

impl Profile {
    /// The keys whose licence files this user's client takes.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn license_keys(&self) -> Result<Vec<VerifyKey>, Error> {
        Ok(self.memory()?.license_keys().map(|key| VerifyKey::from_bytes(*key.as_bytes())).collect())
    }

    /// Takes the licence files of these keys from now on, and of no others.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn accept_license_keys(&self, keys: &[VerifyKey]) -> Result<(), Error> {
        self.remember(|memory| {
            memory.accept_license_keys(keys.iter().map(|key| Digest::from_bytes(*key.as_bytes())));
            Ok(())
        })
    }
}

impl Gateway {
    /// The keys that this user's client takes; where it knows none yet, those that the gateway names are the first, and are kept.
    ///
    /// # Errors
    /// What the gateway says, and [`Error::File`].
    pub async fn pinned_license_keys(&mut self) -> Result<Vec<VerifyKey>, Error> {
        let known = self.profile().license_keys()?;
        if !known.is_empty() {
            return Ok(known);
        }
        let first = self.license_keys().await?;
        self.profile().accept_license_keys(&first)?;
        Ok(first)
    }
}
