//! The measured copy: the read-only file system that an enclave runs from.
//!
//! `materialise` fills `TARGET.partial-PID-N/rootfs` from blobs, hashes every byte on its way into the copy, takes all
//! write permissions away, and only then renames the folder to `TARGET`. So a `TARGET` that this process made, or has
//! found and checked with [`verify_copy`], is complete and equal to its manifest. One that a former run left must be
//! checked at its first use: nothing is synced to disk here (a machine that crashes may leave holes), and what happened
//! to the disk since then nobody knows. Blobs are synced, so a copy can always be made again.
//! Nobody inside an enclave can change it: it is mounted read-only there, and its files belong to another user.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use names::Digest;
use workload::{Entry, FilePath, Manifest};

use crate::blobs::BlobError;
use crate::{Blobs, hash_chunks};

const PARTIAL: &str = ".partial-";
/// Directories that every root has, for the sandbox to mount on.
const MOUNT_POINTS: [&str; 2] = ["dev", "proc"];
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Why there is no measured copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A blob is missing or unreadable.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A file's bytes are not what the manifest says.
    #[error("{path} has the digest {found} and not the manifest's {expected}")]
    Content {
        /// Which file.
        path: FilePath,
        /// The manifest's digest.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// Something is there that is not in the manifest, or the other way round, or has another type or other rights.
    #[error("{} is not what the manifest says", .0.display())]
    Differs(PathBuf),
    /// The file system said no.
    #[error("{}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Whether [`materialise`] had work to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Materialised {
    /// The copy was made.
    Made,
    /// The copy was there.
    Found,
}

/// The root of the app's file system in a measured copy.
#[must_use]
pub fn rootfs(target: &Path) -> PathBuf {
    target.join("rootfs")
}

/// Makes the measured copy at `target` unless it is there.
///
/// # Errors
/// [`CopyError`]; then `target` is as it was.
pub fn materialise(manifest: &Manifest, blobs: &Blobs, target: &Path) -> Result<Materialised, CopyError> {
    if target.exists() {
        return Ok(Materialised::Found);
    }
    let partial = partial_dir(target)?;
    let made = fill(manifest, blobs, &partial).and_then(|()| {
        let io = |source| CopyError::Io { path: target.to_owned(), source };
        match fs::rename(&partial, target) {
            Ok(()) => Ok(Materialised::Made),
            // Somebody else was faster, with the same bytes.
            Err(_) if target.exists() => Ok(Materialised::Found),
            Err(source) => Err(io(source)),
        }
    });
    if !matches!(made, Ok(Materialised::Made)) {
        remove_copy(&partial)?;
    }
    made
}

fn partial_dir(target: &Path) -> Result<PathBuf, CopyError> {
    loop {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut name = target.as_os_str().to_owned();
        name.push(format!("{PARTIAL}{}-{count}", std::process::id()));
        let partial = PathBuf::from(name);
        match fs::DirBuilder::new().mode(0o755).create(&partial) {
            Ok(()) => return Ok(partial),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(CopyError::Io { path: partial, source }),
        }
    }
}

fn fill(manifest: &Manifest, blobs: &Blobs, partial: &Path) -> Result<(), CopyError> {
    let root = rootfs(partial);
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| CopyError::Io { path, source }
    };
    fs::DirBuilder::new().mode(0o755).create(&root).map_err(at(&root))?;
    let mut directories = vec![root.clone()];
    for name in MOUNT_POINTS {
        let path = root.join(name);
        fs::DirBuilder::new().mode(0o755).create(&path).map_err(at(&path))?;
        directories.push(path);
    }
    for entry in manifest.entries() {
        let path = root.join(entry.path().relative());
        match entry {
            Entry::Directory { .. } => {
                fs::DirBuilder::new().mode(0o755).create(&path).map_err(at(&path))?;
                directories.push(path);
            }
            Entry::Symlink { target, .. } => symlink(target, &path).map_err(at(&path))?,
            Entry::File { path: name, executable, size, sha256 } => {
                copy_file(blobs, sha256, &path, *executable)
                    .and_then(|found| same(name, (*size, *sha256), found))?;
            }
        }
    }
    for directory in directories {
        fs::set_permissions(&directory, Permissions::from_mode(0o555)).map_err(at(&directory))?;
    }
    // Whatever the umask is, other users' enclaves must reach the root.
    fs::set_permissions(partial, Permissions::from_mode(0o755)).map_err(at(partial))
}

