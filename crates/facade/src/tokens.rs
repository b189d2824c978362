//! Who may reach the app: the gateway's public keys as the file has them now, and the check of one token.
//!
//! Invariant: a key that has left the file is trusted for at most [`RECHECK`] longer; a file that can't be read or
//! parsed leaves no key trusted.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pki::jwk::{Jwks, MAX_SET};
use pki::token::{AccessClaims, Expected, TokenRefusal, verify_access_token};
use tracing::warn;

use crate::session::Client;

/// The file is looked at when a token is checked, at most once in this time.
pub const RECHECK: Duration = Duration::from_secs(1);

/// Checks tokens for one enclave.
#[derive(Debug)]
pub struct Tokens {
    file: PathBuf,
    issuer: String,
    audience: String,
    keys: Mutex<Keys>,
}

#[derive(Debug)]
struct Keys {
    set: Option<Jwks>,
    /// Changes with every set, so that what was accepted under an old one is checked again.
    generation: u64,
    version: Option<FileVersion>,
    looked: Option<Instant>,
}

/// What changes when a file is replaced or written: device, inode, length, modification time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileVersion(u64, u64, u64, i64, i64);

/// A token that was checked on this connection; the same bytes need no second signature check.
#[derive(Debug, Clone)]
pub struct Accepted {
    token: String,
    generation: u64,
    expires: u64,
    user: String,
    username: Option<String>,
}

impl Accepted {
    /// The user id in the token.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The account's name in the token.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }
}

impl Tokens {
    /// Tokens of this issuer for this audience, checked with the keys in this file.
    #[must_use]
    pub fn new(file: &Path, issuer: &str, audience: &str) -> Self {
        let keys = Keys { set: None, generation: 0, version: None, looked: None };
        Self {
            file: file.to_path_buf(),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            keys: Mutex::new(keys),
        }
    }

    /// Checks a token as it is at this moment. `before` is what this connection had accepted last.
    ///
    /// # Errors
    /// [`TokenRefusal`].
    pub fn check(
        &self,
        token: &str,
        client: &Client,
        before: Option<Accepted>,
        now: u64,
    ) -> Result<Accepted, TokenRefusal> {
        let keys = self.current_keys();
        if let Some(before) = before
            && before.token == token
            && before.generation == keys.generation
            && keys.set.is_some()
        {
            return if now < before.expires { Ok(before) } else { Err(TokenRefusal::Expired) };
        }
        let set = keys.set.as_ref().ok_or(TokenRefusal::UnknownKey)?;
        let expected = Expected { issuer: &self.issuer, audience: &self.audience, now };
        let claims: AccessClaims = verify_access_token(token, set, &expected, client.certificate.as_bytes())?;
        Ok(Accepted {
            token: token.to_owned(),
            generation: keys.generation,
            expires: claims.exp,
            user: claims.sub,
            username: claims.username,
        })
    }

    fn current_keys(&self) -> MutexGuard<'_, Keys> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.looked.is_none_or(|looked| looked.elapsed() >= RECHECK) {
            keys.looked = Some(Instant::now());
            keys.look(&self.file);
        }
        keys
    }
}

impl Keys {
    fn look(&mut self, file: &Path) {
        let opened = File::open(file).and_then(|file| Ok((version_of(&file)?, file)));
        match opened {
            Ok((version, _)) if self.version == Some(version) => {}
            Ok((version, opened)) => {
                self.version = Some(version);
                self.replace(read_set(opened), file);
            }
            Err(error) => {
                self.version = None;
                self.replace(Err(error), file);
            }
        }
    }

    fn replace(&mut self, set: io::Result<Jwks>, file: &Path) {
        self.generation = self.generation.wrapping_add(1);
        self.set = set
            .inspect_err(|error| warn!(file = %file.display(), %error, "no public keys of the gateway"))
            .ok();
    }
}

fn version_of(file: &File) -> io::Result<FileVersion> {
    let of = file.metadata()?;
    Ok(FileVersion(of.dev(), of.ino(), of.len(), of.mtime(), of.mtime_nsec()))
}

fn read_set(file: File) -> io::Result<Jwks> {
    let mut json = Vec::new();
    file.take(MAX_SET as u64 + 1).read_to_end(&mut json)?;
    Jwks::parse(&json).map_err(io::Error::other)
}
