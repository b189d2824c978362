//! `backup`: a data folder as one file, and back.

use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context as _;
use backup::{Manifest, Source};
use ensemble::Layout;
use store::{DatabaseUrl, Store};

use crate::arguments::{Backup, Globals};
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::output::{fields, print};

/// The snapshot's name inside a folder of its own, which is removed.
const SNAPSHOT: &str = "snapshot.sqlite";

pub(crate) async fn run(globals: &Globals, verb: Backup) -> Result<(), Failure> {
    let manifest = match verb {
        Backup::Create { file, data, tpm } => create(&file, &data, tpm).await?,
        Backup::Restore { file, data } => restore(&file, &data)?,
    };
    print(globals.output, &manifest, || summary(&manifest))
}

async fn create(file: &Path, data: &Path, tpm: bool) -> Result<Manifest, Failure> {
    if !data.is_dir() {
        let missing = Failure::new(ExitCode::NotFound, format!("there is no data folder {}", data.display()));
        return Err(missing.next("sealwright backup create FILE --data DIR"));
    }
    let layout = Layout::make(data)?;
    // A running TPM changes its state file; held until the backup is written.
    let lock = if tpm { Some(layout.lock()?) } else { None };
    let scratch = tempfile::Builder::new().prefix(".backup-").tempdir_in(file_folder(file));
    let scratch = scratch.with_context(|| format!("make a folder beside {}", file.display()))?;
    let database = snapshot(&layout, &scratch.path().join(SNAPSHOT)).await?;
    let output = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let output = output.with_context(|| format!("make {}", file.display()))?;
    let source = Source { folder: layout.root().to_path_buf(), database, tpm };
    let saved = write(&source, &output);
    drop(lock);
    if saved.is_err() {
        // Half a backup would be refused anyway; one that is not there can't be mistaken for one.
        std::fs::remove_file(file).with_context(|| format!("remove the unfinished {}", file.display()))?;
    }
    Ok(saved?)
}

fn write(source: &Source, output: &File) -> anyhow::Result<Manifest> {
    let now = client::time::now();
    let manifest = backup::create(source, BufWriter::new(output), now)?;
    output.sync_all().context("write the backup to disk")?;
    Ok(manifest)
}

fn file_folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A copy of one moment; `None` where the data folder has no database of its own.
async fn snapshot(layout: &Layout, copy: &Path) -> anyhow::Result<Option<std::path::PathBuf>> {
    if !layout.database().exists() {
        eprintln!("backup: the folder has no database: users in PostgreSQL are saved by pg_dump");
        return Ok(None);
    }
    let store = Store::open(&DatabaseUrl::sqlite(layout.database())).await.context("open the database")?;
    let copied = store.snapshot(copy).await.context("copy the database")?;
    store.close().await;
    Ok(copied.then(|| copy.to_path_buf()))
}

fn restore(file: &Path, data: &Path) -> Result<Manifest, Failure> {
    let input = File::open(file).map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => ExitCode::NotFound,
            _ => ExitCode::Failed,
        };
        Failure::new(exit, format!("open {}", file.display())).because(error.to_string())
    })?;
    let manifest = backup::restore(std::io::BufReader::new(input), data).map_err(anyhow::Error::from)?;
    eprintln!("backup: {} is whole. Next: sealwright up --data {}", data.display(), data.display());
    Ok(manifest)
}

fn summary(manifest: &Manifest) -> String {
    let bytes: u64 = manifest.files.values().map(|entry| entry.size).sum();
    let yes_or_no = |there| if there { "yes" } else { "no" }.to_owned();
    fields(&[
        ("files", manifest.files.len().to_string()),
        ("bytes", bytes.to_string()),
        ("database", yes_or_no(manifest.contents.database)),
        ("TPM and CA", yes_or_no(manifest.contents.tpm)),
        ("written by", format!("sealwright {}", manifest.version)),
    ])
}
