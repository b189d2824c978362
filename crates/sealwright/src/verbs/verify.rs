//! `enclave verify` and `verify`: the check list, and where the evidence is kept.

use std::path::Path;

use client::{Bundle, EnclaveName, Error, Gateway, Report, Trust, time};

use super::setting::Setting;
use crate::arguments::{Globals, Moment, VerifyFile};
use crate::checklist;
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::output::{Colour, print};

/// Verifies a running enclave. The evidence is saved whether or not it holds.
pub(crate) async fn enclave(
    globals: &Globals,
    gateway: &mut Gateway,
    name: &EnclaveName,
    save: Option<&Path>,
    trust: &Trust,
) -> Result<(), Failure> {
    let expected = gateway.expected(name, trust).await?;
    let answered = gateway.ask_enclave(&expected).await?;
    if let Some(path) = save {
        std::fs::write(path, answered.evidence_json()).map_err(|error| {
            Failure::new(ExitCode::Failed, format!("{} can't be written", path.display()))
                .because(error.to_string())
        })?;
        eprintln!("the evidence is in {}", path.display());
    }
    let title = format!("enclave {name} ({})", expected.host);
    match gateway.judge_enclave(answered, &expected) {
        Ok(connection) => show(globals, &title, connection.report()),
        Err(Error::Refused(report)) => {
            show(globals, &title, &report)?;
            Err(Error::Refused(report).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Judges a saved bundle. Needs no server; uses what the client knows, where somebody has been logged in.
pub(crate) fn file(globals: &Globals, options: &VerifyFile) -> Result<(), Failure> {
    let bundle = Bundle::read(&options.file)?;
    let setting = Setting::open(globals)?;
    let trust = setting.trust(&options.trust)?;
    let profile = match setting.profile(globals) {
        Ok(profile) => Some(profile),
        Err(failure) if failure.exit == ExitCode::LogInFirst => None,
        Err(failure) => return Err(failure),
    };
    let at = options.at.map_or_else(time::now, |Moment(seconds)| seconds);
    let report = bundle.judge(&setting.context, profile.as_ref(), &trust, at)?;
    let title = format!("{}, as of {}", options.file.display(), time::format(at));
    show(globals, &title, &report)?;
    if report.trusted {
        return Ok(());
    }
    let timely = matches!(report.reason(), Some("verdict_expired" | "ak_chain" | "verdict_chain"));
    let failure = Failure::from(Error::Refused(Box::new(report)));
    match bundle.claimed_time() {
        Some(made) if timely && options.at.is_none() => {
            Err(failure.next(format!("it says that it was made then: --at {}", time::format(made))))
        }
        Some(_) | None => Err(failure),
    }
}

fn show(globals: &Globals, title: &str, report: &Report) -> Result<(), Failure> {
    print(globals.output, report, || checklist::render(title, report, Colour::of_stdout()))
}
