//! `context` as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use client::Endpoint;
use client::contexts::ContextName;
use names::{Digest, Level, TrustDomain};

use super::super::parse;
use crate::complete;

#[derive(Debug, Subcommand)]
pub(crate) enum RawContext {
    /// Your contexts; the current one is marked
    List,
    /// One context: where the server is, which anchors count and for how much
    Show {
        /// Its name or file; the one that commands use now, if left out
        #[arg(value_name = "NAME|FILE", add = ArgValueCandidates::new(complete::contexts))]
        context: Option<PathBuf>,
    },
    /// Make a context the current one
    Use {
        /// Its name or file
        #[arg(value_name = "NAME|FILE", add = ArgValueCandidates::new(complete::contexts))]
        context: PathBuf,
    },
    /// Make a context for a server elsewhere: its address, and the CA that you trust
    Create(RawCreateContext),
    /// Change one setting of a context
    Set {
        /// What to change
        setting: RawSetting,
        /// gateway: https://HOST:PORT, edge: HOST:PORT, simulated: allowed or refused
        value: String,
    },
    /// Forget a context, with the keys and sessions of its users on this machine
    Delete {
        /// Its name
        #[arg(add = ArgValueCandidates::new(complete::contexts))]
        name: ContextName,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum RawSetting {
    Gateway,
    Edge,
    Simulated,
}

#[derive(Debug, Args)]
pub(crate) struct RawCreateContext {
    /// What it is called here
    pub(crate) name: ContextName,
    /// Where the gateway answers
    #[arg(long, value_name = "https://HOST:PORT", value_parser = parse::gateway)]
    pub(crate) gateway: Endpoint,
    /// Where the edge answers
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) edge: Endpoint,
    /// The CA's certificate (PEM or DER), as its operator gave it to you
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "fingerprint")]
    pub(crate) ca: Option<PathBuf>,
    /// The SHA-256 of the CA's certificate, as its operator told you; without --ca the gateway has to show the certificate
    #[arg(long, value_name = "SHA256")]
    pub(crate) fingerprint: Option<Digest>,
    /// What a proof that ends at this CA is worth: simulated, virtual, tpm or tee
    #[arg(long, value_name = "LEVEL", default_value = "simulated")]
    pub(crate) level: Level,
    /// The domain of the SPIFFE ids
    #[arg(long, value_name = "DOMAIN", default_value = "sealwright.internal")]
    pub(crate) trust_domain: TrustDomain,
    /// Accept the level `simulated` (a software TPM) without a flag
    #[arg(long)]
    pub(crate) allow_simulated: bool,
}
