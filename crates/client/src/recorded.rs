//! Saved evidence, judged offline and as of a time: a report, and nothing that opens anything.

use std::fs;
use std::path::Path;

use appraisal::{Policy, Versions};
use evidence::{Evidence, Statement};

use crate::context::Context;
use crate::error::{Error, InputError};
use crate::profile::Profile;
use crate::references::Trust;
use crate::report::Report;

/// A bundle that was read from a file.
pub struct Bundle {
    evidence: Evidence,
    statement: Option<Statement>,
}

impl Bundle {
    /// Reads a file. One that is no bundle at all is an input error, not a refusal.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let input = |source| Error::Input { path: path.to_owned(), source };
        let limit = evidence::MAX_BUNDLE as u64;
        if fs::metadata(path).map_err(|error| input(error.into()))?.len() > limit {
            return Err(input(InputError::TooLarge(limit)));
        }
        let json = fs::read(path).map_err(|error| input(error.into()))?;
        let evidence = Evidence::from_json(&json).map_err(|rejected| {
            input(InputError::Malformed { expected: "an evidence bundle", problem: rejected.to_string() })
        })?;
        let statement = Statement::parse(&evidence.statement.0).ok();
        Ok(Self { evidence, statement })
    }

    /// When the agent says that it was made: a claim, good enough for a hint.
    #[must_use]
    pub fn claimed_time(&self) -> Option<u64> {
        self.statement.as_ref().map(|statement| statement.agent_time)
    }

    /// Judges the bundle as of a time. Reference values are those that the user's client knows, if no policy is given.
    ///
    /// # Errors
    /// [`Error::Context`] where the context's anchors can't be used, [`Error::File`].
    pub fn judge(
        &self,
        context: &Context,
        profile: Option<&Profile>,
        trust: &Trust,
        at: u64,
    ) -> Result<Report, Error> {
        let roots = context.roots()?;
        let policy = self.policy(context, profile, trust)?;
        let report = match evidence::verify_recorded(&self.evidence, &roots, at) {
            Err(rejected) => Report::of_rejected(rejected),
            Ok(recorded) => Report::of_recorded(&appraisal::report(&policy, &recorded)),
        };
        Ok(report.recorded_at(at))
    }

    fn policy(&self, context: &Context, profile: Option<&Profile>, trust: &Trust) -> Result<Policy, Error> {
        let Some(profile) = profile else {
            return Ok(trust.policy(context.simulated, || Versions::OneOf(Vec::new())));
        };
        let memory = profile.memory()?;
        let claim = self.statement.as_ref().and_then(|statement| statement.enclave.as_ref());
        let pin = claim.and_then(|claim| memory.enclave_by_id(&claim.id));
        let references = pin.map_or_else(|| memory.measured(), |pin| vec![pin.version.clone()]);
        let mut policy = trust.policy(context.simulated, || Versions::OneOf(references));
        if trust.policy.is_none() {
            policy.owner = Some(profile.key_hash());
        }
        Ok(policy)
    }
}
