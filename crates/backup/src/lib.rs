//! A data folder as one file, and back.
//!
//! The file is a tar (POSIX ustar/pax) whose last entry is the [`Manifest`]: digest, size and mode of every file before it. A file that
//! was cut off has no manifest, one that was changed does not fit it; [`restore`] builds the folder beside its place and moves it there
//! only when all of it was right.
//!
//! What belongs to a running process or to one boot is left out; so is what can be made again. Not here: encryption. The file holds
//! everything that the folder holds, so it is written with mode 0600 and belongs through `age` or onto a disk of the same trust.
//!
//! Called by `sealwright backup`.

mod create;
mod manifest;
mod restore;

pub use create::{Source, create};
pub use manifest::{Contents, Manifest};
pub use restore::restore;

use std::path::{Path, PathBuf};

/// Why there is no backup, or no folder made from one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder.
    #[error("{what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The backup itself can't be written or read.
    #[error("the backup file")]
    Archive(#[source] std::io::Error),
    /// It ends without its list of contents: it was cut off, or is no backup.
    #[error("not a whole backup: its list of contents is missing")]
    NoManifest,
    /// Its list of contents can't be read by this version.
    #[error("the list of contents can't be read")]
    Manifest(#[from] serde_json::Error),
    /// Written by a version with another form.
    #[error("a backup of the form {0:?}, which this version does not know")]
    Form(String),
    /// An entry that no backup of ours has: a link, a path that leads out, a file twice.
    #[error("an entry that no backup has: {0:?}")]
    Entry(String),
    /// A file is not what the list says.
    #[error("{0:?} is not what the list of contents says")]
    Changed(String),
    /// More than a backup may hold.
    #[error("more than {0} files")]
    TooMany(usize),
    /// Something is where the folder should go.
    #[error("{} exists: name a folder that does not", .0.display())]
    Exists(PathBuf),
}

pub(crate) fn at<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> BackupError + use<'a> {
    move |source| BackupError::File { what, path: path.to_path_buf(), source }
}
