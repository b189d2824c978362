//! The command: runs all parts in one process, one part alone, or one of the user's verbs.
//!
//! It composes and prints; what it composes are the service crates, and what it prints comes from the client library.

mod arguments;
mod checklist;
mod complete;
mod demo;
mod exit;
mod failure;
mod manual;
mod output;
mod progress;
mod secrets;
mod services;
mod signals;
mod up;
mod verbs;

use std::process::ExitCode as ProcessExit;
use std::time::Duration;

use arguments::{Command, Enclave, Environment, Invocation};
use exit::ExitCode;
use failure::Failure;

/// What an interrupted verb gets to leave the terminal as it was.
const GRACE: Duration = Duration::from_millis(100);

fn main() -> ProcessExit {
    sandbox::take_over();
    if let Some(exit) = complete::asked() {
        return exit;
    }
    let invocation = match arguments::read(std::env::args_os(), Environment::read()) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Where even that can't be written there is nobody to tell.
            let _ = error.print();
            return match error.use_stderr() {
                true => ExitCode::Usage.into(),
                false => ExitCode::Ok.into(),
            };
        }
    };
    match start(invocation) {
        Ok(()) => ExitCode::Ok.into(),
        Err(failure) => {
            eprint!("{}", failure.render());
            failure.exit.into()
        }
    }
}

fn start(invocation: Invocation) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ExitCode::Failed, "no runtime").because(error.to_string()))?;
    let outcome = runtime.block_on(run(invocation));
    // What a verb left behind (a prompt that still waits) must not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { globals, command } = invocation;
    match command {
        Command::Up(options) => up::run(options).await,
        Command::Demo(options) => demo::run(options).await,
        Command::Service(options) => services::run(options).await,
        Command::Enclave(Enclave::Connect(options)) => verbs::connect::run(&globals, options).await,
        command => verb(Invocation { globals, command }).await,
    }
}

/// Runs a user's verb on a thread of its own, so that Ctrl-C is heard while it reads or computes.
async fn verb(invocation: Invocation) -> Result<(), Failure> {
    let next = verbs::after_interruption(&invocation.command);
    let mut task = tokio::spawn(verbs::run(invocation));
    tokio::select! {
        outcome = &mut task => outcome.unwrap_or_else(|error| {
            Err(Failure::new(ExitCode::Failed, "the command broke off").because(error.to_string()))
        }),
        _ = tokio::signal::ctrl_c() => {
            task.abort();
            let _ = tokio::time::timeout(GRACE, task).await;
            let failure = Failure::new(ExitCode::Interrupted, "interrupted");
            Err(match next {
                Some(next) => failure.next(next),
                None => failure,
            })
        }
    }
}
