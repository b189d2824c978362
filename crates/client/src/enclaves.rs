//! Enclaves as the user means them: created with a vouched version, proved, remembered.

use std::time::Duration;

use api::enclaves::{Enclave, Stage};
use workload::{AppName, AppVersion};

use crate::attested::{Answered, Connection, Proved, Unproved};
use crate::error::Error;
use crate::gateway::Gateway;
use crate::memory::Pin;
use crate::names::EnclaveName;
use crate::references::{Expected, ReferenceError, Vouched};
use crate::time;

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
        let vouched = self.vouched(app, version).await?;
        let enclave = self.create_enclave(name, app, &vouched.version).await?;
        let wanted = vouched.reference.digest;
        if enclave.version_digest != wanted {
            return Err(ReferenceError::CreatedOther { wanted, now: enclave.version_digest }.into());
        }
        let pin = Pin { id: enclave.id, version: vouched.reference.clone(), incarnation: 0 };
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
            Err(Error::Unreachable { at, source }) => {
                // The gateway may know why. Where it does not, the first error is the better one.
                match self.enclave(&expected.name).await {
                    Ok(enclave) if enclave.state != api::enclaves::State::Running => {
                        let reason = enclave.reason;
                        Err(Error::NotRunning { name: enclave.name, state: enclave.state, reason })
                    }
                    Err(error @ Error::Problem(_)) if error.fault() == crate::Fault::NotFound => Err(error),
                    Ok(_) | Err(_) => Err(Error::Unreachable { at, source }),
                }
            }
            other => other,
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
        let roots = self.context().roots()?;
        let connection = answered.judge(&roots, &expected.policy, time::now()).map_err(Error::Refused)?;
        if let Some(claim) = &connection.trusted().facts().statement.enclave {
            let pin = Pin { incarnation: claim.incarnation, ..expected.pin.clone() };
            self.profile().remember(|memory| {
                memory.proved(expected.name.clone(), pin);
                Ok::<_, Error>(())
            })?;
        }
        Ok(connection)
    }
}
