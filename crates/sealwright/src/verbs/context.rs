//! `context`: which server and which trust anchors.

use std::path::{Path, PathBuf};

use client::contexts::{self, ContextName, Listed};
use client::{Anchor, Context, ContextError, Simulated};
use serde::Serialize;

use super::confirm;
use super::setting::Setting;
use crate::arguments::{Authority, ContextChoice, ContextSetting, ContextVerb, CreateContext, Globals};
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::output::{fields, print, print_list, table};

/// Largest certificate file.
const CA_BYTES: u64 = 64 << 10;

pub(crate) async fn run(globals: &Globals, verb: ContextVerb) -> Result<(), Failure> {
    match verb {
        ContextVerb::List => list(globals),
        ContextVerb::Show { context: ContextChoice::Current } => show(globals, Setting::open(globals)?),
        ContextVerb::Show { context } => show(globals, Setting::of(&context)?),
        ContextVerb::Use { context } => {
            let path = contexts::resolve(&context)?;
            Context::load(&path)?;
            let current = Context::make_current(&path)?;
            eprintln!("{} is the current context ({})", path.display(), current.display());
            Ok(())
        }
        ContextVerb::Create(asked) => create(&asked).await,
        ContextVerb::Set(setting) => set(globals, setting),
        ContextVerb::Delete { name, confirmation } => {
            let path = name.path()?;
            Context::load(&path).map(drop).or_else(|error| match error {
                missing @ ContextError::Missing(_) => Err(missing),
                // What can't be read can still be deleted.
                _ => Ok(()),
            })?;
            let users = contexts::users(&path);
            let what = match users.is_empty() {
                true => format!("context {name}"),
                false => format!("context {name} and the keys of {}", users.join(", ")),
            };
            confirm(&what, name.as_str(), &format!("sealwright context delete {name} --yes"), confirmation)?;
            contexts::delete(&name)?;
            eprintln!("{what}: deleted");
            Ok(())
        }
    }
}

#[derive(Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<ContextName>,
    current: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    users: Vec<String>,
    path: PathBuf,
}

impl From<Listed> for Row {
    fn from(listed: Listed) -> Self {
        let Listed { name, path, current, context } = listed;
        let (gateway, problem) = match context {
            Ok(context) => (Some(context.gateway.url()), None),
            Err(problem) => (None, Some(problem)),
        };
        Self { name, current, gateway, problem, users: contexts::users(&path), path }
    }
}

#[derive(Serialize)]
struct Rows {
    contexts: Vec<Row>,
}

fn list(globals: &Globals) -> Result<(), Failure> {
    let list = Rows { contexts: contexts::list()?.into_iter().map(Row::from).collect() };
    let names = list.contexts.iter().filter_map(|row| row.name.as_ref()).map(ToString::to_string);
    print_list(globals.output, &list, names, |_| {
        let rows: Vec<[String; 5]> = list
            .contexts
            .iter()
            .map(|row| {
                let name = row.name.as_ref().map_or_else(|| "-".into(), ToString::to_string);
                let current = if row.current { "*" } else { "" };
                let gateway = row.gateway.clone().unwrap_or_else(|| "unreadable".into());
                [name, current.into(), gateway, row.users.join(","), row.path.display().to_string()]
            })
            .collect();
        table(["NAME", "CURRENT", "GATEWAY", "USERS", "FILE"], &rows)
    })
}

