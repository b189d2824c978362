//! Files by their SHA-256, in one flat folder.
//!
//! A name is there only after its content was hashed, synced and renamed into place, so a crash leaves no false blob.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use names::Digest;
use sha2::Digest as _;
use workload::MAX_TOTAL_SIZE;

const TEMPORARY: &str = ".incoming-";
/// What stands before the digest of a blob that may be removed.
const ASIDE: &str = ".aside-";
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Why a blob was not stored or not opened.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The bytes are not the ones that were announced.
    #[error("the content's digest is {found}, not {expected}")]
    Mismatch {
        /// What was announced.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Larger than an app may be.
    #[error("the content is larger than {MAX_TOTAL_SIZE} bytes")]
    TooLarge,
    /// Not there.
    #[error("there is no blob {0}")]
    Missing(Digest),
    /// The file system said no.
    #[error("{}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A folder of blobs.
#[derive(Debug, Clone)]
pub struct Blobs {
    dir: PathBuf,
}

impl Blobs {
    /// Opens the folder, makes it (0700) if it is not there.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn open_dir(dir: impl Into<PathBuf>) -> Result<Self, BlobError> {
        let dir = dir.into();
        let io = |source| BlobError::Io { path: dir.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io)?;
        Ok(Self { dir })
    }

    /// Removes what a crash left half written; call it once, before anybody writes.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn remove_leftovers(&self) -> Result<(), BlobError> {
        let io = |source| BlobError::Io { path: self.dir.clone(), source };
        for entry in fs::read_dir(&self.dir).map_err(io)? {
            let entry = entry.map_err(io)?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                fs::remove_file(entry.path()).map_err(io)?;
            }
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.to_string())
    }

    /// Those of `digests` that are not there.
    #[must_use]
    pub fn missing(&self, digests: &[Digest]) -> Vec<Digest> {
        digests.iter().filter(|digest| !self.path(digest).exists()).copied().collect()
    }

    /// As [`Blobs::missing`]; and those that are there count as used now, so that [`Blobs::unused_since`] leaves them alone.
    #[must_use]
    pub fn wanted(&self, digests: &[Digest]) -> Vec<Digest> {
        let touch = |digest: &&Digest| {
            let file = File::open(self.path(digest));
            file.and_then(|file| file.set_modified(SystemTime::now())).is_err()
        };
        digests.iter().filter(touch).copied().collect()
    }

    /// The blobs that nobody has stored or asked for since.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn unused_since(&self, time: SystemTime) -> Result<Vec<Digest>, BlobError> {
        let io = |source| BlobError::Io { path: self.dir.clone(), source };
        let mut unused = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(io)? {
            let entry = entry.map_err(io)?;
            let Ok(digest) = entry.file_name().to_string_lossy().parse::<Digest>() else { continue };
            if is_older(&entry.path(), time).map_err(io)? {
                unused.push(digest);
            }
        }
        Ok(unused)
    }

    /// Takes a blob's name away, so that nobody finds it any more, while its last user is looked for: then
    /// [`Aside::remove`] it or [`Aside::put_back`]. A crash in between leaves it to [`Blobs::put_all_back`].
    ///
    /// # Errors
    /// [`BlobError`].
    pub fn set_aside(&self, digest: &Digest) -> Result<Aside, BlobError> {
        let (path, aside) = (self.path(digest), self.dir.join(format!("{ASIDE}{digest}")));
        match fs::rename(&path, &aside) {
            Ok(()) => Ok(Aside { path, aside }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BlobError::Missing(*digest)),
            Err(source) => Err(BlobError::Io { path, source }),
        }
    }

    /// Gives back the names that a crash left taken away.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn put_all_back(&self) -> Result<(), BlobError> {
        let io = |source| BlobError::Io { path: self.dir.clone(), source };
        for entry in fs::read_dir(&self.dir).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name();
            if let Some(digest) = name.to_string_lossy().strip_prefix(ASIDE) {
                Aside { path: self.dir.join(digest), aside: entry.path() }.put_back()?;
            }
        }
        Ok(())
    }

    /// Stores what `reader` gives if it is what `expected` says.
    ///
    /// # Errors
    /// [`BlobError`].
    pub fn put(&self, expected: &Digest, mut reader: impl Read) -> Result<(), BlobError> {
        let mut writer = self.writer()?;
        let path = writer.path.clone();
        let mut chunk = vec![0u8; crate::CHUNK];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return writer.finish(expected),
                Ok(read) => writer.write(chunk.get(..read).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(BlobError::Io { path, source }),
            }
        }
    }

    /// Begins a blob whose bytes come piece by piece.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn writer(&self) -> Result<BlobWriter, BlobError> {
        loop {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = self.dir.join(format!("{TEMPORARY}{}-{count}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    let hash = sha2::Sha256::new();
                    return Ok(BlobWriter { blobs: self.clone(), path, file, hash, size: 0, renamed: false });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(BlobError::Io { path, source }),
            }
        }
    }

    /// Opens a blob for reading. Its content is trusted only after it was hashed again: see [`crate::materialise`].
    ///
    /// # Errors
    /// [`BlobError`].
    pub fn open(&self, digest: &Digest) -> Result<File, BlobError> {
        let path = self.path(digest);
        File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => BlobError::Missing(*digest),
            _ => BlobError::Io { path, source },
        })
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// Whether a file was last changed before this time; one that is gone was not.
fn is_older(path: &Path, time: SystemTime) -> io::Result<bool> {
    match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(modified) => Ok(modified < time),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A blob whose name was taken away.
#[derive(Debug)]
pub struct Aside {
    path: PathBuf,
    aside: PathBuf,
}

impl Aside {
    /// Whether nobody had asked for it since, up to the moment when its name was taken away.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn is_unused_since(&self, time: SystemTime) -> Result<bool, BlobError> {
        is_older(&self.aside, time).map_err(|source| BlobError::Io { path: self.aside.clone(), source })
    }

    /// Gives the name back.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn put_back(self) -> Result<(), BlobError> {
        self.gone_is_fine(|aside| fs::rename(&aside.aside, &aside.path))
    }

    /// Removes the bytes.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn remove(self) -> Result<(), BlobError> {
        self.gone_is_fine(|aside| fs::remove_file(&aside.aside))
    }

    /// Another program that sweeps the same folder may have been faster.
    fn gone_is_fine(self, end: impl FnOnce(&Self) -> io::Result<()>) -> Result<(), BlobError> {
        match end(&self) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            ended => ended.map_err(|source| BlobError::Io { path: self.aside.clone(), source }),
        }
    }
}

