//! Files by their SHA-256, in one flat folder.
//!
//! A name is there only after its content was hashed, synced and renamed into place, so a crash leaves no false blob.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use names::Digest;
use sha2::Digest as _;
use workload::MAX_TOTAL_SIZE;

const TEMPORARY: &str = ".incoming-";
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

    /// Checks the digest, syncs, and gives the blob its name.
    ///
    /// # Errors
    /// [`BlobError::Mismatch`], [`BlobError::Io`].
    pub fn finish(mut self, expected: &Digest) -> Result<(), BlobError> {
        let found = Digest::from_bytes(self.hash.clone().finalize().into());
        if found != *expected {
            return Err(BlobError::Mismatch { expected: *expected, found });
        }
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
