//! The two ways to read evidence: as the answer to a challenge, or as a record of the past.

use crate::{Challenge, Evidence, Facts, Rejected, Roots, examine};

/// Evidence that answered a challenge of ours. [`verify`] is the only constructor; `appraisal` decides what it is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    facts: Facts,
    at: u64,
}

impl Verified {
    /// What the evidence proves.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// When it was verified, unix seconds.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }
}

/// Evidence that would have been valid at some time, for whoever asked then. A report: nothing is issued, connected or
/// released with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    facts: Facts,
    at: u64,
}

impl Recorded {
    /// What the evidence proved.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The time for which this was asked, unix seconds.
    #[must_use]
    pub const fn at(&self) -> u64 {
        self.at
    }
}

/// Checks evidence against the challenge that it answers. The challenge is consumed, also when the check fails.
///
/// # Errors
/// The first [`Rejected`] in the order of [`crate::Step::ALL`]' cheaper checks first.
pub fn verify(
    challenge: Challenge,
    evidence: &Evidence,
    roots: &Roots,
    now: u64,
) -> Result<Verified, Rejected> {
    let statement = examine::statement(evidence)?;
    examine::answers(&statement, &challenge, now)?;
    drop(challenge);
    let facts = examine::facts(evidence, statement, roots, now)?;
    Ok(Verified { facts, at: now })
}

/// Checks a saved bundle as of a time, whoever it was made for.
///
/// # Errors
/// The first [`Rejected`].
pub fn verify_recorded(evidence: &Evidence, roots: &Roots, at: u64) -> Result<Recorded, Rejected> {
    let statement = examine::statement(evidence)?;
    let facts = examine::facts(evidence, statement, roots, at)?;
    Ok(Recorded { facts, at })
}
