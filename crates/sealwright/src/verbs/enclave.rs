//! `enclave`: from creation to deletion, with proof in between.

use std::io::{self, IsTerminal};
use std::time::Duration;

use api::enclaves::{Enclave as Shown, Stage};
use client::{EnclaveName, Gateway, time};

use super::setting::Setting;
use super::{confirm, request, verify};
use crate::arguments::{Enclave, Globals, VersionChoice, Wait};
use crate::failure::Failure;
use crate::output::{age, fields, print, table, tame, write};
use crate::progress::Progress;

pub(crate) async fn run(globals: &Globals, verb: Enclave) -> Result<(), Failure> {
    let setting = Setting::open(globals)?;
    let mut gateway = setting.gateway(globals)?;
    match verb {
        Enclave::Create { name, app, version, wait } => {
            let version = match &version {
                VersionChoice::Newest => None,
                VersionChoice::Exactly(version) => Some(version),
            };
            let (enclave, vouched) = gateway.create(&name, &app, version).await?;
            eprintln!(
                "enclave {name} of {app} {}, version digest {} ({})",
                vouched.version,
                vouched.reference.digest,
                vouched.reference.source.as_str()
            );
            let enclave = match wait {
                Wait::No => enclave,
                Wait::AtMost(time) => follow(&mut gateway, &name, time).await?,
            };
            show(globals, &enclave)
        }
        Enclave::List => {
            let list = gateway.enclaves().await?;
            print(globals.output, &list, || listing(&list.enclaves))
        }
        Enclave::Show { name } => {
            let enclave = gateway.enclave(&name).await?;
            show(globals, &enclave)
        }
        Enclave::Logs { name } => {
            let logs = gateway.enclave_logs(&name).await?;
            match io::stdout().is_terminal() {
                true => write(terminal_safe(&logs).as_bytes()),
                false => write(&logs),
            }
        }
        Enclave::Stop { name } => {
            gateway.stop_enclave(&name).await?;
            let enclave = gateway.enclave(&name).await?;
            show(globals, &enclave)
        }
        Enclave::Start { name, wait } => {
            gateway.start_enclave(&name).await?;
            let enclave = match wait {
                Wait::No => gateway.enclave(&name).await?,
                Wait::AtMost(time) => follow(&mut gateway, &name, time).await?,
            };
            show(globals, &enclave)
        }
        Enclave::Delete { name, confirmation } => {
            let command = format!("sealwright enclave delete {name} --yes");
            confirm(&format!("enclave {name}"), name.as_str(), &command, confirmation)?;
            gateway.delete(&name).await?;
            eprintln!("enclave {name} is deleted");
            Ok(())
        }
        Enclave::Verify { name, save, trust } => {
            let trust = setting.trust(&trust)?;
            verify::enclave(globals, &mut gateway, &name, save.as_deref(), &trust).await
        }
        Enclave::Request { name, method, path, body, trust } => {
            let trust = setting.trust(&trust)?;
            let asked = request::Asked { name, method, path, body };
            request::run(globals, &mut gateway, asked, &trust).await
        }
        Enclave::Connect(_) => unreachable!("started by main, which leaves Ctrl-C to it"),
    }
}

/// Waits with a line per stage.
async fn follow(gateway: &mut Gateway, name: &EnclaveName, at_most: Duration) -> Result<Shown, Failure> {
    let mut progress = Progress::new();
    let on_stage = |stage: &Stage| {
        let line = format!("{:<8} {}", tame(&stage.name), tame(&stage.message));
        progress.stage(line.trim_end());
    };
    Ok(gateway.wait(name, at_most, on_stage).await?)
}

fn show(globals: &Globals, enclave: &Shown) -> Result<(), Failure> {
    print(globals.output, enclave, || {
        let mut lines = vec![
            ("enclave", enclave.name.clone()),
            ("state", state(enclave)),
            ("app", format!("{} {}", enclave.app, enclave.version)),
            ("version digest", enclave.version_digest.to_string()),
            ("incarnation", enclave.incarnation.to_string()),
            ("id", enclave.id.to_string()),
            ("host", enclave.host.clone()),
            ("edge", enclave.edge.clone()),
            ("created", time::format(enclave.created_at)),
        ];
        if enclave.state == api::enclaves::State::Running {
            lines.push(("next", format!("sealwright enclave verify {}", enclave.name)));
        }
        fields(&lines)
    })
}

fn state(enclave: &Shown) -> String {
    match &enclave.reason {
        Some(reason) => format!("{} ({reason})", enclave.state.as_str()),
        None => enclave.state.as_str().to_owned(),
    }
}

fn listing(enclaves: &[Shown]) -> String {
    let now = time::now();
    let rows: Vec<[String; 6]> = enclaves
        .iter()
        .map(|enclave| {
            [
                enclave.name.clone(),
                state(enclave),
                enclave.app.to_string(),
                enclave.version.to_string(),
                enclave.incarnation.to_string(),
                age(enclave.created_at, now),
            ]
        })
        .collect();
    table(["NAME", "STATE", "APP", "VERSION", "STARTS", "AGE"], &rows)
}

/// What a program printed, without what moves a cursor or clears a screen.
fn terminal_safe(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::terminal_safe;

    #[test]
    fn an_apps_output_does_not_drive_the_terminal() {
        assert_eq!(terminal_safe(b"a\tb\n\x1b[2Jc\xff"), "a\tb\n?[2Jc\u{fffd}");
    }
}
