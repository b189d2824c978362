//! What `--ready-file` gets when everything answers.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The gateway.
    pub url: String,
    /// `HOST:PORT` of the edge.
    pub edge: String,
    /// The CA's root certificate, PEM.
    pub ca_file: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// The process.
    pub pid: u32,
}

impl Ready {
    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, path: &Path) -> Result<()> {
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(self)?)
            .with_context(|| format!("write {}", fresh.display()))?;
        std::fs::rename(&fresh, path).with_context(|| format!("write {}", path.display()))
    }
}
