//! One YAML file per service, into typed fields; unknown fields are refused by the types.

use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

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

/// One value where most have one, or a list of them; never none.
///
/// # Errors
/// For an empty list, and what is neither.
pub fn one_or_more<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore<T> {
        One(T),
        More(Vec<T>),
    }
    match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(one) => Ok(vec![one]),
        OneOrMore::More(more) if more.is_empty() => Err(D::Error::custom("at least one is needed")),
        OneOrMore::More(more) => Ok(more),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Part {
        #[serde(deserialize_with = "one_or_more")]
        controller: Vec<PathBuf>,
    }

    #[test]
    fn one_is_a_list_of_one_and_none_is_refused() {
        let read = |text: &str| serde_saphyr::from_str::<Part>(text).ok().map(|part| part.controller);
        assert_eq!(read("controller: /run/a.sock"), Some(vec!["/run/a.sock".into()]));
        assert_eq!(read("controller: [/run/a.sock, /run/b.sock]").map(|all| all.len()), Some(2));
        for wrong in ["controller: []", "controller: {a: b}", "{}"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
