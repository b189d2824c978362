//! One user at one context: the key that never leaves this machine, the session, and what was seen before.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::names::Digest;
use api::Secret;
use api::accounts::{Tokens, User};
use attested_tls::{LocalKey, TlsError};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::context;
use crate::error::Error;
use crate::files::{self, FileError, Lock};
use crate::memory::Memory;
use crate::names::UserName;
use crate::time;

const CERTIFICATE_BYTES: u64 = 16 << 10;
const SESSION_BYTES: u64 = 64 << 10;
const MEMORY_BYTES: u64 = 16 << 20;
/// Life of a person's self-signed certificate. Nobody trusts it for its dates: its key is what counts.
const CERTIFICATE_LIFE: u64 = 3650 * 24 * 60 * 60;

/// Why a key can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is only a half of key and certificate, or they don't belong together.
    #[error("key and certificate in {} don't belong together", .0.display())]
    Mismatch(PathBuf),
    /// The key can't be made, read or written.
    #[error(transparent)]
    Key(#[from] attested_tls::KeyError),
    /// The certificate can't be made.
    #[error(transparent)]
    Issue(#[from] pki::IssueError),
    /// The certificate can't be read.
    #[error(transparent)]
    Certificate(#[from] pki::CertificateError),
    /// TLS does not take them.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The operating system gives no random bytes.
    #[error("no random bytes for a serial number")]
    Random,
}

/// A session as it is kept: both tokens, and until when the access token is good.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Sent with each request.
    pub(crate) access_token: Secret,
    /// Exchanged once for the next pair.
    pub(crate) refresh_token: Secret,
    /// When the access token ends, unix seconds.
    pub expires_at: u64,
    /// Whose session it is.
    pub user: User,
}

impl Session {
    pub(crate) fn new(tokens: Tokens, now: u64) -> Self {
        let expires_at = now.saturating_add(tokens.expires_in);
        let Tokens { access_token, refresh_token, user, .. } = tokens;
        Self { access_token, refresh_token, expires_at, user }
    }

    /// What goes with each request, for programs that speak to the gateway by themselves.
    #[must_use]
    pub const fn access_token(&self) -> &Secret {
        &self.access_token
    }
}

/// One user at one context. Opening it never asks the server.
pub struct Profile {
    user: UserName,
    folder: PathBuf,
    key: LocalKey,
    certificate: pki::Certificate,
}

impl Profile {
    /// The profile of a user who has been here before.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`] where there is none.
    pub fn open(context: &Path, user: &UserName) -> Result<Self, Error> {
        let folder = context::profiles_folder(context)?.join(user.as_str());
        Self::read(&folder, user)?.ok_or_else(|| Error::NotLoggedIn(user.clone()))
    }

    /// The profile of whoever logged in last.
    ///
    /// # Errors
    /// [`Error::NobodyLoggedIn`] where nobody has.
    pub fn open_current(context: &Path) -> Result<Self, Error> {
        let user = context::current_user(context)?.ok_or(Error::NobodyLoggedIn)?;
        Self::open(context, &user)
    }

    /// The profile of a user who signs up or logs in: with a new key, the first time.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::File`].
    pub fn open_or_create(context: &Path, user: &UserName) -> Result<Self, Error> {
        let folder = context::profiles_folder(context)?.join(user.as_str());
        files::make_private_folder(&folder)?;
        let _lock = Lock::take(&folder.join("lock"))?;
        match Self::read(&folder, user)? {
            Some(profile) => Ok(profile),
            None => Self::create(folder, user),
        }
    }

    /// The same profile once more, for another owner.
    pub(crate) fn again(&self) -> Result<Self, Error> {
        Self::read(&self.folder, &self.user)?.ok_or_else(|| Error::NotLoggedIn(self.user.clone()))
    }

    fn create(folder: PathBuf, user: &UserName) -> Result<Self, Error> {
        let fault = |source| Error::Key { user: user.clone(), source };
        let key = LocalKey::generate().map_err(|error| fault(error.into()))?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| fault(KeyError::Random))?;
        let serial = pki::Serial::from_random(random);
        let validity = pki::Validity::starting(time::now(), CERTIFICATE_LIFE);
        let subject = pki::profile::User { common_name: user.as_str() };
        let certificate = subject.issue(&key, validity, serial).map_err(|error| fault(error.into()))?;
        // The certificate first: a key without one is what `read` takes for half a profile, and never happens.
        files::write_private(&folder.join("certificate.der"), certificate.der())?;
        key.save(&folder.join("key.pk8")).map_err(|error| fault(error.into()))?;
        Ok(Self { user: user.clone(), folder, key, certificate })
    }

    fn read(folder: &Path, user: &UserName) -> Result<Option<Self>, Error> {
        let fault = |source| Error::Key { user: user.clone(), source };
        let key_path = folder.join("key.pk8");
        if !key_path.exists() {
            return Ok(None);
        }
        let mismatch = || fault(KeyError::Mismatch(folder.to_owned()));
        let certificate =
            files::read_private(&folder.join("certificate.der"), CERTIFICATE_BYTES)?.ok_or_else(mismatch)?;
        let key = LocalKey::load(&key_path).map_err(|error| fault(error.into()))?;
        let certificate = pki::Certificate::from_der(&certificate).map_err(|error| fault(error.into()))?;
        if pki::SigningKey::public_key_spki(&key) != certificate.spki() {
            return Err(mismatch());
        }
        Ok(Some(Self { user: user.clone(), folder: folder.to_owned(), key, certificate }))
    }

    /// Whose profile it is.
    #[must_use]
    pub const fn user(&self) -> &UserName {
        &self.user
    }

    /// The folder that holds it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// SHA-256 of the key (SPKI): the owner of this user's enclaves and the audience of their evidence.
    #[must_use]
    pub fn key_hash(&self) -> Digest {
        Digest::from_bytes(self.certificate.spki_sha256())
    }

    /// The self-signed certificate.
    #[must_use]
    pub const fn certificate(&self) -> &pki::Certificate {
        &self.certificate
    }

    /// Key and certificate as TLS wants them.
    pub(crate) fn certified_key(&self) -> Result<Arc<CertifiedKey>, Error> {
        self.key.certified_key(&[self.certificate.der()]).map_err(|error| self.unusable(error.into()))
    }

    pub(crate) fn unusable(&self, source: KeyError) -> Error {
        Error::Key { user: self.user.clone(), source }
    }

    pub(crate) const fn key(&self) -> &LocalKey {
        &self.key
    }

    fn session_path(&self) -> PathBuf {
        self.folder.join("session.json")
    }

    /// The session, where there is one.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn session(&self) -> Result<Option<Session>, FileError> {
        let path = self.session_path();
        let Some(bytes) = files::read_private(&path, SESSION_BYTES)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        // The parser's message could repeat the content.
        let problem = || "not a session".into();
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| FileError::Malformed { path, problem: problem() })
    }

    pub(crate) fn store_session(&self, session: &Session) -> Result<(), FileError> {
        let path = self.session_path();
        let bytes = serde_json::to_vec(session)
            .map_err(|_| FileError::Malformed { path: path.clone(), problem: "not a session".into() })?;
        files::write_private(&path, &Zeroizing::new(bytes))
    }

    pub(crate) fn drop_session(&self) -> Result<(), FileError> {
        files::remove(&self.session_path())
    }

    /// Held while the session is exchanged: a refresh token works once, so only one command may use it.
    pub(crate) async fn lock(&self) -> Result<Lock, FileError> {
        let path = self.folder.join("lock");
        let waited = path.clone();
        match tokio::task::spawn_blocking(move || Lock::take(&waited)).await {
            Ok(lock) => lock,
            Err(error) => Err(FileError::io("lock", &path)(std::io::Error::other(error))),
        }
    }

    /// What this user's client has seen before.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn memory(&self) -> Result<Memory, FileError> {
        let path = self.folder.join("memory.json");
        let Some(bytes) = files::read_private(&path, MEMORY_BYTES)? else { return Ok(Memory::default()) };
        serde_json::from_slice(&bytes)
            .map_err(|error| FileError::Malformed { path, problem: error.to_string() })
    }

    /// Changes what is remembered; nothing is written when `change` refuses.
    ///
    /// # Errors
    /// [`FileError`] and whatever `change` says.
    pub fn remember<T, E: From<FileError>>(
        &self,
        change: impl FnOnce(&mut Memory) -> Result<T, E>,
    ) -> Result<T, E> {
        let _lock = Lock::take(&self.folder.join("memory.lock"))?;
        let mut memory = self.memory()?;
        let before = memory.clone();
        let out = change(&mut memory)?;
        if memory != before {
            let path = self.folder.join("memory.json");
            let bytes = serde_json::to_vec_pretty(&memory)
                .map_err(|error| FileError::Malformed { path: path.clone(), problem: error.to_string() })?;
            files::write_private(&path, &bytes)?;
        }
        Ok(out)
    }
}