/// A blob that is being written; dropped before [`BlobWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct BlobWriter {
    blobs: Blobs,
    path: PathBuf,
    file: File,
    hash: sha2::Sha256,
    size: u64,
    renamed: bool,
}

impl BlobWriter {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`], [`BlobError::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > MAX_TOTAL_SIZE {
            return Err(BlobError::TooLarge);
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(|source| BlobError::Io { path: self.path.clone(), source })
    }

    /// Bytes so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether what was written so far has this digest.
    ///
    /// # Errors
    /// [`BlobError::Mismatch`].
    pub fn check(&self, expected: &Digest) -> Result<(), BlobError> {
        let found = Digest::from_bytes(self.hash.clone().finalize().into());
        if found == *expected { Ok(()) } else { Err(BlobError::Mismatch { expected: *expected, found }) }
    }

    /// Checks the digest, syncs, and gives the blob its name.
    ///
    /// # Errors
    /// [`BlobError::Mismatch`], [`BlobError::Io`].
    pub fn finish(mut self, expected: &Digest) -> Result<(), BlobError> {
        self.check(expected)?;
        let target = self.blobs.path(expected);
        let settle = |path: &Path| {
            self.file.sync_all()?;
            fs::rename(path, &target)?;
            self.blobs.sync()
        };
        settle(&self.path).map_err(|source| BlobError::Io { path: self.path.clone(), source })?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.renamed {
            // Nothing to tell: `remove_leftovers` takes what stays.
            let _ = fs::remove_file(&self.path);
        }
    }
}
