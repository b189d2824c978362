//! `license`: what a licence allows, and files of it that verify without the server.

use std::path::Path;

use api::licenses::{CheckOut, License, LicenseEvents, LicenseFile, LicenseList, Validate};
use client::{Gateway, Licenses, Profile, read_license_file, time, verify_license_file};
use licensing::{AkName, Entitlement, LicenseId, VerifyKey};
use serde::Serialize;

use super::setting::Setting;
use crate::arguments::{self, Globals};
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::output::{Columns, fields, print, print_list, table};

pub(crate) async fn run(globals: &Globals, verb: arguments::License) -> Result<(), Failure> {
    use arguments::License as Verb;

    let setting = Setting::open(globals)?;
    let gateway = || setting.gateway(globals);
    match verb {
        Verb::List => show_list(globals, &gateway()?.licenses(Licenses::Own).await?),
        Verb::Show { id } => show(globals, &gateway()?.license(Licenses::Own, &id).await?),
        Verb::Events { id } => show_events(globals, &gateway()?.license_events(Licenses::Own, &id).await?),
        Verb::Validate { id, scope } => validate(globals, &mut gateway()?, &id, &scope).await,
        Verb::CheckIn { id } => show(globals, &gateway()?.check_in(&id).await?),
        Verb::Heartbeat { id, enclave } => {
            let pinged = gateway()?.heartbeat(&id, &enclave).await?;
            print(globals.output, &pinged, || {
                let next = pinged.next_by.map_or_else(|| "no ping is wanted".into(), time::format);
                fields(&[("status", word(&pinged.status)), ("next ping by", next)])
            })
        }
        Verb::File { id, to, asked } => file(globals, &mut gateway()?, &id, &to, &asked).await,
        Verb::Verify { file, node, app } => verify(globals, &setting.profile(globals)?, &file, node, app),
        Verb::Keys => {
            let mut gateway = gateway()?;
            let known = gateway.pinned_license_keys().await?;
            show_keys(globals, &known, &gateway.license_keys().await?)
        }
        Verb::AcceptKeys => {
            let mut gateway = gateway()?;
            let named = gateway.license_keys().await?;
            gateway.profile().accept_license_keys(&named)?;
            show_keys(globals, &named, &named)
        }
    }
}

async fn validate(
    globals: &Globals,
    gateway: &mut Gateway,
    id: &LicenseId,
    scope: &Validate,
) -> Result<(), Failure> {
    let judged = gateway.validate_license(id, scope).await?;
    print(globals.output, &judged, || {
        let valid = if judged.valid { "yes" } else { "no" };
        fields(&[("valid", valid.into()), ("code", judged.code.clone()), ("detail", judged.detail.clone())])
    })?;
    if judged.valid {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Failed, judged.detail.clone()).coded(&judged.code))
}

/// Downloads a file, and keeps it only when it verifies: what a server sends that has another key is no licence.
async fn file(
    globals: &Globals,
    gateway: &mut Gateway,
    id: &LicenseId,
    to: &Path,
    asked: &CheckOut,
) -> Result<(), Failure> {
    let keys = gateway.pinned_license_keys().await?;
    let LicenseFile { file, .. } = gateway.license_file(id, asked).await?;
    check(gateway.profile(), &file, &keys, asked.node, None).map_err(|failure| {
        failure.next("if the operator says that the key was exchanged: sealwright license keys --accept")
    })?;
    std::fs::write(to, &file).map_err(|error| {
        Failure::new(ExitCode::Failed, format!("{} can't be written", to.display()))
            .because(error.to_string())
    })?;
    eprintln!("the licence is in {}", to.display());
    verify(globals, gateway.profile(), to, asked.node, None)
}

fn verify(
    globals: &Globals,
    profile: &Profile,
    path: &Path,
    node: Option<AkName>,
    app: Option<Entitlement>,
) -> Result<(), Failure> {
    let keys = profile.license_keys()?;
    if keys.is_empty() {
        return Err(Failure::new(ExitCode::NotFound, "no key of licence files is known here")
            .next("once, while the server can be reached: sealwright license keys"));
    }
    let text = read_license_file(path)?;
    let read = check(profile, &text, &keys, node, app)?;
    let content = read.dataset();
    print(globals.output, content, || {
        fields(&[
            ("licence", content.license.to_string()),
            ("plan", content.plan.to_string()),
            ("covers", list(content.entitlements.iter())),
            ("node", content.node.map_or_else(|| "any".into(), |node| node.to_string())),
            ("issued", time::format(content.issued)),
            ("good until", time::format(content.expiry)),
        ])
    })
}

