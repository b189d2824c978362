//! One entry of an app's file system.

use alloc::string::String;

use names::Digest;
use serde::{Deserialize, Serialize};

use crate::FilePath;

/// A directory, a file or a symlink. There are no owners, times or permission bits besides "executable": the copy is
/// read-only and belongs to nobody inside the enclave, so they would say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Entry {
    /// A directory, mode 0555.
    Directory {
        /// Where it is.
        path: FilePath,
    },
    /// A regular file, mode 0555 or 0444.
    File {
        /// Where it is.
        path: FilePath,
        /// Whether it may be run.
        executable: bool,
        /// Its length in bytes.
        size: u64,
        /// SHA-256 of its content.
        sha256: Digest,
    },
    /// A symbolic link, followed only inside the app's file system.
    Symlink {
        /// Where it is.
        path: FilePath,
        /// What it says, not normalised.
        target: String,
    },
}

impl Entry {
    /// Where it is.
    #[must_use]
    pub const fn path(&self) -> &FilePath {
        match self {
            Self::Directory { path } | Self::File { path, .. } | Self::Symlink { path, .. } => path,
        }
    }

    /// Bytes of content.
    #[must_use]
    pub const fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Directory { .. } | Self::Symlink { .. } => 0,
        }
    }
}
