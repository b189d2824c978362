//! `context`: which server and which trust anchors.

use client::{Context, ContextError, Simulated};

use super::setting::Setting;
use crate::arguments::{ContextVerb, Globals};
use crate::failure::Failure;
use crate::output::{fields, print};

pub(crate) fn run(globals: &Globals, verb: ContextVerb) -> Result<(), Failure> {
    match verb {
        ContextVerb::Show => show(globals),
        ContextVerb::Use { file } => {
            Context::load(&file)?;
            let current = Context::make_current(&file)?;
            eprintln!("{} is the current context ({})", file.display(), current.display());
            Ok(())
        }
    }
}

fn show(globals: &Globals) -> Result<(), Failure> {
    let Setting { path, context } = Setting::open(globals)?;
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    print(globals.output, &context, || {
        let mut lines = vec![
            ("context", path.display().to_string()),
            ("gateway", context.gateway.url()),
            ("edge", context.edge.to_string()),
            ("trust domain", context.trust_domain.to_string()),
        ];
        for anchor in &context.anchors {
            let thumbprint = names::Digest::of(&anchor.certificate);
            lines.push(("anchor", format!("{} (level {}, sha256 {thumbprint})", anchor.name, anchor.level)));
        }
        lines.push(("software TPMs", simulated(context.simulated).into()));
        fields(&lines)
    })
}

fn simulated(simulated: Simulated) -> &'static str {
    match simulated {
        Simulated::Refused => "refused, unless --allow-simulated",
        Simulated::Allowed => "accepted (level simulated), and said each time",
    }
}

/// Whether there is a context at all, for the doctor.
pub(crate) fn state(globals: &Globals) -> Result<Option<Setting>, Failure> {
    match Setting::open(globals) {
        Ok(setting) => Ok(Some(setting)),
        Err(failure) if failure == Failure::from(ContextError::Missing(path_of(globals)?)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn path_of(globals: &Globals) -> Result<std::path::PathBuf, Failure> {
    match &globals.context {
        crate::arguments::ContextChoice::Given(path) => Ok(path.clone()),
        crate::arguments::ContextChoice::Current => Ok(Context::current_path()?),
    }
}
