//! How often a password may be tried and an account be made. Counted in the database before anything is hashed, so that neither a crowd of parallel
//! attempts nor several gateways give more (CVE-2026-27801).
//!
//! An account is never locked for good: a pause has a longest length, and whoever comes with a client certificate that has opened the account before
//! is counted apart, so that others' wrong passwords do not keep the owner out.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use api::{Code, Secret};
use aws_lc_rs::hmac;
use names::Digest;
use store::{Admission, Lockout, Rate, UserId};

use crate::names::AccountName;
use crate::refusal::Refusal;
use crate::seen::Seen;
use crate::settings::{self, Loopback};
use crate::shared::{Shared, now_millis, random};

/// Wrong passwords of an account that are remembered, in memory, to count each once.
const REMEMBERED: usize = 8;
/// Accounts of which they are remembered; all are forgotten when there are more.
const ACCOUNTS: usize = 4096;
/// Seconds without an attempt after which an account's failures are forgotten.
const FORGET: u64 = 24 * 3600;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// The limits, and what was tried last.
pub(crate) struct Limits {
    lockout: Lockout,
    logins: Rate,
    sign_ups: Rate,
    loopback: Loopback,
    key: hmac::Key,
    wrong: Mutex<HashMap<String, VecDeque<[u8; 8]>>>,
}

/// A counted attempt at an account.
pub(crate) struct Attempt {
    /// The account's row; none for a name that no account can have.
    bucket: Option<String>,
    tried: [u8; 8],
}

impl Attempt {
    /// The row that a success forgives.
    pub(crate) fn bucket(&self) -> &str {
        self.bucket.as_deref().unwrap_or_default()
    }
}

impl Limits {
    pub(crate) fn new(config: settings::Limits) -> Result<Self, getrandom::Error> {
        let per = |span: u64, count: u32| span / u64::from(count.max(1));
        Ok(Self {
            lockout: Lockout {
                free: config.account_failures,
                first: config.account_pause,
                longest: config.account_pause_longest,
                forget: FORGET,
            },
            logins: Rate { burst: config.login_burst, every: per(MINUTE, config.logins_per_minute) },
            sign_ups: Rate { burst: config.sign_up_burst, every: per(HOUR, config.sign_ups_per_hour) },
            loopback: config.loopback,
            key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?),
            wrong: Mutex::default(),
        })
    }

    /// Remembers a wrong password; whether it was known to be wrong.
    fn repeats(&self, attempt: &Attempt) -> bool {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= ACCOUNTS {
            wrong.clear();
        }
        let tried = wrong.entry(attempt.bucket().to_owned()).or_default();
        if tried.contains(&attempt.tried) {
            return true;
        }
        tried.truncate(REMEMBERED - 1);
        tried.push_front(attempt.tried);
        false
    }
}

impl Shared {
    /// Counts an attempt at an account's password.
    pub(crate) async fn attempt(
        &self,
        seen: &Seen,
        name: Option<&AccountName>,
        user: Option<&UserId>,
        certificate: Option<&Digest>,
        password: &Secret,
    ) -> Result<Attempt, Refusal> {
        let bucket = match name {
            Some(name) => Some(self.account_bucket(name, user, certificate).await?),
            None => None,
        };
        let address = self.address_bucket(seen, "login", self.limits.logins);
        let account = bucket.as_deref().map(|bucket| (bucket, self.limits.lockout));
        admitted(
            self.store
                .admit(address.as_ref().map(|(bucket, rate)| (bucket.as_str(), *rate)), account, now_millis())
                .await?,
        )?;
        let mut tried = [0; 8];
        let tag = hmac::sign(&self.limits.key, password.expose().as_bytes());
        tried.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Attempt { bucket, tried })
    }

    /// The password was wrong; whether it was known to be. The same wrong one again is no further attempt: it tells a guesser nothing, and a
    /// forgotten client sends it for ever.
    pub(crate) async fn was_wrong(&self, attempt: &Attempt) -> Result<bool, Refusal> {
        let repeated = attempt.bucket.is_some() && self.limits.repeats(attempt);
        if repeated {
            self.store.uncount(attempt.bucket()).await?;
        }
        Ok(repeated)
    }

    /// Counts a sign-up.
    pub(crate) async fn count_sign_up(&self, seen: &Seen) -> Result<(), Refusal> {
        let Some((bucket, rate)) = self.address_bucket(seen, "sign-up", self.limits.sign_ups) else {
            return Ok(());
        };
        admitted(self.store.admit(Some((&bucket, rate)), None, now_millis()).await?)
    }

    async fn account_bucket(
        &self,
        name: &AccountName,
        user: Option<&UserId>,
        certificate: Option<&Digest>,
    ) -> Result<String, Refusal> {
        let nobody = UserId::from_bytes([0; 16]);
        let known = match certificate {
            Some(certificate) => {
                let knows = self.store.knows_certificate(user.unwrap_or(&nobody), certificate).await?;
                knows.then_some(certificate)
            }
            None => None,
        };
        let certificate = known.map_or(&[][..], |certificate| certificate.as_bytes());
        // Not the day's key, which would end every pause at midnight.
        let whose = [name.as_str().as_bytes(), b"\0", certificate].concat();
        let mark = self.sealing.mark(b"account", &whose);
        Ok(format!("account {mark}"))
    }

    fn address_bucket(&self, seen: &Seen, of: &str, rate: Rate) -> Option<(String, Rate)> {
        let exempt = seen.address.0.to_canonical().is_loopback() && self.limits.loopback == Loopback::Exempt;
        (!exempt).then(|| (format!("{of} {}", seen.mark), rate))
    }
}

fn admitted(admission: Admission) -> Result<(), Refusal> {
    match admission {
        Admission::Admitted => Ok(()),
        Admission::Wait(seconds) => {
            Err(Refusal::new(Code::TooManyAttempts, "too many attempts, wait").retry_after(seconds))
        }
    }
}
