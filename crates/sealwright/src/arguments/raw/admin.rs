//! `admin` as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use client::UserName;
use store::DatabaseUrl;

use super::license::{RawLicenses, RawPlans};

#[derive(Debug, Subcommand)]
pub(crate) enum RawAdmin {
    /// Make an account an admin, at the database itself: no route gives a role
    Grant {
        name: UserName,
        #[command(flatten)]
        database: RawDatabase,
    },
    /// Make an admin an ordinary account again, at the database itself
    Revoke {
        name: UserName,
        #[command(flatten)]
        database: RawDatabase,
    },
    /// All accounts
    Users,
    /// Disable an account; its sessions end at once
    Disable {
        name: UserName,
        /// Don't ask
        #[arg(long)]
        yes: bool,
    },
    /// Let a disabled account log in again
    Enable { name: UserName },
    /// What licences are issued on
    #[command(subcommand)]
    Plans(RawPlans),
    /// Issue licences, suspend and revoke them
    #[command(subcommand)]
    Licenses(RawLicenses),
    /// The node: its level, and the name of its attestation key, to which a licence can be locked
    Node {
        /// The data folder that `up` uses
        #[arg(long, value_name = "DIR", default_value = "data", value_hint = ValueHint::DirPath)]
        data: PathBuf,
    },
    /// The audit log of all accounts, the newest entries
    Audit,
}

#[derive(Debug, Args)]
#[group(required = false, multiple = false)]
pub(crate) struct RawDatabase {
    /// The data folder that `up` uses
    #[arg(long, value_name = "DIR", default_value = "data", value_hint = ValueHint::DirPath)]
    pub(crate) data: PathBuf,
    /// The database, where it is not in the data folder: sqlite:PATH or postgres://…; a password belongs in a file
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<DatabaseUrl>,
}
