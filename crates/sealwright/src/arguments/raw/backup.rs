//! `backup`.

use std::path::PathBuf;

use clap::{Subcommand, ValueHint};

#[derive(Debug, Subcommand)]
pub(crate) enum RawBackup {
    /// Save a data folder in one file; accounts, apps and key files while `up` runs on it
    Create {
        /// The file to write; nothing may be there
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// The data folder
        #[arg(long, value_name = "DIR", default_value = "data")]
        data: PathBuf,
        /// Also the software TPM, and with it the CA: whoever has the file can be this node. `up` must be stopped
        #[arg(long)]
        with_tpm: bool,
    },
    /// Make a data folder from a backup, whole or not at all
    Restore {
        /// What `backup create` wrote
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// The folder to make; nothing may be there
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
}
