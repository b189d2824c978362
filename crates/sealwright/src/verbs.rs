//! The user's verbs: each asks the client library, and prints what it says.

mod admin;
pub(crate) mod app;
pub(crate) mod auth;
mod backup;
pub(crate) mod connect;
pub(crate) mod context;
pub(crate) mod doctor;
pub(crate) mod enclave;
mod license;
mod request;
pub(crate) mod setting;
mod verify;

use std::io::{self, BufRead, IsTerminal, Read};

use crate::arguments::{Command, Confirmation, Enclave, Invocation};
use crate::exit::ExitCode;
use crate::failure::Failure;

/// Longest line that is read as an answer.
const CONFIRMATION_BYTES: u64 = 256;

/// Runs one of the user's verbs to its end.
pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { globals, command } = invocation;
    match command {
        Command::Auth(verb) => auth::run(&globals, verb).await,
        Command::App(verb) => app::run(&globals, verb).await,
        Command::Enclave(verb) => enclave::run(&globals, verb).await,
        Command::License(verb) => license::run(&globals, verb).await,
        Command::Verify(options) => verify::file(&globals, &options),
        Command::Context(verb) => context::run(&globals, verb).await,
        Command::Backup(verb) => backup::run(&globals, verb).await,
        Command::Doctor { data } => doctor::run(&globals, &data).await,
        Command::ConfigSchema => crate::output::write(ensemble::Settings::schema().as_bytes()),
        Command::Admin(verb) => admin::run(&globals, verb).await,
        Command::Completion(shell) => crate::complete::registration(shell),
        Command::Man { folder } => crate::manual::write(&folder),
        Command::ExitCodes => crate::output::write(crate::exit::ExitCode::table().as_bytes()),
        Command::Up(_) | Command::Demo(_) | Command::Service(_) => {
            unreachable!("started by main, not a user's verb")
        }
    }
}

/// Asks for the name of what will be gone. `command` does it without asking.
fn confirm(what: &str, name: &str, command: &str, confirmation: Confirmation) -> Result<(), Failure> {
    if confirmation == Confirmation::Given {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new(ExitCode::Usage, format!("deleting {what} needs your word")).next(command));
    }
    eprint!("{what} will be gone. Type {name} to delete it: ");
    let mut line = String::new();
    let read = io::stdin().lock().take(CONFIRMATION_BYTES).read_line(&mut line);
    match read.is_ok() && line.trim() == name {
        true => Ok(()),
        false => Err(Failure::new(ExitCode::Failed, format!("{what} is not deleted"))),
    }
}

/// What the user may do when a verb was interrupted.
pub(crate) fn after_interruption(command: &Command) -> Option<String> {
    match command {
        Command::Enclave(Enclave::Create { name, .. } | Enclave::Start { name, .. }) => Some(format!(
            "it goes on without you: sealwright enclave show {name}; to give it up: sealwright enclave cancel {name}"
        )),
        Command::App(crate::arguments::App::Publish { .. }) => {
            Some("the same command goes on where it was: what is uploaded stays".into())
        }
        Command::Up(_)
        | Command::Auth(_)
        | Command::App(_)
        | Command::Enclave(_)
        | Command::License(_)
        | Command::Verify(_)
        | Command::Context(_)
        | Command::Demo(_)
        | Command::Backup(_)
        | Command::Doctor { .. }
        | Command::Admin(_)
        | Command::Completion(_)
        | Command::Man { .. }
        | Command::ExitCodes
        | Command::ConfigSchema
        | Command::Service(_) => None,
    }
}
