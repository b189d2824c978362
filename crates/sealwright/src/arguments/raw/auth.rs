//! `auth` as it is typed.

use clap::{Args, Subcommand};
use client::UserName;

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
