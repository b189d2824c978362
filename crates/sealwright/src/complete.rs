//! Completion: the shell's script, and the answers to it, with the names of what is the user's.
//!
//! Asked by a shell, it never prompts, never prints an error, never exchanges a token, and takes no longer than [`TIME`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode as ProcessExit;
use std::time::Duration;

use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use client::{Gateway, contexts};

use crate::arguments::{ContextChoice, Environment, Globals, Output, Shell, UserChoice, definition};
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::verbs::setting::Setting;

/// The variable by which the shell's script asks.
const VARIABLE: &str = "SEALWRIGHT_COMPLETE";
/// Longest time for names from the server.
const TIME: Duration = Duration::from_millis(800);
/// Most names that are offered.
const NAMES: usize = 200;

/// Prints the script that a shell reads at its start.
pub(crate) fn registration(shell: Shell) -> Result<(), Failure> {
    let completer: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "sealwright", "sealwright", "sealwright", &mut script).map_err(
        |error| Failure::new(ExitCode::Failed, "no script for this shell").because(error.to_string()),
    )?;
    crate::output::write(&script)
}

/// Answers a shell that asks; `None` where it is a person who runs the command.
pub(crate) fn asked() -> Option<ProcessExit> {
    std::env::var_os(VARIABLE)?;
    let folder = std::env::current_dir().ok();
    let answered = CompleteEnv::with_factory(definition)
        .var(VARIABLE)
        .try_complete(std::env::args_os(), folder.as_deref());
    // A shell that asks wrongly gets no candidates; there is nobody who would read more.
    Some(match answered {
        Ok(_) => ProcessExit::SUCCESS,
        Err(_) => ProcessExit::FAILURE,
    })
}

/// Contexts by name.
pub(crate) fn contexts() -> Vec<CompletionCandidate> {
    let listed = contexts::list().unwrap_or_default();
    candidates(listed.into_iter().filter_map(|one| one.name).map(|name| name.to_string()))
}

/// Users who have logged in at this context.
pub(crate) fn users() -> Vec<CompletionCandidate> {
    let path = Setting::path_of(&globals().context).ok();
    candidates(path.iter().flat_map(|path| contexts::users(path)))
}

/// Enclaves: those that the server lists, or where it does not in time, those that were seen here.
pub(crate) fn enclaves() -> Vec<CompletionCandidate> {
    names(
        async |mut gateway| {
            let list = gateway.enclaves().await.ok()?;
            Some(list.enclaves.into_iter().map(|enclave| enclave.name).collect())
        },
        |memory| memory.enclave_names().map(ToString::to_string).collect(),
    )
}

/// Apps, likewise.
pub(crate) fn apps() -> Vec<CompletionCandidate> {
    names(
        async |mut gateway| {
            let list = gateway.apps().await.ok()?;
            Some(list.apps.into_iter().map(|app| app.name.to_string()).collect())
        },
        |memory| memory.app_names().map(ToString::to_string).collect(),
    )
}

/// Licences, those that the server lists.
pub(crate) fn licenses() -> Vec<CompletionCandidate> {
    names(
        async |mut gateway| {
            let list = gateway.licenses(client::Licenses::Own).await.ok()?;
            Some(list.licenses.into_iter().map(|license| license.id.to_string()).collect())
        },
        |_| Vec::new(),
    )
}

fn names(
    live: impl AsyncFnOnce(Gateway) -> Option<Vec<String>>,
    remembered: impl Fn(&client::Memory) -> Vec<String>,
) -> Vec<CompletionCandidate> {
    let globals = globals();
    let Ok(gateway) = Setting::open(&globals).and_then(|setting| setting.gateway(&globals)) else {
        return Vec::new();
    };
    let seen = gateway.profile().memory().map(|memory| remembered(&memory)).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let live = runtime.ok().and_then(|runtime| {
        let asked =
            runtime.block_on(async { tokio::time::timeout(TIME, live(gateway.without_refresh())).await });
        runtime.shutdown_background();
        asked.ok().flatten()
    });
    candidates(live.unwrap_or(seen).into_iter())
}

/// Only what can be typed as it is: a name with other characters would have to be quoted, and none of ours has any.
fn candidates(names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let plain = |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@".contains(&b));
    names.filter(plain).take(NAMES).map(CompletionCandidate::new).collect()
}

/// What the half-typed line says of context and user; what it does not say, the environment does.
fn globals() -> Globals {
    let environment = Environment::read();
    let words: Vec<OsString> = std::env::args_os().collect();
    let flag = |name: &str| {
        let with_value = format!("{name}=");
        words.iter().enumerate().find_map(|(at, word)| match word.to_str()?.strip_prefix(&with_value) {
            Some(value) => Some(OsString::from(value)),
            None if word == name => words.get(at + 1).cloned(),
            None => None,
        })
    };
    let context = flag("--context").or(environment.context).map(PathBuf::from);
    let user = flag("--user").and_then(|user| user.into_string().ok()).or(environment.user);
    let user = user.and_then(|user| user.parse().ok());
    Globals {
        context: context.map_or(ContextChoice::Current, ContextChoice::Given),
        user: user.map_or(UserChoice::Current, UserChoice::Given),
        output: Output::Name,
    }
}