/// Signature, time, the user's own key; node and app where they are named.
fn check(
    profile: &Profile,
    text: &str,
    keys: &[VerifyKey],
    node: Option<AkName>,
    app: Option<Entitlement>,
) -> Result<licensing::LicenseFile, Failure> {
    let refused = |error: licensing::FileError| {
        Failure::new(ExitCode::Failed, "the licence file is refused")
            .because(error.to_string())
            .coded(error.code())
    };
    let read = verify_license_file(text, keys, time::now()).map_err(refused)?;
    read.check_holder(&profile.key_hash()).map_err(refused)?;
    if let Some(node) = node {
        read.check_node(&node).map_err(refused)?;
    }
    match app {
        Some(app) if !read.covers(&app) => {
            Err(Failure::new(ExitCode::Failed, format!("the licence file does not cover {app}")))
        }
        Some(_) | None => Ok(read),
    }
}

#[derive(Serialize)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Serialize)]
struct Key {
    kid: String,
    accepted: bool,
    published: bool,
}

fn show_keys(globals: &Globals, accepted: &[VerifyKey], published: &[VerifyKey]) -> Result<(), Failure> {
    let more = published.iter().filter(|key| !accepted.contains(key));
    let keys = accepted.iter().chain(more).map(|key| Key {
        kid: key.id(),
        accepted: accepted.contains(key),
        published: published.contains(key),
    });
    let keys = Keys { keys: keys.collect() };
    print_list(globals.output, &keys, keys.keys.iter().map(|key| key.kid.clone()), |_| {
        let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let rows: Vec<[String; 3]> =
            keys.keys.iter().map(|key| [key.kid.clone(), yes(key.accepted), yes(key.published)]).collect();
        table(["KEY", "ACCEPTED", "PUBLISHED"], &rows)
    })
}

/// A list of licences, narrow or wide.
pub(super) fn show_list(globals: &Globals, list: &LicenseList) -> Result<(), Failure> {
    let names = list.licenses.iter().map(|license| license.id.to_string());
    print_list(globals.output, list, names, |columns| {
        let row = |license: &License| {
            [
                license.id.to_string(),
                license.plan.to_string(),
                word(&license.status),
                format!("{}/{}", license.enclaves_used, license.enclaves),
                format!("{}/{}", license.seats_used, license.seats),
                license.ends_at.map_or_else(|| "never".into(), time::format),
            ]
        };
        let rows: Vec<[String; 6]> = list.licenses.iter().map(row).collect();
        match columns {
            Columns::Usual => table(["LICENSE", "PLAN", "STATUS", "ENCLAVES", "SEATS", "ENDS"], &rows),
            Columns::All => {
                let rows: Vec<[String; 8]> = rows
                    .into_iter()
                    .zip(&list.licenses)
                    .map(|([id, plan, status, enclaves, seats, ends], license)| {
                        let apps = self::list(license.entitlements.iter());
                        [id, plan, status, enclaves, seats, ends, license.holder.clone(), apps]
                    })
                    .collect();
                let headers = ["LICENSE", "PLAN", "STATUS", "ENCLAVES", "SEATS", "ENDS", "HOLDER", "COVERS"];
                table(headers, &rows)
            }
        }
    })
}

/// One licence.
pub(super) fn show(globals: &Globals, license: &License) -> Result<(), Failure> {
    print(globals.output, license, || {
        let when = |at: Option<u64>| at.map_or_else(|| "never".into(), time::format);
        let mut lines = vec![
            ("licence", license.id.to_string()),
            ("plan", license.plan.to_string()),
            ("status", word(&license.status)),
            ("covers", list(license.entitlements.iter())),
            ("enclaves", format!("{} of {}", license.enclaves_used, license.enclaves)),
            ("seats", format!("{} of {}", license.seats_used, license.seats)),
            ("holder", license.holder.clone()),
            ("expires", when(license.expires_at)),
            ("ends", when(license.ends_at)),
        ];
        lines.extend(license.node.map(|node| ("node", node.to_string())));
        lines.extend(license.check_in_by.map(|at| ("check in by", time::format(at))));
        lines.extend(license.heartbeat_interval.map(|every| ("ping every", format!("{every} s"))));
        fields(&lines)
    })
}

/// What happened to a licence.
pub(super) fn show_events(globals: &Globals, list: &LicenseEvents) -> Result<(), Failure> {
    let names = list.events.iter().map(|event| event.event.clone());
    print_list(globals.output, list, names, |_| {
        let rows: Vec<[String; 3]> = list
            .events
            .iter()
            .map(|event| [time::format(event.at), event.event.clone(), event.subject.clone()])
            .collect();
        table(["TIME", "EVENT", "SUBJECT"], &rows)
    })
}

fn list<T: ToString>(of: impl Iterator<Item = T>) -> String {
    of.map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

/// A word of the API, as it is on the wire.
fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}
