//! Passwords and codes, as they are typed or sent: asked for on a terminal, or one a line on standard input.

use std::io::{self, IsTerminal, Read};

use api::Secret;
use zeroize::Zeroizing;

use crate::arguments::PasswordSource;
use crate::exit::ExitCode;
use crate::failure::Failure;

/// Longest line that is read: the gateway's bound on a password.
const LINE_BYTES: usize = api::bounds::PASSWORD_BYTES_MAX;

/// Where the secrets of one command come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Secrets(pub(crate) PasswordSource);

impl Secrets {
    /// Asks for one secret, or takes the next line.
    pub(crate) fn ask(self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        match self.0 {
            PasswordSource::Stdin => line(),
            PasswordSource::Prompt if !io::stdin().is_terminal() => {
                let what = prompt.trim_end_matches(": ").to_lowercase();
                Err(Failure::new(ExitCode::Usage, format!("there is no terminal to ask for the {what}"))
                    .next("add --password-stdin and send the password as one line"))
            }
            PasswordSource::Prompt => {
                rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| match error.kind() {
                    io::ErrorKind::Interrupted => Failure::new(ExitCode::Interrupted, "interrupted"),
                    _ => unreadable(error.to_string()),
                })
            }
        }
    }

    /// A password that is known.
    pub(crate) fn password(self, prompt: &str) -> Result<Secret, Failure> {
        Ok(Secret::new(self.ask(prompt)?.as_str().to_owned()))
    }

    /// A password that is chosen now: twice on a terminal.
    pub(crate) fn new_password(self, prompt: &str) -> Result<Secret, Failure> {
        let password = self.ask(prompt)?;
        let least = api::bounds::PASSWORD_CHARS_MIN;
        if password.chars().count() < least {
            return Err(Failure::new(
                ExitCode::Failed,
                format!("the password is shorter than {least} characters"),
            )
            .next("choose a longer one: a few words that nobody else puts together"));
        }
        if self.0 == PasswordSource::Prompt && *self.ask("Again: ")? != *password {
            return Err(Failure::new(ExitCode::Failed, "the two passwords differ"));
        }
        Ok(Secret::new(password.as_str().to_owned()))
    }
}

fn unreadable(why: impl Into<String>) -> Failure {
    Failure::new(ExitCode::Failed, "the password can't be read").because(why)
}

/// One line of standard input and not a byte more: the next secret is in the next line. The line end is not part of the
/// secret, everything else is.
fn line() -> Result<Zeroizing<String>, Failure> {
    let expected = || unreadable(format!("expected one line of 1 to {LINE_BYTES} bytes on standard input"));
    let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_BYTES + 1));
    let mut stdin = io::stdin().lock();
    let mut byte = [0];
    while stdin.read(&mut byte).map_err(|error| unreadable(error.to_string()))? == 1 && byte != *b"\n" {
        if bytes.len() > LINE_BYTES {
            return Err(expected());
        }
        bytes.push(byte[0]);
    }
    let text = str::from_utf8(&bytes).map_err(|_| unreadable("it is not UTF-8"))?;
    let line = text.strip_suffix('\r').unwrap_or(text);
    if line.is_empty() || line.len() > LINE_BYTES {
        return Err(expected());
    }
    Ok(Zeroizing::new(line.to_owned()))
}
