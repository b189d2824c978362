//! `auth`: who you are, to the gateway and on this machine.

use std::io::{self, IsTerminal, Read};

use api::Secret;
use client::{Gateway, Profile, SignIn, UserName, time};
use serde::Serialize;
use zeroize::Zeroizing;

use super::setting::Setting;
use crate::arguments::{Auth, Globals, PasswordSource};
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::output::{fields, print};

/// Longest password line that is read: the gateway's bound and a line end.
const PASSWORD_BYTES: u64 = api::bounds::PASSWORD_BYTES_MAX as u64 + 2;

/// What is printed about a user.
#[derive(Serialize)]
struct Status {
    user: String,
    server: String,
    key: names::Digest,
    session_until: u64,
    context: String,
}

impl Status {
    fn text(&self) -> String {
        fields(&[
            ("user", self.user.clone()),
            ("server", self.server.clone()),
            ("key", self.key.to_string()),
            ("session until", format!("{} (renewed by itself)", time::format(self.session_until))),
            ("context", self.context.clone()),
        ])
    }
}

pub(crate) async fn run(globals: &Globals, verb: Auth) -> Result<(), Failure> {
    let setting = Setting::open(globals)?;
    match verb {
        Auth::SignUp { name, password } => {
            let password = read_password(password, Prompt::New)?;
            let mut gateway = gateway_of(&setting, &name)?;
            let sign_in = SignIn { password };
            gateway.sign_up(&sign_in).await?;
            log_in(globals, &setting, gateway, &sign_in).await
        }
        Auth::LogIn { name, password } => {
            let password = read_password(password, Prompt::Known)?;
            log_in(globals, &setting, gateway_of(&setting, &name)?, &SignIn { password }).await
        }
        Auth::LogOut => {
            let mut gateway = setting.gateway(globals)?;
            gateway.log_out().await?;
            eprintln!("{} is logged out", gateway.profile().user());
            Ok(())
        }
        Auth::Status => {
            let mut gateway = setting.gateway(globals)?;
            let (session, user) = gateway.status().await?;
            print_status(globals, &setting, &gateway, user.name, session.expires_at)
        }
    }
}

fn gateway_of(setting: &Setting, user: &UserName) -> Result<Gateway, Failure> {
    let profile = Profile::open_or_create(&setting.path, user)?;
    Ok(Gateway::new(&setting.context, profile)?)
}

async fn log_in(
    globals: &Globals,
    setting: &Setting,
    mut gateway: Gateway,
    sign_in: &SignIn,
) -> Result<(), Failure> {
    let session = gateway.log_in(&setting.path, sign_in).await?;
    print_status(globals, setting, &gateway, session.user.name.clone(), session.expires_at)
}

fn print_status(
    globals: &Globals,
    setting: &Setting,
    gateway: &Gateway,
    user: String,
    session_until: u64,
) -> Result<(), Failure> {
    let status = Status {
        user,
        server: setting.context.gateway.url(),
        key: gateway.profile().key_hash(),
        session_until,
        context: setting.path.display().to_string(),
    };
    print(globals.output, &status, || status.text())
}

/// Whether a password is being chosen.
#[derive(Clone, Copy, PartialEq)]
enum Prompt {
    Known,
    New,
}

fn read_password(source: PasswordSource, prompt: Prompt) -> Result<Secret, Failure> {
    let password = match source {
        PasswordSource::Stdin => stdin_line()?,
        PasswordSource::Prompt if !io::stdin().is_terminal() => {
            return Err(Failure::new(ExitCode::Usage, "there is no terminal to ask for the password")
                .next("add --password-stdin and send the password as one line"));
        }
        PasswordSource::Prompt => ask("Password: ")?,
    };
    if prompt == Prompt::New && password.chars().count() < api::bounds::PASSWORD_CHARS_MIN {
        let least = api::bounds::PASSWORD_CHARS_MIN;
        return Err(Failure::new(
            ExitCode::Failed,
            format!("the password is shorter than {least} characters"),
        )
        .next("choose a longer one: a few words that nobody else puts together"));
    }
    if prompt == Prompt::New && source == PasswordSource::Prompt && *ask("Again: ")? != *password {
        return Err(Failure::new(ExitCode::Failed, "the two passwords differ"));
    }
    Ok(Secret::new(password.as_str().to_owned()))
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::new(ExitCode::Interrupted, "interrupted"),
        _ => Failure::new(ExitCode::Failed, "the password can't be read").because(error.to_string()),
    })
}

/// One line; the line end is not part of the password, everything else is.
fn stdin_line() -> Result<Zeroizing<String>, Failure> {
    let unreadable = |why: String| Failure::new(ExitCode::Failed, "the password can't be read").because(why);
    let mut text = Zeroizing::new(String::new());
    io::stdin()
        .lock()
        .take(PASSWORD_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|e| unreadable(e.to_string()))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains('\n') || line.len() > api::bounds::PASSWORD_BYTES_MAX {
        return Err(unreadable("expected one line of 1 to 1024 bytes on standard input".into()));
    }
    Ok(Zeroizing::new(line.to_owned()))
}
