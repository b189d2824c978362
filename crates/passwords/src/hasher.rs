//! Password hashes: Argon2id in a bounded pool, so that a flood of logins can't take the machine.
//!
//! Invariant: a check does one hash whatever the name, and the names that there are not spread over the kinds of hash as the accounts do. What
//! remains to be seen by time: a name whose check is slow, like bcrypt, and becomes fast is an account that has logged in.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::available_parallelism;

use api::Secret;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hmac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::bcrypt::{self, NotABcryptHash};
use crate::rules::can_be_one;
use crate::text::normalized;
use crate::{Rules, Unacceptable};

/// OWASP Password Storage Cheat Sheet: the smallest recommended Argon2id parameters.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// How a hash of ours begins; one that begins otherwise is made anew at the next login.
const CURRENT: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

/// The pool that hashes passwords: each hash takes 19 MiB and one core for some tens of milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hashing {
    /// Hashes at one time; one per core if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<NonZero<usize>>,
    /// Requests that may wait; more are answered `busy`.
    pub queue: usize,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { threads: None, queue: 64 }
    }
}

/// The pool.
pub struct Hasher {
    /// Places for those that run and those that wait.
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
    rules: Arc<Rules>,
    stand_ins: StandIns,
}

/// What is checked when there is no such account, so that the answer takes as long.
struct StandIns {
    argon2id: String,
    bcrypt: String,
    /// Which of them a name gets, always the same one.
    key: hmac::Key,
    /// Of 65,536 accounts, how many have a bcrypt hash.
    old: AtomicU32,
}

/// Why no hash was made or checked.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many wait.
    #[error("too many password hashes wait")]
    Busy,
    /// The password may not be set.
    #[error("{0}")]
    Unacceptable(Unacceptable),
    /// The kernel gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The hash could not be made.
    #[error("password hash: {0}")]
    Hash(password_hash::Error),
    /// The stored hash is damaged.
    #[error("the stored password hash can't be read")]
    Stored,
    /// The task ended early.
    #[error("the hashing task was lost")]
    Lost(#[from] tokio::task::JoinError),
}

impl From<NotABcryptHash> for HashError {
    fn from(_: NotABcryptHash) -> Self {
        Self::Stored
    }
}

