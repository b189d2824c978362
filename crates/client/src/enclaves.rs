//! Enclaves as the user means them: created with a vouched version, proved, remembered.

use std::time::Duration;

use api::enclaves::{Enclave, Stage};
use evidence::Roots;
use workload::{AppName, AppVersion};

use crate::attested::{Answered, Connection, Proved, Unproved};
use crate::error::Error;
use crate::gateway::Gateway;
use crate::memory::{Origin, Pin};
use crate::names::EnclaveName;
use crate::profile::Profile;
use crate::references::{Expected, ReferenceError, Vouched};
use crate::time;

/// How long an enclave lives; the operator's bounds where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes {
    /// Stopped after so much time without activity.
    pub idle: Option<Duration>,
    /// Stopped so much time after its start.
    pub age: Option<Duration>,
}

impl Gateway {
    /// Asks for an enclave of a version that its publisher vouches for, and remembers it. It is not yet running then.
    ///
    /// # Errors
    /// [`Error::Reference`], and what the gateway says.
    pub async fn create(
        &mut self,
        name: &EnclaveName,
        app: &AppName,
        version: Option<&AppVersion>,
    ) -> Result<(Enclave, Vouched), Error> {
        self.create_for(name, app, version, Lifetimes::default()).await
    }

    /// As [`Gateway::create`], with bounds on how long it lives.
    ///
    /// # Errors
    /// As [`Gateway::create`].
    pub async fn create_for(
        &mut self,
        name: &EnclaveName,
        app: &AppName,
        version: Option<&AppVersion>,
        lifetimes: Lifetimes,
    ) -> Result<(Enclave, Vouched), Error> {
        let vouched = self.vouched(app, version).await?;
        let enclave = self.create_enclave(name, app, &vouched.version, lifetimes).await?;
        let wanted = vouched.reference.digest;
        if enclave.version_digest != wanted {
            return Err(ReferenceError::CreatedOther { wanted, now: enclave.version_digest }.into());
        }
        let version = vouched.reference.clone();
        let pin = Pin { id: enclave.id, version, incarnation: 0, origin: Origin::User };
        self.profile().remember(|memory| {
            memory.created(name.clone(), pin);
            Ok::<_, Error>(())
        })?;
        Ok((enclave, vouched))
    }

    /// Deletes an enclave, and forgets it.
    ///
    /// # Errors
    /// What the gateway says.
    pub async fn delete(&mut self, name: &EnclaveName) -> Result<(), Error> {
        self.delete_enclave(name).await?;
        self.profile().remember(|memory| {
            memory.deleted(name);
            Ok(())
        })
    }

    /// Waits until the enclave runs.
    ///
    /// # Errors
    /// As [`Gateway::follow`].
    pub async fn wait(
        &mut self,
        name: &EnclaveName,
        at_most: Duration,
        on_stage: impl FnMut(&Stage),
    ) -> Result<Enclave, Error> {
        self.follow(name, at_most, on_stage).await?;
        self.enclave(name).await
    }

    /// Connects to an enclave and asks for its evidence.
    ///
    /// # Errors
    /// [`Error::Unreachable`], or why it cannot be: it does not exist, or does not run.
    pub async fn ask_enclave(&mut self, expected: &Expected) -> Result<Answered, Error> {
        let edge = self.context().edge.clone();
        let asked = match Connection::<Unproved>::dial(&edge, &expected.host, self.profile()).await {
            Ok(connection) => connection.ask(time::now()).await,
            Err(error) => Err(error),
        };
        match asked {
            Err(error) => Err(self.explained(&expected.name, error).await),
            Ok(answered) => Ok(answered),
        }
    }

    /// Why an enclave can't be reached, where the gateway knows a better reason: it does not exist, or does not run.
    pub(crate) async fn explained(&mut self, name: &EnclaveName, error: Error) -> Error {
        let Error::Unreachable { .. } = error else { return error };
        match self.enclave(name).await {
            Ok(enclave) if enclave.state != api::enclaves::State::Running => {
                let reason = enclave.reason;
                Error::NotRunning { name: enclave.name, state: enclave.state, reason }
            }
            Err(better @ Error::Problem(_)) if better.fault() == crate::Fault::NotFound => better,
            Ok(_) | Err(_) => error,
        }
    }

    /// Judges an answer; a proved enclave is remembered.
    ///
    /// # Errors
    /// [`Error::Refused`] with the whole report.
    pub fn judge_enclave(
        &self,
        answered: Answered,
        expected: &Expected,
    ) -> Result<Connection<Proved>, Error> {
        judge(&self.context().roots()?, self.profile(), answered, expected)
    }
}

/// Judges an answer by what is expected of the enclave, and says what that expectation rests on.
pub(crate) fn judge(
    roots: &Roots,
    profile: &Profile,
    answered: Answered,
    expected: &Expected,
) -> Result<Connection<Proved>, Error> {
    let judged = answered.judge(roots, &expected.policy, time::now());
    let connection = judged.map_err(|mut report| {
        report.not_proved.extend(expected.gap());
        Error::Refused(report)
    })?;
    if let Some(claim) = &connection.trusted().facts().statement.enclave {
        let pin = Pin { incarnation: claim.incarnation, ..expected.pin.clone() };
        profile.remember(|memory| {
            memory.proved(expected.name.clone(), pin);
            Ok::<_, Error>(())
        })?;
    }
    Ok(connection.noting(expected.gap()))
}
