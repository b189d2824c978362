//! What a TPM does against guessing: it counts failed authorizations, and refuses all at some number of them.
//! TPM 2.0 Part 1, 19.8; the properties are Part 2, 6.13.

use std::time::Duration;

use tpm2::command::GetProperties;

use crate::error::TpmError;
use crate::tpm::Tpm;

/// The counter of failed authorizations, and its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// Whether it refuses what is protected against guessing.
    pub locked: bool,
    /// Failures that it remembers.
    pub failures: u32,
    /// The number of failures at which it locks.
    pub most: u32,
    /// After this long it forgets one failure.
    pub forgets_one_after: Duration,
    /// After this long the lockout authorization may be tried again, once that one has failed.
    pub recovers_after: Duration,
}

impl Lockout {
    /// How long it stays locked when nobody fails again; none where it is not.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let too_many = self.failures.saturating_sub(self.most).saturating_add(1);
        self.locked.then(|| self.forgets_one_after.saturating_mul(too_many))
    }
}

impl Tpm {
    /// Asks the TPM for its counter of failures. It needs no authorization and changes nothing.
    ///
    /// # Errors
    /// [`TpmError`]; a TPM that leaves a property out is malformed.
    pub fn lockout(&mut self) -> Result<Lockout, TpmError> {
        let mut property = |tag| -> Result<u32, TpmError> {
            let properties = self.execute(&GetProperties { first: tag, count: 1 }, &mut [])?;
            let found = properties.into_iter().find(|(found, _)| *found == tag);
            found.map(|(_, value)| value).ok_or(TpmError::PropertyMissing(tag))
        };
        let seconds = |value: u32| Duration::from_secs(value.into());
        Ok(Lockout {
            locked: property(GetProperties::PERMANENT)? & GetProperties::IN_LOCKOUT != 0,
            failures: property(GetProperties::LOCKOUT_COUNTER)?,
            most: property(GetProperties::MAX_AUTH_FAIL)?,
            forgets_one_after: seconds(property(GetProperties::LOCKOUT_INTERVAL)?),
            recovers_after: seconds(property(GetProperties::LOCKOUT_RECOVERY)?),
        })
    }
}
