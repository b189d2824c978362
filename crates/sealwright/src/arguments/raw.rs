//! The command line as it is typed: flags and help texts, nothing decided yet.

mod admin;
mod app;
mod auth;
mod backup;
mod context;
mod enclave;
mod license;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use client::UserName;
use store::DatabaseUrl;

use super::parse;
use super::typed::{Moment, Tpm};
use crate::complete;
use crate::exit::ExitCode;

pub(crate) use admin::{RawAdmin, RawDatabase};
pub(crate) use app::RawApp;
pub(crate) use auth::{RawAuth, RawPassword, RawTotp};
pub(crate) use backup::RawBackup;
pub(crate) use context::{RawContext, RawCreateContext, RawSetting};
pub(crate) use enclave::{RawConnect, RawEnclave, RawWait};
pub(crate) use license::{
    RawExpiration, RawLicense, RawLicenseFile, RawLicenses, RawPlans, RawTerms, RawValidate,
};

#[derive(Debug, Parser)]
#[command(
    name = "sealwright",
    version,
    about = "Enclaves that prove what they run.",
    after_help = "`sealwright help exit-codes` tells what the exit codes mean."
)]
pub(crate) struct Raw {
    #[command(flatten)]
    pub(crate) globals: RawGlobals,
    #[command(subcommand)]
    pub(crate) verb: RawVerb,
}

#[derive(Debug, Args)]
pub(crate) struct RawGlobals {
    /// Which server and which trust anchors: a context's name or file [env: SEALWRIGHT_CONTEXT]
    #[arg(long, global = true, value_name = "NAME|FILE", add = ArgValueCandidates::new(complete::contexts))]
    pub(crate) context: Option<PathBuf>,
    /// Act as this user, when several are logged in on this machine [env: SEALWRIGHT_USER]
    #[arg(long, global = true, value_name = "NAME", add = ArgValueCandidates::new(complete::users))]
    pub(crate) user: Option<UserName>,
    /// How results are printed: for people, with more columns, for programs, or names alone
    #[arg(short, long, global = true, value_enum, default_value_t = RawOutput::Table, hide_possible_values = true)]
    pub(crate) output: RawOutput,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RawOutput {
    #[value(alias = "text")]
    Table,
    Wide,
    Json,
    Name,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RawVerb {
    /// Run all parts on this machine, in one process, until Ctrl-C
    Up(RawUp),
    /// Sign up, log in, log out, see who is logged in
    #[command(subcommand)]
    Auth(RawAuth),
    /// Publish programs and look at them
    #[command(subcommand)]
    App(RawApp),
    /// Create enclaves, verify them, ask them
    #[command(subcommand)]
    Enclave(RawEnclave),
    /// See what your licences allow, and take a file of one that verifies without the server
    #[command(subcommand)]
    License(RawLicense),
    /// Tell the whole story on this machine: what is proved, and every refusal, by real attempts
    Demo(RawDemo),
    /// Judge a saved evidence file, without a server
    ///
    /// The answer is a report about the past. Nothing can be connected or released with it.
    Verify(RawVerify),
    /// See, make and choose contexts: which server, which trust anchors
    #[command(subcommand)]
    Context(RawContext),
    /// Save a data folder in one file, and make one from it again
    #[command(subcommand)]
    Backup(RawBackup),
    /// Accounts and roles, for who runs the server
    #[command(subcommand)]
    Admin(RawAdmin),
    /// What this machine has, what it lacks, and how to mend it
    Doctor(RawDoctor),
    /// Make your shell complete verbs, flags and the names of what is yours
    Completion {
        /// Your shell
        shell: Shell,
    },
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// Where to
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// What the exit codes mean
    #[command(name = "exit-codes", hide = true, long_about = ExitCode::table())]
    ExitCodes,
    /// The JSON schema of the file for `up --config`
    #[command(name = "config-schema", hide = true)]
    ConfigSchema,
    /// Run the gateway alone
    Gateway(RawService),
    /// Run the controller alone
    Controller(RawService),
    /// Run the agent alone
    Agent(RawService),
    /// Run the verifier alone
    Verifier(RawService),
    /// Run the signer alone
    Signer(RawService),
    /// Run the edge alone
    Edge(RawService),
    /// Run a facade alone
    Facade(RawService),
}

/// A shell that we can complete for.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
pub(crate) struct RawUp {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data: PathBuf,
    /// SQLite file, `sqlite:PATH` or `postgres://USER@HOST/NAME?password_file=PATH`; a file in --data if left out
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<DatabaseUrl>,
    /// Where the gateway listens; a free port of this machine if left out
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// Written when everything answers: {"url","edge","ca_file","data","pid"}
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// The TPM: `swtpm` (a software TPM, level `simulated`) or `device:PATH`
    #[arg(long, value_name = "TPM", default_value = "swtpm", value_parser = parse::tpm)]
    pub(crate) tpm: Tpm,
    /// Settings that differ from the defaults
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the effective configuration and exit
    #[arg(long)]
    pub(crate) check_config: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RawDemo {
    /// Where everything is kept; a folder that is removed afterwards if left out
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RawTrust {
    /// Accept the level `simulated` (a software TPM) this time
    #[arg(long)]
    pub(crate) allow_simulated: bool,
    /// A trust policy of yours, in place of the context's
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RawVerify {
    /// What `enclave verify --save` wrote
    pub(crate) file: PathBuf,
    /// Judge as of this time (2026-11-24T12:00:00Z or unix seconds); now if left out
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    pub(crate) at: Option<Moment>,
    #[command(flatten)]
    pub(crate) trust: RawTrust,
}

#[derive(Debug, Args)]
pub(crate) struct RawDoctor {
    /// The data folder that `up` would use
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RawService {
    /// Its configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print the effective configuration and exit
    #[arg(long)]
    pub(crate) check_config: bool,
}