fn copy_file(
    blobs: &Blobs,
    digest: &Digest,
    path: &Path,
    executable: bool,
) -> Result<(u64, Digest), CopyError> {
    let blob = blobs.open(digest)?;
    let io = |source| CopyError::Io { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    let found = hash_chunks(blob, |bytes| file.write_all(bytes)).map_err(io)?;
    file.set_permissions(Permissions::from_mode(file_mode(executable))).map_err(io)?;
    Ok(found)
}

const fn file_mode(executable: bool) -> u32 {
    if executable { 0o555 } else { 0o444 }
}

fn same(path: &FilePath, expected: (u64, Digest), found: (u64, Digest)) -> Result<(), CopyError> {
    if expected == found {
        return Ok(());
    }
    Err(CopyError::Content { path: path.clone(), expected: expected.1, found: found.1 })
}

/// Hashes a copy again and compares it with its manifest: every entry, nothing besides.
///
/// # Errors
/// [`CopyError::Content`], [`CopyError::Differs`], [`CopyError::Io`].
pub fn verify_copy(manifest: &Manifest, target: &Path) -> Result<(), CopyError> {
    let root = rootfs(target);
    let mut expected: BTreeSet<PathBuf> = MOUNT_POINTS.iter().map(|name| root.join(name)).collect();
    for entry in manifest.entries() {
        let path = root.join(entry.path().relative());
        let io = |source| CopyError::Io { path: path.clone(), source };
        let differs = || CopyError::Differs(path.clone());
        let metadata = fs::symlink_metadata(&path).map_err(|_| differs())?;
        let mode = metadata.permissions().mode() & 0o7777;
        match entry {
            Entry::Directory { .. } if metadata.is_dir() && mode == 0o555 => {}
            Entry::Symlink { target, .. } if metadata.is_symlink() => {
                if fs::read_link(&path).map_err(io)? != Path::new(target) {
                    return Err(differs());
                }
            }
            Entry::File { path: name, executable, size, sha256 }
                if metadata.is_file() && mode == file_mode(*executable) =>
            {
                let file = File::open(&path).map_err(io)?;
                same(name, (*size, *sha256), hash_chunks(file, |_| Ok(())).map_err(io)?)?;
            }
            Entry::Directory { .. } | Entry::Symlink { .. } | Entry::File { .. } => return Err(differs()),
        }
        expected.insert(path);
    }
    nothing_besides(&root, &expected)
}

fn nothing_besides(directory: &Path, expected: &BTreeSet<PathBuf>) -> Result<(), CopyError> {
    let io = |source| CopyError::Io { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !expected.contains(&entry.path()) {
            return Err(CopyError::Differs(entry.path()));
        }
        if entry.file_type().map_err(io)?.is_dir() {
            nothing_besides(&entry.path(), expected)?;
        }
    }
    Ok(())
}

/// Removes a copy, whose directories can't be written as they are.
///
/// # Errors
/// [`CopyError::Io`].
pub fn remove_copy(target: &Path) -> Result<(), CopyError> {
    let io = |source| CopyError::Io { path: target.to_owned(), source };
    make_writable(target).and_then(|()| fs::remove_dir_all(target)).map_err(io)
}

/// Removes a copy that others may look for: its name goes first, so that after a crash there is no half of it, but what
/// [`remove_leftovers`] removes.
///
/// # Errors
/// [`CopyError::Io`].
pub fn discard_copy(target: &Path) -> Result<(), CopyError> {
    let partial = partial_dir(target)?;
    fs::rename(target, &partial).map_err(|source| CopyError::Io { path: target.to_owned(), source })?;
    remove_copy(&partial)
}

fn make_writable(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the unfinished copies that a crash left in the folder of copies; call it before the first [`materialise`].
///
/// # Errors
/// [`CopyError::Io`].
pub fn remove_leftovers(copies: &Path) -> Result<(), CopyError> {
    let io = |source| CopyError::Io { path: copies.to_owned(), source };
    for entry in fs::read_dir(copies).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_name().to_string_lossy().contains(PARTIAL) {
            remove_copy(&entry.path())?;
        }
    }
    Ok(())
}
