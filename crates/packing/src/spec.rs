//! `app.yaml`: what a publisher writes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de};
use workload::{AppName, AppVersion, Endpoint, FilePath, Resources};

const MAX_YAML: usize = 1 << 20;

/// Why a text is not an app specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not the YAML that it should be.
    #[error("line {line}, column {column}: {message}")]
    Yaml {
        /// Line, from 1; 0 where the parser could not say.
        line: u64,
        /// Column, from 1; 0 where the parser could not say.
        column: u64,
        /// What is wrong.
        message: String,
    },
    /// Larger than a mebibyte.
    #[error("the file is larger than {MAX_YAML} bytes")]
    TooLarge,
    /// Neither `port` nor `socket`, or both.
    #[error("exactly one of `port` and `socket` must be given")]
    Endpoint,
}

/// One entry of `files`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// A file or a directory of this machine, relative to the folder of `app.yaml`.
    pub from: PathBuf,
    /// Where it goes; `/` for a directory that is the whole root.
    #[serde(deserialize_with = "destination")]
    pub to: Option<FilePath>,
    /// Whether the shared objects and the loader that it needs come along.
    #[serde(default)]
    pub libraries: bool,
    /// Whether it may be missing on this machine; then nothing takes its place.
    #[serde(default)]
    pub optional: bool,
    /// Names (`tests`, `*.pyc`) or paths below `from` (`lib/test`) that stay behind; `*` stands for part of one name.
    #[serde(default)]
    pub exclude: Vec<String>,
}

/// A parsed `app.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSpec {
    /// The app.
    pub name: AppName,
    /// The version.
    pub version: AppVersion,
    /// The executable, as a path inside the app's file system.
    pub command: FilePath,
    /// Its arguments.
    pub args: Vec<String>,
    /// All of its environment.
    pub env: BTreeMap<String, String>,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What its file system holds.
    pub files: Vec<FileSpec>,
    /// Directories that are fresh and writable at each start.
    pub writable: Vec<FilePath>,
    /// Its limits.
    pub resources: Resources,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Yaml {
    name: AppName,
    version: AppVersion,
    command: FilePath,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    port: Option<u16>,
    socket: Option<FilePath>,
    files: Vec<FileSpec>,
    #[serde(default)]
    writable: Vec<FilePath>,
    #[serde(default)]
    resources: YamlResources,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct YamlResources {
    #[serde(default, deserialize_with = "memory")]
    memory: Option<u64>,
    processes: Option<u32>,
}

impl AppSpec {
    /// Reads an `app.yaml`.
    ///
    /// # Errors
    /// [`SpecError`], with the line where there is one.
    pub fn from_yaml(text: &str) -> Result<Self, SpecError> {
        if text.len() > MAX_YAML {
            return Err(SpecError::TooLarge);
        }
        let yaml: Yaml = serde_saphyr::from_str(text).map_err(|error| {
            let location = error.location();
            SpecError::Yaml {
                line: location.map_or(0, |at| at.line()),
                column: location.map_or(0, |at| at.column()),
                message: error.without_snippet().to_string(),
            }
        })?;
        let endpoint = match (yaml.port, yaml.socket) {
            (Some(port), None) => Endpoint::Port(port),
            (None, Some(path)) => Endpoint::Socket(path),
            (None, None) | (Some(_), Some(_)) => return Err(SpecError::Endpoint),
        };
        Ok(Self {
            name: yaml.name,
            version: yaml.version,
            command: yaml.command,
            args: yaml.args,
            env: yaml.env,
            endpoint,
            files: yaml.files,
            writable: yaml.writable,
            resources: Resources { memory: yaml.resources.memory, processes: yaml.resources.processes },
        })
    }
}

fn destination<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FilePath>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "/" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(de::Error::custom)
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    bytes(&text)
        .map(Some)
        .ok_or_else(|| de::Error::custom("a size is a whole number with KiB, MiB or GiB: 256MiB"))
}

fn bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let (number, shift) = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))?;
    let number: u64 = number.trim_end().parse().ok()?;
    number.checked_mul(1 << shift)
}
