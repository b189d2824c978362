//! The command line as it is typed: flags and help texts, nothing decided yet.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use client::{EnclaveName, UserName};
use store::DatabaseUrl;
use workload::{AppName, AppVersion};

use super::parse;
use super::typed::{Method, Moment, Tpm};
use crate::exit::ExitCode;

const EXAMPLES: &str = "\
Examples:
  sealwright up                                      all parts on this machine, until Ctrl-C
  sealwright auth signup alice                       an account, and its key on this machine
  sealwright app publish examples/hello/app.yaml     a program, measured and signed by you
  sealwright enclave create notes --app hello        an enclave of yours that runs it
  sealwright enclave verify notes                    what it proves, and what it does not
  sealwright enclave request notes GET /             verified first, then asked

  sealwright help exit-codes                         what the exit codes mean";

#[derive(Debug, Parser)]
#[command(name = "sealwright", version, about = "Enclaves that prove what they run.", after_help = EXAMPLES)]
pub(crate) struct Raw {
    #[command(flatten)]
    pub(crate) globals: RawGlobals,
    #[command(subcommand)]
    pub(crate) verb: RawVerb,
}

#[derive(Debug, Args)]
pub(crate) struct RawGlobals {
    /// Context file: which server, which trust anchors, what you expect [env: SEALWRIGHT_CONTEXT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) context: Option<PathBuf>,
    /// Act as this user, when several are logged in on this machine [env: SEALWRIGHT_USER]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) user: Option<UserName>,
    /// How results are printed
    #[arg(short, long, global = true, value_enum, default_value_t = RawOutput::Text)]
    pub(crate) output: RawOutput,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RawOutput {
    Text,
    Json,
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
    /// Tell the whole story on this machine: what is proved, and every refusal, by real attempts
    Demo(RawDemo),
    /// Judge a saved evidence file, without a server
    ///
    /// The answer is a report about the past. Nothing can be connected or released with it.
    Verify(RawVerify),
    /// See or choose the context: which server, which trust anchors
    #[command(subcommand)]
    Context(RawContext),
    /// What this machine has, what it lacks, and how to mend it
    Doctor(RawDoctor),
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
pub(crate) struct RawPassword {
    /// Read the password from standard input (one line) instead of asking for it
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RawAuth {
    /// Make an account and a key of yours on this machine, and log in
    Signup {
        name: UserName,
        #[command(flatten)]
        password: RawPassword,
    },
    /// Log in; makes this user the current one
    Login {
        name: UserName,
        #[command(flatten)]
        password: RawPassword,
    },
    /// End the session here and at the server
    Logout,
    /// Who is logged in, at which server, with which key, until when
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RawApp {
    /// Measure a program, sign its record with your key, upload what the server lacks
    Publish {
        /// The app.yaml
        file: PathBuf,
    },
    /// All published programs
    List,
    /// One program: version, digest, publisher
    Show { name: AppName },
    /// The version digest of an app.yaml, computed here, without a server
    Digest {
        /// The app.yaml
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RawEnclave {
    /// Create an enclave and wait until it runs
    Create {
        name: EnclaveName,
        /// The published program that it runs
        #[arg(long, value_name = "APP")]
        app: AppName,
        /// This version of it, not the newest
        #[arg(long, value_name = "VERSION")]
        version: Option<AppVersion>,
        #[command(flatten)]
        wait: RawWait,
    },
    /// Your enclaves
    List,
    /// One enclave: state, version, address
    Show { name: EnclaveName },
    /// What its program printed
    Logs { name: EnclaveName },
    /// Stop it; its evidence is worth nothing from then on
    Stop { name: EnclaveName },
    /// Start it again, as a new incarnation
    Start {
        name: EnclaveName,
        #[command(flatten)]
        wait: RawWait,
    },
    /// Delete it
    Delete {
        name: EnclaveName,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Let it prove what it is; prints every check, and what is not proved
    Verify {
        name: EnclaveName,
        /// Keep the evidence in this file
        #[arg(long, value_name = "FILE.evidence.json")]
        save: Option<PathBuf>,
        #[command(flatten)]
        trust: RawTrust,
    },
    /// Verify it, then send one request over the proved connection
    Request {
        name: EnclaveName,
        #[arg(value_parser = parse::method)]
        method: Method,
        #[arg(value_parser = parse::path)]
        path: String,
        /// The request's body: a file, or `-` for standard input
        #[arg(long, value_name = "FILE|-")]
        data: Option<PathBuf>,
        #[command(flatten)]
        trust: RawTrust,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RawWait {
    /// Return at once; `enclave show` tells how it goes
    #[arg(long, conflicts_with = "timeout")]
    pub(crate) no_wait: bool,
    /// Wait at most this long (30s, 5m); exit code 8 if it is still under way then
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse::duration)]
    pub(crate) timeout: Duration,
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

#[derive(Debug, Subcommand)]
pub(crate) enum RawContext {
    /// The context that commands use now
    Show,
    /// Make this file the current context
    Use { file: PathBuf },
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
