//! `app`: programs, measured and signed.

use std::path::Path;

use client::{Gateway, Packed, Step, time};
use serde::Serialize;

use super::setting::Setting;
use crate::arguments::{App, Globals};
use crate::failure::Failure;
use crate::output::{age, fields, print, table};
use crate::progress::Progress;

pub(crate) async fn run(globals: &Globals, verb: App) -> Result<(), Failure> {
    match verb {
        App::Digest { file } => digest(globals, &file),
        App::Publish { file } => publish(globals, &file).await,
        App::List => list(globals).await,
        App::Show { name } => show(globals, &name).await,
    }
}

#[derive(Serialize)]
struct Measured<'a> {
    name: &'a workload::AppName,
    version: &'a workload::AppVersion,
    digest: names::Digest,
    files: usize,
    bytes: u64,
}

fn measure(file: &Path) -> Result<Packed, Failure> {
    let mut progress = Progress::new();
    Ok(Packed::from_file(file, |step| show_step(&mut progress, step))?)
}

fn show_step(progress: &mut Progress, step: Step) {
    match step {
        Step::Measuring { done, of } => progress.counted("files measured", done, of),
        Step::Uploading { done, of } => progress.counted("files uploaded", done, of),
    }
}

fn digest(globals: &Globals, file: &Path) -> Result<(), Failure> {
    let app = measure(file)?;
    let measured = Measured {
        name: &app.name,
        version: &app.version,
        digest: app.digest,
        files: app.files(),
        bytes: app.manifest.total_size(),
    };
    print(globals.output, &measured, || format!("{}\n", app.digest))
}

#[derive(Serialize)]
struct Published {
    name: String,
    version: String,
    digest: names::Digest,
    publisher: names::Digest,
    files: usize,
    uploaded: usize,
}

async fn publish(globals: &Globals, file: &Path) -> Result<(), Failure> {
    let setting = Setting::open(globals)?;
    // Before minutes of hashing: is somebody logged in at all?
    let mut gateway = setting.gateway(globals)?;
    gateway.me().await?;
    let app = measure(file)?;
    let mut progress = Progress::new();
    let published = gateway.publish_app(&app, |step| show_step(&mut progress, step)).await?;
    drop(progress);
    let published = Published {
        name: published.record.name.to_string(),
        version: published.record.version.to_string(),
        digest: published.record.digest,
        publisher: published.publisher,
        files: published.files,
        uploaded: published.uploaded,
    };
    print(globals.output, &published, || {
        fields(&[
            ("app", format!("{} {}", published.name, published.version)),
            ("digest", published.digest.to_string()),
            ("publisher", format!("{} (your key)", published.publisher)),
            ("files", format!("{}, {} uploaded", published.files, published.uploaded)),
        ])
    })
}

async fn list(globals: &Globals) -> Result<(), Failure> {
    let mut gateway = Setting::open(globals)?.gateway(globals)?;
    let list = gateway.apps().await?;
    print(globals.output, &list, || {
        let now = time::now();
        let rows: Vec<[String; 5]> = list
            .apps
            .iter()
            .map(|app| {
                let short = |digest: &names::Digest| digest.to_string().chars().take(12).collect();
                let (name, version) = (app.name.to_string(), app.version.to_string());
                [name, version, short(&app.digest), short(&app.publisher), age(app.created_at, now)]
            })
            .collect();
        table(["NAME", "VERSION", "DIGEST", "PUBLISHER", "AGE"], &rows)
    })
}

#[derive(Serialize)]
struct Shown {
    name: String,
    version: String,
    digest: names::Digest,
    source: &'static str,
    publisher: names::Digest,
    issued_at: u64,
}

async fn show(globals: &Globals, name: &workload::AppName) -> Result<(), Failure> {
    let mut gateway: Gateway = Setting::open(globals)?.gateway(globals)?;
    let vouched = gateway.vouched(name, None).await?;
    let shown = Shown {
        name: name.to_string(),
        version: vouched.version.to_string(),
        digest: vouched.reference.digest,
        source: vouched.reference.source.as_str(),
        publisher: vouched.publisher,
        issued_at: vouched.issued_at,
    };
    print(globals.output, &shown, || {
        fields(&[
            ("app", format!("{} {}", shown.name, shown.version)),
            ("digest", format!("{} ({})", shown.digest, shown.source)),
            ("publisher", shown.publisher.to_string()),
            ("signed", time::format(shown.issued_at)),
        ])
    })
}
