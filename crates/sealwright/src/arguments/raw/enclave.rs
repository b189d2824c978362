//! `enclave` as it is typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use client::EnclaveName;
use workload::{AppName, AppVersion};

use super::super::parse;
use super::super::typed::Method;
use super::RawTrust;
use crate::complete;

#[derive(Debug, Subcommand)]
pub(crate) enum RawEnclave {
    /// Create an enclave and wait until it runs
    Create {
        name: EnclaveName,
        /// The published program that it runs
        #[arg(long, value_name = "APP", add = ArgValueCandidates::new(complete::apps))]
        app: AppName,
        /// This version of it, not the newest
        #[arg(long, value_name = "VERSION")]
        version: Option<AppVersion>,
        /// Stop it after so much time without use (30m, 4h)
        #[arg(long, value_name = "TIME", value_parser = parse::duration)]
        idle_timeout: Option<Duration>,
        /// Stop it so much time after its start
        #[arg(long, value_name = "TIME", value_parser = parse::duration)]
        max_age: Option<Duration>,
        #[command(flatten)]
        wait: RawWait,
    },
    /// Your enclaves
    List,
    /// One enclave: state, version, address
    Show {
        #[arg(add = ArgValueCandidates::new(complete::enclaves))]
        name: EnclaveName,
    },
    /// What its program printed
    Logs {
        #[arg(add = ArgValueCandidates::new(complete::enclaves))]
        name: EnclaveName,
        /// Go on with what it prints from now on, until Ctrl-C
        #[arg(short, long)]
        follow: bool,
    },
    /// What has happened to it: each step of its starts, each warning, each stop
    Events {
        #[arg(add = ArgValueCandidates::new(complete::enclaves))]
        name: EnclaveName,
    },
    /// Keep it for longer where it would stop by itself
    Extend {
        #[arg(add = ArgValueCandidates::new(complete::enclaves))]
        name: EnclaveName,
        /// For how long from now (30m, 4h)
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse::duration)]
        by: Duration,
    },
    /// Give up a start that is under way or waits in the queue
    Cancel {
        #[arg(add = ArgValueCandidates::new(complete::enclaves))]
        name: EnclaveName,
    },
    /// Stop it; its evidence is worth nothing from then on
    Stop {
        #[arg(add = ArgValueCandidates::new(complete::enclaves))]
        name: EnclaveName,
    },
    /// Start it again, as a new incarnation
    Start {
        #[arg(add = ArgValueCandidates::new(complete::enclaves))]
        name: EnclaveName,
        #[command(flatten)]
        wait: RawWait,
    },
    /// Delete it
    Delete {
        #[arg(add = ArgValueCandidates::new(complete::enclaves))]
        name: EnclaveName,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Let it prove what it is; prints every check, and what is not proved
    Verify {
        #[arg(add = ArgValueCandidates::new(complete::enclaves))]
        name: EnclaveName,
        /// Keep the evidence in this file
        #[arg(long, value_name = "FILE.evidence.json")]
        save: Option<PathBuf>,
        #[command(flatten)]
        trust: RawTrust,
    },
    /// Verify it, then send one request over the proved connection
    Request {
        #[arg(add = ArgValueCandidates::new(complete::enclaves))]
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
    /// Open a door on this machine that leads into it, for any program of yours
    ///
    /// Every connection is verified before a byte is passed on, and verified again while it is in use. A check that fails is
    /// answered with 502 and its reason. Only your own processes get in. It ends with your session, or by Ctrl-C.
    Connect(RawConnect),
}

#[derive(Debug, Args)]
pub(crate) struct RawConnect {
    #[arg(add = ArgValueCandidates::new(complete::enclaves))]
    pub(crate) name: EnclaveName,
    /// Where the Unix socket is to be; by default NAME.sock in $XDG_RUNTIME_DIR/sealwright
    #[arg(long, value_name = "PATH", conflicts_with = "tcp", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
    /// A port of the loopback interface instead, with a secret of this run; any free port if none is given
    #[arg(long, value_name = "127.0.0.1:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    pub(crate) tcp: Option<SocketAddr>,
    /// How old a proof may become before it is made again
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse::duration)]
    pub(crate) proof_age: Duration,
    #[command(flatten)]
    pub(crate) trust: RawTrust,
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
