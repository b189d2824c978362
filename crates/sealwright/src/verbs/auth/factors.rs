//! `auth totp` and `auth recovery-codes`.

use api::Secret;
use api::factors::Factors;
use client::Gateway;
use serde::Serialize;

use crate::arguments::{Globals, PasswordSource, Totp};
use crate::failure::Failure;
use crate::output::{fields, print, write};
use crate::secrets::Secrets;

pub(super) async fn totp(gateway: &mut Gateway, verb: Totp) -> Result<(), Failure> {
    match verb {
        Totp::Enable { password } => {
            let secrets = Secrets(password);
            let offer = gateway.begin_totp(secrets.password("Password: ")?).await?;
            // To standard output, where only the user sees it; a secret has no place in a log of messages.
            write(
                fields(&[
                    ("secret", offer.secret.expose().to_owned()),
                    ("address", offer.uri.expose().to_owned()),
                ])
                .as_bytes(),
            )?;
            eprintln!(
                "Put it into your authenticator app; nothing has changed until a code of it comes back."
            );
            let code = secrets.ask("Code of the app: ")?;
            gateway.confirm_totp(Secret::new(code.trim().to_owned())).await?;
            eprintln!("From now on a login needs a code of this app.");
            eprintln!("next: sealwright auth recovery-codes    (for the day on which it is gone)");
        }
        Totp::Disable { password } => {
            gateway.remove_totp(Secrets(password).password("Password: ")?).await?;
            eprintln!("A login needs no code of an app any more.");
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Codes {
    codes: Vec<String>,
}

pub(super) async fn recovery_codes(
    globals: &Globals,
    gateway: &mut Gateway,
    password: PasswordSource,
) -> Result<(), Failure> {
    let codes = gateway.renew_recovery_codes(Secrets(password).password("Password: ")?).await?;
    let codes = Codes { codes: codes.codes.iter().map(|code| code.expose().to_owned()).collect() };
    eprintln!(
        "Keep them where your phone is not. Each works once; older ones are void. They are not shown again."
    );
    print(globals.output, &codes, || codes.codes.iter().map(|code| format!("{code}\n")).collect())
}

/// All of them in a line.
pub(super) fn line(factors: &Factors) -> String {
    let mut parts = Vec::new();
    if factors.totp_since.is_some() {
        parts.push("authenticator app".to_owned());
    }
    match factors.passkeys.len() {
        0 => {}
        1 => parts.push("1 passkey".to_owned()),
        some => parts.push(format!("{some} passkeys")),
    }
    if factors.recovery_codes > 0 {
        parts.push(format!("{} recovery codes", factors.recovery_codes));
    }
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
}
