//! `auth`: from what was typed to what is meant.

use super::raw::{RawAuth, RawPassword, RawTotp};
use super::typed::{Auth, PasswordSource, Revoke, Totp};

pub(super) fn read(raw: RawAuth) -> Auth {
    match raw {
        RawAuth::Signup { name, password } => Auth::SignUp { name, password: source(&password) },
        RawAuth::Login { name, device: true, .. } => Auth::Device { name },
        RawAuth::Login { name, device: false, password } => Auth::LogIn { name, password: source(&password) },
        RawAuth::Logout => Auth::LogOut,
        RawAuth::Status => Auth::Status,
        RawAuth::Totp(RawTotp::Enable { password }) => {
            Auth::Totp(Totp::Enable { password: source(&password) })
        }
        RawAuth::Totp(RawTotp::Disable { password }) => {
            Auth::Totp(Totp::Disable { password: source(&password) })
        }
        RawAuth::Sessions => Auth::Sessions,
        RawAuth::Revoke { id, .. } => Auth::Revoke(id.map_or(Revoke::Others, Revoke::One)),
        RawAuth::Password { password } => Auth::Password { password: source(&password) },
        RawAuth::Audit => Auth::Audit,
        RawAuth::RecoveryCodes { password } => Auth::RecoveryCodes { password: source(&password) },
    }
}

fn source(raw: &RawPassword) -> PasswordSource {
    if raw.password_stdin { PasswordSource::Stdin } else { PasswordSource::Prompt }
}
