//! The list of contents.

use std::collections::BTreeMap;

use names::Digest;
use serde::{Deserialize, Serialize};

use crate::BackupError;

/// The last entry of each backup.
pub(crate) const MANIFEST: &str = "manifest.json";
const FORM: &str = "sealwright/backup/v1";
/// Files of one backup.
pub(crate) const FILES: usize = 1_000_000;
/// Largest list of contents.
pub(crate) const MANIFEST_BYTES: u64 = 256 << 20;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    form: String,
    /// Unix seconds.
    pub created_at: u64,
    /// The version that wrote it.
    pub version: String,
    /// What is in it beside files.
    pub contents: Contents,
    /// Every file by its path below the data folder.
    pub files: BTreeMap<String, Entry>,
}

/// What may be left out, and was or was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// The SQLite database. Without it the users are in a PostgreSQL that has backups of its own.
    pub database: bool,
    /// The software TPM's state, and with it the CA: whoever has it can be this node and this CA.
    pub tpm: bool,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Bytes.
    pub size: u64,
    /// The owner's permission bits; others get none.
    pub mode: u32,
    /// SHA-256.
    pub sha256: Digest,
}

impl Manifest {
    pub(crate) fn new(created_at: u64, contents: Contents) -> Self {
        Self {
            form: FORM.to_owned(),
            created_at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            contents,
            files: BTreeMap::new(),
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BackupError> {
        #[derive(Deserialize)]
        struct Form {
            form: String,
        }
        // The form first: a newer one may have fields that this version does not know.
        let Form { form } = serde_json::from_slice(bytes)?;
        if form == FORM { Ok(serde_json::from_slice(bytes)?) } else { Err(BackupError::Form(form)) }
    }
}
