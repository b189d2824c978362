//! `auth` as it is typed.

use clap::{Args, Subcommand};
use client::UserName;

#[derive(Debug, Args)]
pub(crate) struct RawPassword {
    /// Read the password from standard input (one line) instead of asking for it; a code, where one is needed, is the next line
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
        /// Show a code, and wait until you have entered it where you are logged in already
        #[arg(long, conflicts_with = "password_stdin")]
        device: bool,
        #[command(flatten)]
        password: RawPassword,
    },
    /// End the session here and at the server
    Logout,
    /// Who is logged in, at which server, with which key, until when
    Status,
    /// Where you are logged in
    Sessions,
    /// End a session somewhere else
    Revoke {
        /// Its id, from `auth sessions`
        #[arg(required_unless_present = "others", value_parser = session_id)]
        id: Option<String>,
        /// All but this one
        #[arg(long, conflicts_with = "id")]
        others: bool,
    },
    /// Change your password; every other session ends
    Password {
        #[command(flatten)]
        password: RawPassword,
    },
    /// What your account did, and what was done to it
    Audit,
    /// The authenticator app that a login asks for
    #[command(subcommand)]
    Totp(RawTotp),
    /// New recovery codes, for the day on which the authenticator app is gone
    RecoveryCodes {
        #[command(flatten)]
        password: RawPassword,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RawTotp {
    /// Add one: shows its secret, and wants a first code of it
    Enable {
        #[command(flatten)]
        password: RawPassword,
    },
    /// Remove it
    Disable {
        #[command(flatten)]
        password: RawPassword,
    },
}

/// 32 lower-case hex.
fn session_id(text: &str) -> Result<String, String> {
    let good = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    good.then(|| text.to_owned()).ok_or_else(|| "expected an id from `sealwright auth sessions`".into())
}
