//! From the command line to one typed value, in one step.

mod admin;
mod auth;
mod context;
mod enclave;
mod examples;
mod license;
mod parse;
mod raw;
mod typed;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use raw::{Raw, RawApp, RawBackup, RawGlobals, RawOutput, RawTrust, RawVerb};

pub(crate) use typed::{
    Admin, App, Auth, Authority, Backup, Body, Command, Confirmation, ConnectOptions, ContextChoice,
    ContextSetting, ContextVerb, CreateContext, Database, DemoOptions, DoorPlace, Enclave, Follow, Globals,
    Invocation, License, Licenses, Method, Moment, Output, Part, PasswordSource, Plans, Revoke, ServiceMode,
    ServiceOptions, Shell, Simulated, Totp, Tpm, TrustOptions, UpOptions, UserChoice, VerifyFile,
    VersionChoice, Wait,
};

/// The whole command line as clap knows it, with its examples.
pub(crate) fn definition() -> clap::Command {
    examples::illustrated(Raw::command())
}

/// What the environment says, read once.
#[derive(Default)]
pub(crate) struct Environment {
    pub(crate) context: Option<OsString>,
    pub(crate) user: Option<String>,
}

impl Environment {
    /// The environment of this process. An empty variable is none.
    pub(crate) fn read() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            context: set("SEALWRIGHT_CONTEXT"),
            user: set("SEALWRIGHT_USER").and_then(|v| v.into_string().ok()),
        }
    }
}

/// Reads the command line. Flags come before the environment.
///
/// # Errors
/// What clap prints: a usage error, or a help text that was asked for.
pub(crate) fn read<I>(arguments: I, environment: Environment) -> Result<Invocation, clap::Error>
where
    I: IntoIterator<Item = OsString>,
{
    let mut definition = definition();
    let mut matches = definition.try_get_matches_from_mut(arguments)?;
    let Raw { globals, verb } =
        Raw::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut definition))?;
    Ok(Invocation { globals: read_globals(globals, environment)?, command: command(verb)? })
}

fn read_globals(raw: RawGlobals, environment: Environment) -> Result<Globals, clap::Error> {
    let context = raw.context.or_else(|| environment.context.map(Into::into));
    let user = match (raw.user, environment.user) {
        (Some(user), _) => UserChoice::Given(user),
        (None, None) => UserChoice::Current,
        (None, Some(text)) => UserChoice::Given(
            text.parse().map_err(|error| usage(format!("SEALWRIGHT_USER is {text:?}: {error}")))?,
        ),
    };
    let output = match raw.output {
        RawOutput::Table => Output::Table,
        RawOutput::Wide => Output::Wide,
        RawOutput::Json => Output::Json,
        RawOutput::Name => Output::Name,
    };
    Ok(Globals { context: context.map_or(ContextChoice::Current, ContextChoice::Given), user, output })
}

fn usage(message: String) -> clap::Error {
    definition().error(ErrorKind::ValueValidation, message)
}

fn command(verb: RawVerb) -> Result<Command, clap::Error> {
    Ok(match verb {
        RawVerb::Up(raw) => Command::Up(UpOptions {
            data: raw.data,
            listen: raw.listen,
            database: raw.database,
            ready_file: raw.ready_file,
            tpm: raw.tpm,
            config: raw.config,
            mode: mode(raw.check_config),
        }),
        RawVerb::Auth(raw) => Command::Auth(auth::read(raw)),
        RawVerb::App(raw) => Command::App(app(raw)),
        RawVerb::Enclave(raw) => Command::Enclave(enclave::read(raw)),
        RawVerb::License(raw) => Command::License(license::read(raw)),
        RawVerb::Demo(raw) => Command::Demo(DemoOptions { data: raw.data }),
        RawVerb::Verify(raw) => {
            Command::Verify(VerifyFile { file: raw.file, at: raw.at, trust: trust(raw.trust) })
        }
        RawVerb::Context(raw) => Command::Context(context::read(raw)?),
        RawVerb::Backup(RawBackup::Create { file, data, with_tpm }) => {
            Command::Backup(Backup::Create { file, data, tpm: with_tpm })
        }
        RawVerb::Backup(RawBackup::Restore { file, data }) => Command::Backup(Backup::Restore { file, data }),
        RawVerb::Doctor(raw) => Command::Doctor { data: raw.data },
        RawVerb::Admin(raw) => Command::Admin(admin::read(raw)),
        RawVerb::Completion { shell } => Command::Completion(shell),
        RawVerb::Man { dir } => Command::Man { folder: dir },
        RawVerb::ExitCodes => Command::ExitCodes,
        RawVerb::ConfigSchema => Command::ConfigSchema,
        RawVerb::Gateway(raw) => service(Part::Gateway, raw),
        RawVerb::Controller(raw) => service(Part::Controller, raw),
        RawVerb::Agent(raw) => service(Part::Agent, raw),
        RawVerb::Verifier(raw) => service(Part::Verifier, raw),
        RawVerb::Signer(raw) => service(Part::Signer, raw),
        RawVerb::Edge(raw) => service(Part::Edge, raw),
        RawVerb::Facade(raw) => service(Part::Facade, raw),
    })
}

fn app(raw: RawApp) -> App {
    match raw {
        RawApp::Publish { file } => App::Publish { file },
        RawApp::List => App::List,
        RawApp::Show { name } => App::Show { name },
        RawApp::Digest { file } => App::Digest { file },
    }
}

fn confirmation(yes: bool) -> Confirmation {
    if yes { Confirmation::Given } else { Confirmation::Ask }
}

fn trust(raw: RawTrust) -> TrustOptions {
    let simulated = if raw.allow_simulated { Simulated::Allowed } else { Simulated::AsContext };
    TrustOptions { simulated, policy: raw.policy }
}

fn mode(check_config: bool) -> ServiceMode {
    if check_config { ServiceMode::CheckConfig } else { ServiceMode::Run }
}

fn service(part: Part, raw: raw::RawService) -> Command {
    Command::Service(ServiceOptions { part, config: raw.config, mode: mode(raw.check_config) })
}

#[cfg(test)]
mod tests;
