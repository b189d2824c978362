//! Password hashes: Argon2id in a bounded pool, so that a flood of logins can't take the machine.

use std::sync::Arc;

use api::{Code, Secret};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::Hashing;
use crate::refusal::Refusal;
use crate::shared::random;

/// OWASP Password Storage Cheat Sheet: the smallest recommended Argon2id parameters.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// How a hash of ours begins; one that begins otherwise is made anew at the next login.
const CURRENT: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

/// The pool.
pub(crate) struct Hasher {
    /// Places for those that run and those that wait.
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
    /// What is checked when there is no such account, so that the answer takes as long.
    stand_in: String,
}

/// Why no hash was made or checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    #[error("too many password hashes wait")]
    Busy,
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("password hash: {0}")]
    Hash(password_hash::Error),
    #[error("the stored password hash can't be read: {0}")]
    Stored(password_hash::phc::Error),
    #[error("the hashing task was lost")]
    Lost(#[from] tokio::task::JoinError),
}

impl From<HashError> for Refusal {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::new(Code::Busy, "too many logins at once"),
            HashError::Random(_) | HashError::Hash(_) | HashError::Stored(_) | HashError::Lost(_) => {
                Self::internal(error)
            }
        }
    }
}

/// What a check found.
pub(crate) enum Checked {
    /// The password is right.
    Right,
    /// It is right, and this hash with today's parameters should replace the stored one.
    RightAndStale(String),
    /// It is wrong, or there was no account.
    Wrong,
}

impl Hasher {
    /// The pool with its stand-in hash, of a random password that nobody knows.
    pub(crate) async fn start(config: Hashing) -> Result<Self, HashError> {
        let threads = config.threads.max(1);
        let mut hasher = Self {
            places: Arc::new(Semaphore::new(threads.saturating_add(config.queue))),
            running: Arc::new(Semaphore::new(threads)),
            stand_in: String::new(),
        };
        let nobody = names::hex(&random::<32>().map_err(HashError::Random)?);
        hasher.stand_in = hasher.hash(Secret::new(nobody)).await?;
        Ok(hasher)
    }

    /// The PHC string of a password.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, HashError> {
        self.run(move || hash(&password)).await?
    }

    /// Checks a password against the stored hash of an account, or does the same work when there is none.
    pub(crate) async fn check(&self, password: Secret, stored: Option<String>) -> Result<Checked, HashError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.stand_in.clone());
        self.run(move || {
            let parsed = PasswordHash::new(&stored).map_err(HashError::Stored)?;
            match argon2().verify_password(password.expose().as_bytes(), &parsed) {
                Ok(()) if !known => Ok(Checked::Wrong),
                Ok(()) if stored.starts_with(CURRENT) => Ok(Checked::Right),
                Ok(()) => hash(&password).map(Checked::RightAndStale),
                Err(password_hash::Error::PasswordInvalid) => Ok(Checked::Wrong),
                Err(error) => Err(HashError::Hash(error)),
            }
        })
        .await?
    }

    /// Runs on a blocking thread. The permits go with the work: a caller that hangs up does not make room for more while its hash still runs
    /// (solana-foundation/solana-private-channels PR#247).
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| HashError::Busy)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| HashError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, place));
            done
        });
        Ok(done.await?)
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &Secret) -> Result<String, HashError> {
    let salt = random::<16>().map_err(HashError::Random)?;
    let hash: PasswordHash =
        argon2().hash_password_with_salt(password.expose().as_bytes(), &salt).map_err(HashError::Hash)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_is_right() {
        let hasher = Hasher::start(Hashing::default()).await.unwrap();
        let stored = hasher.hash(secret("correct horse battery")).await.unwrap();
        assert!(stored.starts_with(CURRENT), "{stored}");
        let check = async |password: &str, stored: Option<&String>| {
            hasher.check(secret(password), stored.cloned()).await.unwrap()
        };
        assert!(matches!(check("correct horse battery", Some(&stored)).await, Checked::Right));
        assert!(matches!(check("correct horse batterz", Some(&stored)).await, Checked::Wrong));
        assert!(matches!(check("correct horse battery", None).await, Checked::Wrong));
    }

    /// RUSTSEC-2026-0199: a tampered stored hash made the library panic.
    #[tokio::test]
    async fn a_corrupt_stored_hash_is_an_error_and_not_a_panic() {
        let hasher = Hasher::start(Hashing::default()).await.unwrap();
        for corrupt in ["", "$", "plain", "$argon2id$v=19$m=1,t=2,p=1$AAAA", "$argon2id$\u{e4}", "$2b$10$x"] {
            assert!(
                hasher.check(secret("correct horse battery"), Some(corrupt.into())).await.is_err(),
                "{corrupt}"
            );
        }
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_at_once() {
        let hasher = Hasher::start(Hashing { threads: 1, queue: 0 }).await.unwrap();
        let place = Arc::clone(&hasher.places).try_acquire_owned().unwrap();
        assert!(matches!(hasher.hash(secret("correct horse battery")).await, Err(HashError::Busy)));
        drop(place);
        assert!(hasher.hash(secret("correct horse battery")).await.is_ok());
    }

    /// A client that hangs up must not make room while its hash still runs (solana-foundation/solana-private-channels PR#247).
    #[tokio::test]
    async fn a_caller_that_hangs_up_makes_no_room() {
        let hasher = Hasher::start(Hashing { threads: 1, queue: 0 }).await.unwrap();
        let work = |release: std::sync::mpsc::Receiver<()>| move || release.recv().ok();
        let (release, waiting) = std::sync::mpsc::channel();
        let mut hung_up = Box::pin(hasher.run(work(waiting)));
        assert!(futures_util::poll!(&mut hung_up).is_pending());
        drop(hung_up);
        assert!(matches!(hasher.hash(secret("correct horse battery")).await, Err(HashError::Busy)));
        release.send(()).unwrap();
        let place = hasher.places.acquire().await.unwrap();
        drop(place);
        assert!(hasher.hash(secret("correct horse battery")).await.is_ok());
    }
}
