//! `license` as it is typed, and what admins do with plans and licences.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use client::{EnclaveName, UserName};
use licensing::{AkName, Entitlement, LicenseId, PlanCode};

use super::super::parse;
use crate::complete;

#[derive(Debug, Subcommand)]
pub(crate) enum RawLicense {
    /// The licences on which you have a seat
    List,
    /// One licence: what it covers, what is used, until when
    Show {
        #[arg(add = ArgValueCandidates::new(complete::licenses))]
        id: LicenseId,
    },
    /// What happened to a licence that you hold, the oldest first
    Events {
        #[arg(add = ArgValueCandidates::new(complete::licenses))]
        id: LicenseId,
    },
    /// Ask whether a licence holds: yes, or the code of why not
    Validate(RawValidate),
    /// Show that you are there, where the plan wants that
    CheckIn {
        #[arg(add = ArgValueCandidates::new(complete::licenses))]
        id: LicenseId,
    },
    /// Keep an enclave's place alive, where the plan wants pings
    Heartbeat {
        #[arg(add = ArgValueCandidates::new(complete::licenses))]
        id: LicenseId,
        /// An enclave of yours that is up on it
        #[arg(add = ArgValueCandidates::new(complete::enclaves))]
        enclave: EnclaveName,
    },
    /// Download a signed file that verifies without the server, for a time
    File(RawLicenseFile),
    /// Check a licence file here, without the server: signature, time, your key
    Verify {
        /// What `license file` wrote
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// It must be good for this node: the TPM name of its attestation key
        #[arg(long, value_name = "AK")]
        node: Option<AkName>,
        /// It must cover this program
        #[arg(long, value_name = "APP")]
        app: Option<Entitlement>,
    },
    /// Keys that sign licence files: those that you take, and those that the server names now
    Keys {
        /// Take those that the server names now, and no others
        #[arg(long)]
        accept: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RawValidate {
    #[arg(add = ArgValueCandidates::new(complete::licenses))]
    pub(crate) id: LicenseId,
    /// Is it on this plan?
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: Option<PlanCode>,
    /// Does it cover this program? May be given several times
    #[arg(long = "app", value_name = "APP")]
    pub(crate) apps: Vec<Entitlement>,
    /// Does it hold on this node? The TPM name of its attestation key
    #[arg(long, value_name = "AK")]
    pub(crate) node: Option<AkName>,
    /// Is this enclave of yours alive on it?
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::enclaves))]
    pub(crate) enclave: Option<EnclaveName>,
}

#[derive(Debug, Args)]
pub(crate) struct RawLicenseFile {
    #[arg(add = ArgValueCandidates::new(complete::licenses))]
    pub(crate) id: LicenseId,
    /// Where to
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) to: PathBuf,
    /// How long it is good, an hour to 31 days; nothing takes it back before
    #[arg(long = "for", value_name = "TIME", default_value = "1d", value_parser = parse::span)]
    pub(crate) life: Duration,
    /// Good on this node only: the TPM name of its attestation key
    #[arg(long, value_name = "AK")]
    pub(crate) node: Option<AkName>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RawPlans {
    /// All plans; retired ones too
    List,
    /// One plan
    Show { code: PlanCode },
    /// Make a plan; it never changes afterwards
    Create(RawTerms),
    /// Let a plan issue no more licences; those that there are go on
    Retire { code: PlanCode },
}

#[derive(Debug, Args)]
pub(crate) struct RawTerms {
    /// Its code: lower-case letters, digits and hyphens
    pub(crate) code: PlanCode,
    /// Users that may share a licence
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seats: u32,
    /// Enclaves that may be up at one time, of all users together
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) enclaves: u32,
    /// A program that may be started, or * for all; may be given several times
    #[arg(long = "app", value_name = "APP", required = true)]
    pub(crate) apps: Vec<Entitlement>,
    /// From issue to expiry; for ever if left out
    #[arg(long, value_name = "TIME", value_parser = parse::span)]
    pub(crate) duration: Option<Duration>,
    /// What expiry does: nothing starts any more; what runs is stopped too; what exists may go on; nothing
    #[arg(long, value_enum, default_value_t = RawExpiration::Restrict)]
    pub(crate) expiration: RawExpiration,
    /// After expiry, how long nothing changes yet
    #[arg(long, value_name = "TIME", value_parser = parse::span)]
    pub(crate) grace: Option<Duration>,
    /// How often each enclave must be pinged; not at all if left out
    #[arg(long, value_name = "TIME", value_parser = parse::span)]
    pub(crate) heartbeat: Option<Duration>,
    /// How often the holder must check in; never if left out
    #[arg(long, value_name = "TIME", value_parser = parse::span)]
    pub(crate) check_in: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum RawExpiration {
    Restrict,
    Revoke,
    Maintain,
    Allow,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RawLicenses {
    /// All licences
    List,
    /// One licence
    Show { id: LicenseId },
    /// What happened to a licence, the oldest first
    Events { id: LicenseId },
    /// Issue a licence to an account, which gets the first seat
    Issue {
        /// On which plan
        #[arg(long, value_name = "PLAN")]
        plan: PlanCode,
        /// Whose it is
        #[arg(long, value_name = "NAME")]
        holder: UserName,
        /// Good on this node only: the TPM name of its attestation key
        #[arg(long, value_name = "AK")]
        node: Option<AkName>,
    },
    /// Stop what runs on it, after a warning, and let nothing start
    Suspend { id: LicenseId },
    /// End a suspension
    #[command(alias = "reinstate")]
    Resume { id: LicenseId },
    /// Another duration of its plan
    Renew { id: LicenseId },
    /// End it for good; what runs on it is stopped after a warning
    Revoke {
        id: LicenseId,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Bind it to one node: the TPM name of its attestation key
    Lock { id: LicenseId, node: AkName },
    /// Let it hold on every node
    Unlock { id: LicenseId },
    /// Give an account a seat
    Give { id: LicenseId, name: UserName },
    /// Take a seat; what that account runs on it is stopped after a warning
    Take { id: LicenseId, name: UserName },
    /// Let it cover a program, or * for all
    Allow { id: LicenseId, app: Entitlement },
    /// And not any more, unless its plan does
    Disallow { id: LicenseId, app: Entitlement },
    /// Let a new key sign licence files; what the old one signed stays good until it ends
    RotateKey,
}
