//! The key file of a deployment: what is in the database alone opens no second factor.
//!
//! One file of 32 random bytes, 0600, made at the first start and shared by every gateway of a deployment. Two keys come out of it by HKDF: one seals
//! (AES-256-GCM, with whose it is as associated data), one authenticates what callers carry for us.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use names::hex;
use zeroize::Zeroizing;

use crate::{NoRandom, random};

const KEY_BYTES: usize = 32;
const MARK_BYTES: usize = 8;
const SEALING: &[u8] = b"sealwright factors: sealing, version 1";
const AUTHENTICATING: &[u8] = b"sealwright factors: authenticating, version 1";

/// Why the key file or something sealed can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The file can't be read or made.
    #[error("{}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("{} may be read by others: chmod 600", .0.display())]
    Open(PathBuf),
    /// The file is not 32 bytes.
    #[error("{} is no key file", .0.display())]
    Length(PathBuf),
    /// It was sealed with another key, for somebody else, or changed.
    #[error("what was sealed can't be opened with this key")]
    Sealed,
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// The two keys. No Debug.
pub struct SealingKey {
    sealing: LessSafeKey,
    authenticating: hmac::Key,
}

impl SealingKey {
    /// Reads the file, or makes it where there is none. Of several that start at once, all end with the same key.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open_or_make(path: &Path) -> Result<Self, SealError> {
        let file = |source| SealError::File { path: path.to_owned(), source };
        match File::open(path) {
            Ok(opened) => return Self::read(opened, path),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(file(error)),
        }
        let unfinished = path.with_extension(hex(&random::<8>()?));
        let made = make(&unfinished, path);
        let removed = std::fs::remove_file(&unfinished);
        made?;
        removed.map_err(file)?;
        Self::read(File::open(path).map_err(file)?, path)
    }

    fn read(mut opened: File, path: &Path) -> Result<Self, SealError> {
        let file = |source| SealError::File { path: path.to_owned(), source };
        if opened.metadata().map_err(file)?.permissions().mode() & 0o077 != 0 {
            return Err(SealError::Open(path.to_owned()));
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES + 1]);
        let mut filled = 0;
        while filled < bytes.len() {
            match opened.read(&mut bytes[filled..]).map_err(file)? {
                0 => break,
                read => filled += read,
            }
        }
        let key = bytes.get(..filled).and_then(|read| <&[u8; KEY_BYTES]>::try_from(read).ok());
        Self::from_bytes(key.ok_or_else(|| SealError::Length(path.to_owned()))?)
    }

    fn from_bytes(key: &[u8; KEY_BYTES]) -> Result<Self, SealError> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"").extract(key);
        let derive = |purpose: &[u8]| {
            let mut derived = Zeroizing::new([0; KEY_BYTES]);
            let filled = root.expand(&[purpose], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut *derived));
            filled.map(|()| derived).map_err(|_| SealError::Sealed)
        };
        let sealing = UnboundKey::new(&AES_256_GCM, &*derive(SEALING)?).map_err(|_| SealError::Sealed)?;
        Ok(Self {
            sealing: LessSafeKey::new(sealing),
            authenticating: hmac::Key::new(hmac::HMAC_SHA256, &*derive(AUTHENTICATING)?),
        })
    }

    /// Seals for one place: `context` says for what and whose, and only with the same it opens again. Nonce, ciphertext and tag in hex.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn seal(&self, context: &[u8], secret: &[u8]) -> Result<String, SealError> {
        let nonce = random::<NONCE_LEN>()?;
        let mut text = secret.to_vec();
        self.sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut text)
            .map_err(|_| SealError::Sealed)?;
        Ok(hex(&nonce) + &hex(&text))
    }

    /// Opens what [`SealingKey::seal`] made.
    ///
    /// # Errors
    /// [`SealError::Sealed`].
    pub fn open(&self, context: &[u8], sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let mut bytes = Zeroizing::new(unhex(sealed).ok_or(SealError::Sealed)?);
        let (nonce, text) = bytes.split_first_chunk_mut::<NONCE_LEN>().ok_or(SealError::Sealed)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened =
            self.sealing.open_in_place(nonce, Aad::from(context), text).map_err(|_| SealError::Sealed)?;
        Ok(Zeroizing::new(opened.to_vec()))
    }

    /// A short mark of a value that must not be found out from it: eight bytes of its HMAC, in hex. Same purpose and value, same mark.
    #[must_use]
    pub fn mark(&self, purpose: &[u8], value: &[u8]) -> String {
        let message =
            [b"sealwright mark, version 1\0", &(purpose.len() as u64).to_be_bytes()[..], purpose, value]
                .concat();
        hex(self.authenticate(&message).as_ref().get(..MARK_BYTES).unwrap_or_default())
    }

    /// HMAC-SHA-256 under the authenticating key.
    pub(crate) fn authenticate(&self, message: &[u8]) -> hmac::Tag {
        hmac::sign(&self.authenticating, message)
    }
}

/// Written whole under another name, then linked, which fails where somebody else was first: that one's key holds.
fn make(unfinished: &Path, path: &Path) -> Result<(), SealError> {
    let file = |source| SealError::File { path: path.to_owned(), source };
    let key = Zeroizing::new(random::<KEY_BYTES>()?);
    let mut written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(unfinished).map_err(file)?;
    written.write_all(&*key).and_then(|()| written.sync_all()).map_err(file)?;
    match std::fs::hard_link(unfinished, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(file(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (tempfile::TempDir, SealingKey) {
        let folder = tempfile::tempdir().unwrap();
        let key = SealingKey::open_or_make(&folder.path().join("key")).unwrap();
        (folder, key)
    }

    #[test]
    fn what_was_sealed_opens_only_in_its_place() {
        let (_folder, key) = key();
        let sealed = key.seal(b"totp:alice", b"secret").unwrap();
        assert!(!sealed.contains(&hex(b"secret")));
        assert_eq!(key.open(b"totp:alice", &sealed).unwrap().as_slice(), b"secret");
        assert_ne!(key.seal(b"totp:alice", b"secret").unwrap(), sealed);
        assert!(matches!(key.open(b"totp:bob", &sealed), Err(SealError::Sealed)));
        for changed in ["", "00", "zz", &sealed[2..], &format!("{sealed}00"), &sealed[..sealed.len() - 1]] {
            assert!(matches!(key.open(b"totp:alice", changed), Err(SealError::Sealed)), "{changed}");
        }
    }

    #[test]
    fn a_restart_finds_the_same_key_and_nobody_else_may_read_it() {
        let (folder, first) = key();
        let path = folder.path().join("key");
        let sealed = first.seal(b"x", b"secret").unwrap();
        let again = SealingKey::open_or_make(&path).unwrap();
        assert_eq!(again.open(b"x", &sealed).unwrap().as_slice(), b"secret");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(SealingKey::open_or_make(&path), Err(SealError::Open(_))));
    }

    #[test]
    fn another_length_is_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for length in [0, 31, 33] {
            std::fs::write(&path, vec![0; length]).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(SealingKey::open_or_make(&path), Err(SealError::Length(_))), "{length}");
        }
    }

    #[test]
    fn of_many_that_start_at_once_all_have_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let sealed: Vec<String> = std::thread::scope(|scope| {
            let start = || SealingKey::open_or_make(&path).unwrap().seal(b"x", b"secret").unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let key = SealingKey::open_or_make(&path).unwrap();
        assert!(sealed.iter().all(|sealed| key.open(b"x", sealed).is_ok()));
    }
}
