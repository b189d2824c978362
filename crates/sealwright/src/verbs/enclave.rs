//! `enclave`: from creation to deletion, with proof in between.

mod logs;
mod shown;

use std::time::Duration;

use api::enclaves::{Enclave as Shown, Stage};
use client::{EnclaveName, Gateway, time};

use super::setting::Setting;
use super::{confirm, request, verify};
use crate::arguments::{Enclave, Globals, VersionChoice, Wait};
use crate::failure::Failure;
use crate::output::{print, print_list, tame};
use crate::progress::Progress;

pub(crate) async fn run(globals: &Globals, verb: Enclave) -> Result<(), Failure> {
    let setting = Setting::open(globals)?;
    let mut gateway = setting.gateway(globals)?;
    match verb {
        Enclave::Create { name, app, version, lifetimes, wait } => {
            let version = match &version {
                VersionChoice::Newest => None,
                VersionChoice::Exactly(version) => Some(version),
            };
            let (enclave, vouched) = gateway.create_for(&name, &app, version, lifetimes).await?;
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
            let names = list.enclaves.iter().map(|enclave| enclave.name.clone());
            print_list(globals.output, &list, names, |columns| shown::all(&list.enclaves, columns))
        }
        Enclave::Show { name } => {
            let enclave = gateway.enclave(&name).await?;
            show(globals, &enclave)
        }
        Enclave::Logs { name, follow } => logs::run(&mut gateway, &name, follow).await,
        Enclave::Events { name } => {
            let list = gateway.enclave_events(&name, 0).await?;
            let names = list.events.iter().map(|event| event.seq.to_string());
            print_list(globals.output, &list, names, |_| shown::events(&list.events))
        }
        Enclave::Extend { name, by } => {
            let enclave = gateway.extend_enclave(&name, by).await?;
            show(globals, &enclave)
        }
        Enclave::Cancel { name } => {
            gateway.cancel_enclave(&name).await?;
            let enclave = gateway.enclave(&name).await?;
            show(globals, &enclave)
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
        let place = shown::queue(stage.queue_position, stage.queue_size).map(|place| format!(" ({place})"));
        let line = format!("{:<8} {}{}", tame(&stage.name), tame(&stage.message), place.unwrap_or_default());
        progress.stage(line.trim_end());
    };
    Ok(gateway.wait(name, at_most, on_stage).await?)
}

fn show(globals: &Globals, enclave: &Shown) -> Result<(), Failure> {
    if let Some(stops) = shown::stops(enclave, time::now()) {
        eprintln!("note: it stops {stops}; to keep it: sealwright enclave extend {}", enclave.name);
    }
    print(globals.output, enclave, || shown::one(enclave))
}