/// What a password is checked against.
pub enum Stored<'a> {
    /// The hash of an account.
    Account(&'a str),
    /// There is no account of this name.
    Nobody(&'a str),
}

/// What a check found.
pub enum Checked {
    /// The password is right.
    Right,
    /// It is right, and this hash with today's parameters should replace the stored one.
    RightAndStale(String),
    /// It is wrong, or there was no account.
    Wrong,
}

impl Hasher {
    /// The pool with its stand-in hashes, of a random password that nobody knows.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn start(config: Hashing, rules: Rules) -> Result<Self, HashError> {
        let threads = config.threads.or_else(|| available_parallelism().ok()).map_or(2, NonZero::get);
        let nobody = Secret::new(names::hex(&random::<32>()?));
        let stand_ins = StandIns {
            argon2id: hash(&nobody)?,
            bcrypt: bcrypt::stand_in(random()?, nobody.expose().as_bytes())?,
            key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?),
            old: AtomicU32::new(0),
        };
        Ok(Self {
            places: Arc::new(Semaphore::new(threads.saturating_add(config.queue))),
            running: Arc::new(Semaphore::new(threads)),
            rules: Arc::new(rules),
            stand_ins,
        })
    }

    /// Of so many accounts so many still have a bcrypt hash: names that there are not are checked alike.
    pub fn accounts_are(&self, users: u64, old: u64) {
        let share = old.saturating_mul(1 << 16).checked_div(users).unwrap_or(0);
        self.stand_ins.old.store(u32::try_from(share).unwrap_or(1 << 16), Ordering::Relaxed);
    }

    /// The PHC string of a new password for an account of this name, when the rules allow it.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn hash_new(&self, password: Secret, account: &str) -> Result<String, HashError> {
        let (rules, account) = (Arc::clone(&self.rules), account.to_owned());
        self.run(move || {
            rules.check(&password, &account).map_err(HashError::Unacceptable)?;
            hash(&password)
        })
        .await?
    }

    /// Checks a password against the stored hash of an account, or does the same work when there is none.
    ///
    /// # Errors
    /// [`HashError`].
    pub async fn check(&self, password: Secret, stored: Stored<'_>) -> Result<Checked, HashError> {
        // The same for every name, and before anything is hashed (CVE-2025-22234).
        if !can_be_one(&password) {
            return Ok(Checked::Wrong);
        }
        let (stored, known) = match stored {
            Stored::Account(hash) => (hash.to_owned(), true),
            Stored::Nobody(name) => (self.stand_ins.of(name).to_owned(), false),
        };
        self.run(move || {
            let right = matches(&password, &stored)?;
            if !right || !known {
                return Ok(Checked::Wrong);
            }
            if stored.starts_with(CURRENT) {
                return Ok(Checked::Right);
            }
            hash(&password).map(Checked::RightAndStale)
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

impl StandIns {
    fn of(&self, name: &str) -> &str {
        let tag = hmac::sign(&self.key, name.as_bytes());
        let place = tag.as_ref().iter().take(2).fold(0, |place, byte| (place << 8) | u32::from(*byte));
        if place < self.old.load(Ordering::Relaxed) { &self.bcrypt } else { &self.argon2id }
    }
}

fn matches(password: &Secret, stored: &str) -> Result<bool, HashError> {
    if bcrypt::is_one(stored) {
        return Ok(bcrypt::check(password.expose().as_bytes(), stored)?);
    }
    let parsed = PasswordHash::new(stored).map_err(|_| HashError::Stored)?;
    match argon2().verify_password(normalized(password).as_bytes(), &parsed) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(HashError::Hash(error)),
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &Secret) -> Result<String, HashError> {
    let salt = random::<16>()?;
    let hash: PasswordHash =
        argon2().hash_password_with_salt(normalized(password).as_bytes(), &salt).map_err(HashError::Hash)?;
    Ok(hash.to_string())
}

fn random<const N: usize>() -> Result<[u8; N], HashError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(HashError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    async fn hasher(threads: usize, queue: usize) -> Hasher {
        Hasher::start(Hashing { threads: NonZero::new(threads), queue }, Rules::default()).await.unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_is_right() {
        let hasher = hasher(2, 8).await;
        let stored = hasher.hash_new(secret("correct horse battery"), "alice").await.unwrap();
        assert!(stored.starts_with(CURRENT), "{stored}");
        let check = async |password: &str, stored| hasher.check(secret(password), stored).await.unwrap();
        let account = || Stored::Account(stored.as_str());
        assert!(matches!(check("correct horse battery", account()).await, Checked::Right));
        assert!(matches!(check("correct horse batterz", account()).await, Checked::Wrong));
        assert!(matches!(check("correct horse battery", Stored::Nobody("carol")).await, Checked::Wrong));
        assert!(matches!(check(&"x".repeat(1025), account()).await, Checked::Wrong));
    }

    /// CVE-2025-22234: a password that is too long was refused at once for some names and hashed for others, which told the names. Here no name
    /// comes as far as the pool.
    #[tokio::test]
    async fn a_password_that_is_too_long_takes_no_place_whatever_the_name() {
        let hasher = hasher(1, 0).await;
        let stored = hasher.hash_new(secret("correct horse battery"), "alice").await.unwrap();
        let old = bcrypt::stand_in([3; 16], b"correct horse").unwrap();
        let _place = Arc::clone(&hasher.places).try_acquire_owned().unwrap();
        for stored in [Stored::Account(&stored), Stored::Account(&old), Stored::Nobody("carol")] {
            let checked = hasher.check(secret(&"x".repeat(1025)), stored).await;
            assert!(matches!(checked, Ok(Checked::Wrong)));
        }
        for stored in [Stored::Account(&stored), Stored::Nobody("carol")] {
            let checked = hasher.check(secret(&"x".repeat(1024)), stored).await;
            assert!(matches!(checked, Err(HashError::Busy)));
        }
    }

    /// Okta, 30 October 2024: a cache key was bcrypt over id, name and password, so that behind a long name nothing of the password counted.
    /// Nothing here stands before the password, and all of it counts.
    #[tokio::test]
    async fn behind_a_long_name_every_byte_of_a_long_password_counts() {
        let hasher = hasher(2, 8).await;
        let name = "n".repeat(64);
        for length in [71, 72, 73, 100, 1024] {
            let right: String = "correct horse battery ".chars().cycle().take(length).collect();
            let stored = hasher.hash_new(secret(&right), &name).await.unwrap();
            let mut wrong = right.clone();
            wrong.replace_range(length - 1.., "#");
            let check = async |password: &str| {
                hasher.check(secret(password), Stored::Account(&stored)).await.unwrap()
            };
            assert!(matches!(check(&wrong).await, Checked::Wrong), "{length}");
            assert!(matches!(check(&right[1..]).await, Checked::Wrong), "{length}");
            assert!(matches!(check(&right).await, Checked::Right), "{length}");
        }
    }

    /// Two keyboards compose differently and mean the same password.
    #[tokio::test]
    async fn a_password_is_the_same_however_it_is_composed() {
        let hasher = hasher(2, 8).await;
        let stored = hasher.hash_new(secret("gr\u{fc}n gr\u{fc}n gr\u{fc}n"), "alice").await;
        assert!(matches!(stored, Err(HashError::Unacceptable(Unacceptable::Short))));
        let stored = hasher.hash_new(secret("gr\u{fc}ne gr\u{fc}ne gr\u{fc}ne"), "alice").await.unwrap();
        let decomposed = secret("gru\u{308}ne gru\u{308}ne gru\u{308}ne");
        assert!(matches!(hasher.check(decomposed, Stored::Account(&stored)).await, Ok(Checked::Right)));
    }

    #[tokio::test]
    async fn an_old_hash_is_checked_and_replaced() {
        let hasher = hasher(2, 8).await;
        let old = bcrypt::stand_in([3; 16], b"correct horse").unwrap();
        let Checked::RightAndStale(new) =
            hasher.check(secret("correct horse"), Stored::Account(&old)).await.unwrap()
        else {
            panic!("an old hash is stale");
        };
        assert!(new.starts_with(CURRENT));
        assert!(matches!(
            hasher.check(secret("correct horse"), Stored::Account(&new)).await,
            Ok(Checked::Right)
        ));
        assert!(matches!(
            hasher.check(secret("wrong horse"), Stored::Account(&old)).await,
            Ok(Checked::Wrong)
        ));
    }

    /// RUSTSEC-2026-0199: a tampered stored hash made the library panic.
    #[tokio::test]
    async fn a_corrupt_stored_hash_is_an_error_and_not_a_panic() {
        let hasher = hasher(2, 8).await;
        for corrupt in ["", "$", "plain", "$argon2id$v=19$m=1,t=2,p=1$AAAA", "$argon2id$\u{e4}", "$2b$10$x"] {
            let checked = hasher.check(secret("correct horse battery"), Stored::Account(corrupt)).await;
            assert!(checked.is_err(), "{corrupt}");
        }
    }

    /// Names that there are not look like accounts: as many of them are checked with bcrypt.
    #[tokio::test]
    async fn unknown_names_spread_over_the_kinds_of_hash_as_accounts_do() {
        let hasher = hasher(1, 0).await;
        let old = |hasher: &Hasher| {
            (0..4000).filter(|number| hasher.stand_ins.of(&format!("name{number}")).starts_with("$2")).count()
        };
        assert_eq!(old(&hasher), 0);
        hasher.accounts_are(100, 25);
        assert!((800..1200).contains(&old(&hasher)));
        hasher.accounts_are(100, 100);
        assert_eq!(old(&hasher), 4000);
        hasher.accounts_are(0, 0);
        assert_eq!(old(&hasher), 0);
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_at_once() {
        let hasher = hasher(1, 0).await;
        let place = Arc::clone(&hasher.places).try_acquire_owned().unwrap();
        let hash = || hasher.hash_new(secret("correct horse battery"), "alice");
        assert!(matches!(hash().await, Err(HashError::Busy)));
        drop(place);
        assert!(hash().await.is_ok());
    }

    /// A client that hangs up must not make room while its hash still runs (solana-foundation/solana-private-channels PR#247).
    #[tokio::test]
    async fn a_caller_that_hangs_up_makes_no_room() {
        let hasher = hasher(1, 0).await;
        let work = |release: std::sync::mpsc::Receiver<()>| move || release.recv().ok();
        let (release, waiting) = std::sync::mpsc::channel();
        let mut hung_up = Box::pin(hasher.run(work(waiting)));
        assert!(futures_util::poll!(&mut hung_up).is_pending());
        drop(hung_up);
        assert!(matches!(
            hasher.hash_new(secret("correct horse battery"), "alice").await,
            Err(HashError::Busy)
        ));
        release.send(()).unwrap();
        let place = hasher.places.acquire().await.unwrap();
        drop(place);
        assert!(hasher.hash_new(secret("correct horse battery"), "alice").await.is_ok());
    }
}