fn show(globals: &Globals, setting: Setting) -> Result<(), Failure> {
    let Setting { path, context } = setting;
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

async fn create(asked: &CreateContext) -> Result<(), Failure> {
    let certificate = match &asked.authority {
        Authority::File { path, fingerprint } => expected_ca(path, fingerprint.as_ref())?,
        Authority::Fingerprint(fingerprint) => shown_ca(asked, fingerprint).await?,
    };
    let fingerprint = names::Digest::of(&certificate);
    let anchor = Anchor { name: asked.name.to_string(), certificate, level: asked.level };
    let mut context =
        Context::new(asked.gateway.clone(), asked.edge.clone(), asked.trust_domain.clone(), vec![anchor]);
    context.simulated = asked.simulated;
    // Read once as it will be read each time.
    context.roots()?;
    let path = contexts::create(&asked.name, &context)?;
    eprintln!("context {} is in {}", asked.name, path.display());
    if matches!(asked.authority, Authority::File { fingerprint: None, .. }) {
        eprintln!("its CA has SHA-256 {fingerprint}: compare it with what the operator says");
    }
    eprintln!("next: sealwright context use {}", asked.name);
    Ok(())
}

/// The file's certificate, if it is the expected one.
fn expected_ca(path: &Path, expected: Option<&names::Digest>) -> Result<Vec<u8>, Failure> {
    let certificate = read_ca(path)?;
    let fingerprint = names::Digest::of(&certificate);
    match expected.filter(|expected| **expected != fingerprint) {
        None => Ok(certificate),
        Some(expected) => Err(Failure::new(
            ExitCode::Refused,
            format!("{} is not the certificate that you expect", path.display()),
        )
        .because(format!("its SHA-256 is {fingerprint}, not {expected}"))
        .next("ask the operator again, and not by the way on which this file came")),
    }
}

/// The certificate that the gateway shows, if it is the expected one and vouches for the gateway.
async fn shown_ca(asked: &CreateContext, fingerprint: &names::Digest) -> Result<Vec<u8>, Failure> {
    let shown = client::ca_by_fingerprint(&asked.gateway, &asked.trust_domain, fingerprint).await;
    let refused = |error: client::ExchangeError| {
        match error {
        error @ client::ExchangeError::Tls(_) => Failure::new(
            ExitCode::Refused,
            format!("{} does not show the CA that you expect", asked.gateway.url()),
        )
        .because(server::telemetry::chain(&error))
        .next("somebody may stand in between: ask the operator for the fingerprint again, or for the file (--ca)"),
        error => Failure::new(ExitCode::Unreachable, format!("{} is not reached", asked.gateway.url()))
            .because(server::telemetry::chain(&error)),
    }
    };
    shown.map(|certificate| certificate.der().to_vec()).map_err(refused)
}

/// A certificate as PEM or DER.
fn read_ca(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display().to_string();
    let fault =
        |exit: ExitCode, why: String| Failure::new(exit, format!("{shown} can't be used")).because(why);
    let bytes = std::fs::metadata(path).and_then(|found| match found.len() > CA_BYTES {
        true => Err(std::io::Error::other("it is too large for a certificate")),
        false => std::fs::read(path),
    });
    let bytes = bytes.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => fault(ExitCode::NotFound, error.to_string()),
        _ => fault(ExitCode::Failed, error.to_string()),
    })?;
    let certificate = match bytes.starts_with(b"-----") {
        true => str::from_utf8(&bytes).ok().and_then(|text| pki::Certificate::from_pem(text).ok()),
        false => pki::Certificate::from_der(&bytes).ok(),
    };
    let certificate = certificate.ok_or_else(|| fault(ExitCode::Failed, "it is no certificate".into()))?;
    Ok(certificate.der().to_vec())
}

fn set(globals: &Globals, change: ContextSetting) -> Result<(), Failure> {
    let Setting { path, mut context } = Setting::open(globals)?;
    match change {
        ContextSetting::Gateway(gateway) => context.gateway = gateway,
        ContextSetting::Edge(edge) => context.edge = edge,
        ContextSetting::Simulated(simulated) => context.simulated = simulated,
    }
    // The file itself, not a link to it.
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    context.save(&path)?;
    show(globals, Setting { path, context })
}

/// Whether there is a context at all, for the doctor.
pub(crate) fn state(globals: &Globals) -> Result<Option<Setting>, Failure> {
    match Setting::open(globals) {
        Ok(setting) => Ok(Some(setting)),
        Err(failure)
            if failure == Failure::from(ContextError::Missing(Setting::path_of(&globals.context)?)) =>
        {
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}
