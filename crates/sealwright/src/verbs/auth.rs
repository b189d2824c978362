//! `auth`: who you are, to the gateway and on this machine.

mod device;
mod factors;
mod sessions;

use api::factors::SecondFactor;
use api::{Code, Secret};
use client::{Error, Gateway, Profile, Session, SignIn, UserName, time};
use serde::Serialize;

use super::setting::Setting;
use crate::arguments::{Auth, Globals};
use crate::failure::Failure;
use crate::output::{fields, print};
use crate::secrets::Secrets;

pub(crate) use sessions::show_audit;

/// Digits of a code of an authenticator app; a recovery code is longer.
const TOTP_DIGITS: usize = 6;

/// What is printed about a user.
#[derive(Serialize)]
struct Status {
    user: String,
    server: String,
    key: names::Digest,
    session_until: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    second_factors: Option<String>,
    context: String,
}

impl Status {
    fn text(&self) -> String {
        let mut lines = vec![
            ("user", self.user.clone()),
            ("server", self.server.clone()),
            ("key", self.key.to_string()),
            ("session until", format!("{} (renewed by itself)", time::format(self.session_until))),
        ];
        lines.extend(self.second_factors.clone().map(|factors| ("second factors", factors)));
        lines.push(("context", self.context.clone()));
        fields(&lines)
    }
}

pub(crate) async fn run(globals: &Globals, verb: Auth) -> Result<(), Failure> {
    let setting = Setting::open(globals)?;
    match verb {
        Auth::SignUp { name, password } => {
            let password = Secrets(password).new_password("Password: ")?;
            let mut gateway = gateway_of(&setting, &name)?;
            let sign_in = SignIn { password, second_factor: None };
            gateway.sign_up(&sign_in).await?;
            let session = gateway.log_in(&setting.path, &sign_in).await?;
            print_status(globals, &setting, &gateway, &session, None)
        }
        Auth::LogIn { name, password } => {
            let secrets = Secrets(password);
            let password = secrets.password("Password: ")?;
            let mut gateway = gateway_of(&setting, &name)?;
            let session = log_in(&setting, &mut gateway, password, secrets).await?;
            print_status(globals, &setting, &gateway, &session, None)
        }
        Auth::Device { name } => {
            let mut gateway = gateway_of(&setting, &name)?;
            let session = device::log_in(&setting, &mut gateway).await?;
            print_status(globals, &setting, &gateway, &session, None)
        }
        Auth::LogOut => {
            let mut gateway = setting.gateway(globals)?;
            gateway.log_out().await?;
            eprintln!("{} is logged out", gateway.profile().user());
            Ok(())
        }
        Auth::Status => {
            let mut gateway = setting.gateway(globals)?;
            let (session, _) = gateway.status().await?;
            let there = gateway.factors().await?;
            print_status(globals, &setting, &gateway, &session, Some(factors::line(&there)))
        }
        Auth::Totp(verb) => factors::totp(&mut setting.gateway(globals)?, verb).await,
        Auth::Sessions => sessions::list(globals, &mut setting.gateway(globals)?).await,
        Auth::Revoke(which) => sessions::revoke(&mut setting.gateway(globals)?, which).await,
        Auth::Password { password } => sessions::password(&mut setting.gateway(globals)?, password).await,
        Auth::Audit => show_audit(globals, &setting.gateway(globals)?.audit().await?),
        Auth::RecoveryCodes { password } => {
            factors::recovery_codes(globals, &mut setting.gateway(globals)?, password).await
        }
    }
}

fn gateway_of(setting: &Setting, user: &UserName) -> Result<Gateway, Failure> {
    let profile = Profile::open_or_create(&setting.path, user)?;
    Ok(Gateway::new(&setting.context, profile)?)
}

/// With the password alone; where the account has a second factor, with that too.
async fn log_in(
    setting: &Setting,
    gateway: &mut Gateway,
    password: Secret,
    secrets: Secrets,
) -> Result<Session, Failure> {
    let mut sign_in = SignIn { password, second_factor: None };
    match gateway.log_in(&setting.path, &sign_in).await {
        Err(Error::Problem(problem)) if problem.known_code() == Some(Code::SecondFactorRequired) => {
            let code = secrets.ask("Code of your authenticator app, or a recovery code: ")?;
            sign_in.second_factor = Some(second_factor(&code));
            Ok(gateway.log_in(&setting.path, &sign_in).await?)
        }
        outcome => Ok(outcome?),
    }
}

/// Six digits are an app's; everything else is a recovery code.
fn second_factor(code: &str) -> SecondFactor {
    let code = code.trim();
    let digits = code.len() == TOTP_DIGITS && code.bytes().all(|byte| byte.is_ascii_digit());
    let secret = Secret::new(code.to_owned());
    if digits { SecondFactor::Totp(secret) } else { SecondFactor::RecoveryCode(secret) }
}

fn print_status(
    globals: &Globals,
    setting: &Setting,
    gateway: &Gateway,
    session: &Session,
    second_factors: Option<String>,
) -> Result<(), Failure> {
    let status = Status {
        user: session.user.name.clone(),
        server: setting.context.gateway.url(),
        key: gateway.profile().key_hash(),
        session_until: session.expires_at,
        second_factors,
        context: setting.path.display().to_string(),
    };
    print(globals.output, &status, || status.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_a_code_of_an_app() {
        assert!(matches!(second_factor(" 287082"), SecondFactor::Totp(_)));
        for other in ["28708", "2870822", "abcde-fghij", "28708a"] {
            assert!(matches!(second_factor(other), SecondFactor::RecoveryCode(_)), "{other}");
        }
    }
}
