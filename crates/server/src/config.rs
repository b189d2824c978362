//! One YAML file per service, into typed fields; unknown fields are refused by the types.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Largest configuration file.
const MAX_BYTES: u64 = 1 << 20;

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("read configuration {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is larger than any configuration is.
    #[error("configuration {path} is larger than {MAX_BYTES} bytes")]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The text is not what the service understands; the message has line and column.
    #[error("configuration {path}: {message}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// The parser's word.
        message: String,
    },
}

/// Reads one YAML file.
///
/// # Errors
/// [`ConfigError`], naming the file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let read_error = |source| ConfigError::Read { path: path.to_path_buf(), source };
    if std::fs::metadata(path).map_err(read_error)?.len() > MAX_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_path_buf() });
    }
    let text = std::fs::read_to_string(path).map_err(read_error)?;
    serde_saphyr::from_str(&text)
        .map_err(|error| ConfigError::Parse { path: path.to_path_buf(), message: error.to_string() })
}
