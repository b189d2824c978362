//! From a data folder to a backup.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use names::Digest;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use crate::manifest::{Contents, Entry, FILES, MANIFEST, Manifest};
use crate::{BackupError, at};

/// Belongs to a running process or to this boot, or is made again: sockets, enclaves' folders, measured copies, logs, the lock, what
/// `up` writes for clients, and the database's own files (a snapshot stands for them).
const LEFT_OUT: &[&str] =
    &["run", "enclaves", "apps", "agent", "client", "lock", "db.sqlite", "db.sqlite-wal", "db.sqlite-shm"];
/// Worth nothing without the TPM's state: key blobs that only it can load, and who was enrolled under it.
const OF_THE_TPM: &[&str] = &["tpm", "ca", "verifier"];
const DATABASE: &str = "db.sqlite";

/// What to save.
#[derive(Debug, Clone)]
pub struct Source {
    /// The data folder.
    pub folder: PathBuf,
    /// A snapshot of its SQLite database; `None` when the users are in PostgreSQL.
    pub database: Option<PathBuf>,
    /// Whether the TPM's state and the CA go along. With a software TPM nothing may be running then.
    pub tpm: bool,
}

/// Writes the backup.
///
/// # Errors
/// [`BackupError::File`], [`BackupError::Archive`], [`BackupError::TooMany`].
pub fn create(source: &Source, output: impl Write, now: u64) -> Result<Manifest, BackupError> {
    let contents = Contents { database: source.database.is_some(), tpm: source.tpm };
    let mut writer = Writer { tar: tar::Builder::new(output), manifest: Manifest::new(now, contents) };
    if let Some(snapshot) = &source.database {
        writer.file(snapshot, DATABASE)?;
    }
    writer.folder(&source.folder, "", source.tpm)?;
    writer.finish()
}

struct Writer<W: Write> {
    tar: tar::Builder<W>,
    manifest: Manifest,
}

impl<W: Write> Writer<W> {
    /// All regular files below; sockets and links are no data of ours.
    fn folder(&mut self, folder: &Path, prefix: &str, tpm: bool) -> Result<(), BackupError> {
        let mut entries: Vec<_> = std::fs::read_dir(folder)
            .and_then(Iterator::collect::<io::Result<_>>)
            .map_err(at("list", folder))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
                continue;
            };
            let left_out = LEFT_OUT.contains(&name.as_str()) || (!tpm && OF_THE_TPM.contains(&name.as_str()));
            if left_out {
                continue;
            }
            let kind = entry.file_type().map_err(at("look at", &path))?;
            if kind.is_dir() {
                self.folder(&path, &format!("{name}/"), tpm)?;
            } else if kind.is_file() {
                self.file(&path, &name)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &str) -> Result<(), BackupError> {
        if self.manifest.files.len() >= FILES {
            return Err(BackupError::TooMany(FILES));
        }
        let file = File::open(path).map_err(at("open", path))?;
        let metadata = file.metadata().map_err(at("look at", path))?;
        let (size, mode) = (metadata.len(), metadata.mode() & 0o700);
        // One that grows meanwhile is cut at the size that was announced, one that shrinks is an error.
        let mut hashed = Hashing { input: file.take(size), hash: Sha256::new(), read: 0 };
        self.tar
            .append_data(&mut header(size, mode, self.manifest.created_at), name, &mut hashed)
            .map_err(BackupError::Archive)?;
        if hashed.read != size {
            return Err(at("read whole", path)(io::ErrorKind::UnexpectedEof.into()));
        }
        let sha256 = Digest::from_bytes(hashed.hash.finalize().into());
        self.manifest.files.insert(name.to_owned(), Entry { size, mode, sha256 });
        Ok(())
    }

    fn finish(mut self) -> Result<Manifest, BackupError> {
        let list = serde_json::to_vec_pretty(&self.manifest)?;
        let mut header = header(list.len() as u64, 0o600, self.manifest.created_at);
        let written = self.tar.append_data(&mut header, MANIFEST, list.as_slice());
        written.and_then(|()| self.tar.into_inner()?.flush()).map_err(BackupError::Archive)?;
        Ok(self.manifest)
    }
}

fn header(size: u64, mode: u32, time: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(time);
    header
}

/// Hashes what passes.
struct Hashing<R> {
    input: R,
    hash: Sha256,
    read: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.hash.update(buffer.get(..length).unwrap_or_default());
        self.read += length as u64;
        Ok(length)
    }
}
