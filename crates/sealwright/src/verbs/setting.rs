//! Where a verb works: the context and the user that flags, environment and files say.

use std::path::PathBuf;

use client::{Context, Gateway, Profile, Simulated, contexts};

use crate::arguments::{self, ContextChoice, Globals, TrustOptions, UserChoice};
use crate::failure::Failure;

/// A context and its file.
pub(crate) struct Setting {
    pub(crate) path: PathBuf,
    pub(crate) context: Context,
}

impl Setting {
    /// The context that is named, or the current one.
    pub(crate) fn open(globals: &Globals) -> Result<Self, Failure> {
        Self::of(&globals.context)
    }

    /// The context that is chosen: by name, by its file, or the current one.
    pub(crate) fn of(choice: &ContextChoice) -> Result<Self, Failure> {
        let path = Self::path_of(choice)?;
        let context = Context::load(&path)?;
        Ok(Self { path, context })
    }

    /// Where the chosen context is, whether or not it is there.
    pub(crate) fn path_of(choice: &ContextChoice) -> Result<PathBuf, Failure> {
        Ok(match choice {
            ContextChoice::Given(choice) => contexts::resolve(choice)?,
            ContextChoice::Current => Context::current_path()?,
        })
    }

    /// The user who is named, or who logged in last.
    pub(crate) fn profile(&self, globals: &Globals) -> Result<Profile, Failure> {
        let profile = match &globals.user {
            UserChoice::Given(user) => Profile::open(&self.path, user),
            UserChoice::Current => Profile::open_current(&self.path),
        };
        Ok(profile?)
    }

    /// That user's way to the gateway.
    pub(crate) fn gateway(&self, globals: &Globals) -> Result<Gateway, Failure> {
        Ok(Gateway::new(&self.context, self.profile(globals)?)?)
    }

    /// What the user accepts this time. A context that accepts software TPMs says so each time.
    pub(crate) fn trust(&self, options: &TrustOptions) -> Result<client::Trust, Failure> {
        let policy = options.policy.as_deref().map(client::Trust::read_policy).transpose()?;
        let simulated = match options.simulated {
            arguments::Simulated::Allowed => Some(Simulated::Allowed),
            arguments::Simulated::AsContext => None,
        };
        if self.context.simulated == Simulated::Allowed && simulated.is_none() && policy.is_none() {
            eprintln!("note: the context {} accepts software TPMs (level simulated)", self.path.display());
        }
        Ok(client::Trust { simulated, policy })
    }
}
