//! From a backup to a data folder.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path};

use names::Digest;
use sha2::{Digest as _, Sha256};

use crate::manifest::{Entry, FILES, MANIFEST, MANIFEST_BYTES, Manifest};
use crate::{BackupError, at};

/// Makes the folder, whole or not at all. Owner-only throughout; the next `up` opens what enclaves must pass.
///
/// # Errors
/// [`BackupError`]; then nothing is at `folder`.
pub fn restore(input: impl Read, folder: &Path) -> Result<Manifest, BackupError> {
    if folder.exists() {
        return Err(BackupError::Exists(folder.to_path_buf()));
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Beside its place, so that the last step is one rename. Removed if it does not come to that.
    let unfinished = tempfile::Builder::new()
        .prefix(".restoring-")
        .tempdir_in(parent)
        .map_err(at("make a folder in", parent))?;
    let (manifest, found) = unpack(input, unfinished.path())?;
    if found != manifest.files {
        let different = manifest.files.iter().find(|(name, entry)| found.get(*name) != Some(entry));
        let unlisted = found.keys().find(|name| !manifest.files.contains_key(*name));
        let name = different.map(|(name, _)| name).or(unlisted);
        return Err(BackupError::Changed(name.cloned().unwrap_or_default()));
    }
    std::fs::rename(unfinished.path(), folder).map_err(at("move the folder to", folder))?;
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(at("sync", parent))?;
    Ok(manifest)
}

type Found = BTreeMap<String, Entry>;

fn unpack(input: impl Read, folder: &Path) -> Result<(Manifest, Found), BackupError> {
    let mut archive = tar::Archive::new(input);
    let mut found = Found::new();
    let mut manifest = None;
    for entry in archive.entries().map_err(BackupError::Archive)? {
        let mut entry = entry.map_err(BackupError::Archive)?;
        let name = entry.path().map_err(BackupError::Archive)?.to_string_lossy().into_owned();
        let refused = || BackupError::Entry(name.chars().take(200).collect());
        if manifest.is_some() || !entry.header().entry_type().is_file() || !is_plain(&name) {
            return Err(refused());
        }
        if name == MANIFEST {
            manifest = Some(read_manifest(&mut entry)?);
            continue;
        }
        if found.len() >= FILES {
            return Err(BackupError::TooMany(FILES));
        }
        let mode = entry.header().mode().map_err(BackupError::Archive)?;
        let written = write_file(&mut entry, &folder.join(&name), mode)?;
        if found.insert(name.clone(), written).is_some() {
            return Err(refused());
        }
    }
    manifest.map(|manifest| (manifest, found)).ok_or(BackupError::NoManifest)
}

/// Only names below the folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

fn read_manifest(entry: &mut impl Read) -> Result<Manifest, BackupError> {
    let mut bytes = Vec::new();
    entry.take(MANIFEST_BYTES).read_to_end(&mut bytes).map_err(BackupError::Archive)?;
    Manifest::read(&bytes)
}

fn write_file(entry: &mut impl Read, path: &Path, mode: u32) -> Result<Entry, BackupError> {
    let mode = mode & 0o700;
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(at("make folder", parent))?;
    }
    // Twice the same name, or a folder where a file should be, ends here.
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(at("make", path))?;
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = match entry.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(BackupError::Archive(error)),
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        hash.update(bytes);
        size += length as u64;
        file.write_all(bytes).map_err(at("write", path))?;
    }
    file.set_permissions(Permissions::from_mode(mode)).map_err(at("protect", path))?;
    file.sync_all().map_err(at("sync", path))?;
    Ok(Entry { size, mode, sha256: Digest::from_bytes(hash.finalize().into()) })
}
