//! The manifest: everything that makes a version what it is. A value of it obeys every rule named here.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Entry, FilePath, MAX_PATH};

/// Most entries of one file system.
pub const MAX_ENTRIES: usize = 20_000;
/// Most bytes of all files together.
pub const MAX_TOTAL_SIZE: u64 = 4 << 30;
/// Most arguments.
pub const MAX_ARGUMENTS: usize = 1024;
/// Most environment variables.
pub const MAX_ENVIRONMENT: usize = 1024;
/// Longest argument and longest name or value of the environment, in bytes.
pub const MAX_TEXT: usize = 32 * 1024;
/// Most writable directories.
pub const MAX_WRITABLE: usize = 64;
/// Most symlinks on the way to one file: Linux's `MAXSYMLINKS`.
const MAX_LINKS: usize = 40;
/// The kernel's and the sandbox's own directories.
const RESERVED: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Variables that act on the loader and the C library of every program: glibc's `unsecvars.h`, the part that loads code
/// or data. The host's own tools carry the app's environment for a moment, outside its root, before they become the app.
const LOADER_VARIABLES: [&str; 5] = ["GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "MALLOC_TRACE"];
const LOADER_PREFIX: &str = "LD_";

/// Where the app listens, seen from inside its enclave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// TCP on 127.0.0.1.
    Port(u16),
    /// A Unix stream socket inside a writable directory.
    Socket(FilePath),
}

/// What the app may use. `None` sets no limit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Address space of each process, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processes and threads at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
}

/// A manifest before it was checked: the JSON form of [`Manifest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestParts {
    /// The executable: a file with the executable bit, or a symlink that leads to one.
    pub command: FilePath,
    /// Its arguments, without its own name.
    pub args: Vec<String>,
    /// All of its environment.
    pub env: BTreeMap<String, String>,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Its file system, sorted by path; the root is not among them, every other directory is.
    pub entries: Vec<Entry>,
    /// Directories of `entries` that are fresh and writable at each start, sorted; nothing is below them.
    pub writable: Vec<FilePath>,
    /// Its limits.
    pub resources: Resources,
}

/// What an application is. Made from [`ManifestParts`] only, by `try_from` or by serde; never changed afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ManifestParts", into = "ManifestParts")]
pub struct Manifest(ManifestParts);

/// Why parts are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More than [`MAX_ENTRIES`].
    #[error("more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// More than [`MAX_TOTAL_SIZE`].
    #[error("the files hold more than {MAX_TOTAL_SIZE} bytes together")]
    TooLarge,
    /// Too many or too long arguments, or one with a NUL byte.
    #[error("argument {0} is too long, one too many, or holds a NUL byte")]
    Argument(usize),
    /// Too many or too long environment variables, or one with a bad name or a NUL byte.
    #[error("environment variable {0:?} is badly named, too long, one too many, or holds a NUL byte")]
    Environment(String),
    /// A variable that would load code into the tools that start the app, outside its root.
    #[error("environment variable {0} steers the loader and can't be set")]
    LoaderVariable(String),
    /// Not in ascending order of paths, or twice the same path.
    #[error("{0} is not in its place of the sorted list, or is there twice")]
    NotSorted(FilePath),
    /// The directory that should hold it is not an entry, or is not a directory.
    #[error("the parent of {0} is not a directory of the list")]
    NoParent(FilePath),
    /// At or below a directory that the sandbox fills itself.
    #[error("{0} belongs to the kernel")]
    Reserved(FilePath),
    /// A symlink's target is empty, too long, or holds a control character.
    #[error("the target of the symlink {0} is empty, too long, or holds a control character")]
    Target(FilePath),
    /// A writable directory is not a directory of the list, or holds entries, or is below another, or is one too many.
    #[error("{0} can't be writable: it is no empty directory of the list, or lies in another writable one")]
    Writable(FilePath),
    /// Nothing executable is there.
    #[error("the command {0} does not lead to an executable file of the list")]
    Command(FilePath),
    /// Port 0, or a socket outside the writable directories.
    #[error("the endpoint is port 0 or a socket outside the writable directories")]
    Endpoint,
    /// A limit of zero.
    #[error("a limit of zero lets nothing run")]
    Resources,
}

impl TryFrom<ManifestParts> for Manifest {
    type Error = ManifestError;
    fn try_from(parts: ManifestParts) -> Result<Self, ManifestError> {
        check_call(&parts)?;
        check_entries(&parts.entries)?;
        let tree = Tree::of(&parts.entries);
        check_writable(&parts, &tree)?;
        if !tree.leads_to_executable(&parts.command) {
            return Err(ManifestError::Command(parts.command));
        }
        let reachable = match &parts.endpoint {
            Endpoint::Port(port) => *port != 0,
            Endpoint::Socket(path) => parts.writable.iter().any(|dir| path != dir && path.is_within(dir)),
        };
        if !reachable {
            return Err(ManifestError::Endpoint);
        }
        if parts.resources.memory == Some(0) || parts.resources.processes == Some(0) {
            return Err(ManifestError::Resources);
        }
        Ok(Self(parts))
    }
}

impl From<Manifest> for ManifestParts {
    fn from(manifest: Manifest) -> Self {
        manifest.0
    }
}

impl Manifest {
    /// The executable.
    #[must_use]
    pub const fn command(&self) -> &FilePath {
        &self.0.command
    }

    /// Its arguments.
    #[must_use]
    pub fn args(&self) -> &[String] {
        &self.0.args
    }

    /// All of its environment.
    #[must_use]
    pub const fn env(&self) -> &BTreeMap<String, String> {
        &self.0.env
    }

    /// Where it listens.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Its file system, sorted by path.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0.entries
    }

    /// Its writable directories, sorted.
    #[must_use]
    pub fn writable(&self) -> &[FilePath] {
        &self.0.writable
    }

    /// Its limits.
    #[must_use]
    pub const fn resources(&self) -> &Resources {
        &self.0.resources
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn total_size(&self) -> u64 {
        self.entries().iter().map(Entry::size).sum()
    }
}

fn check_call(parts: &ManifestParts) -> Result<(), ManifestError> {
    let good = |text: &str| text.len() <= MAX_TEXT && !text.contains('\0');
    for (index, arg) in parts.args.iter().enumerate() {
        if index >= MAX_ARGUMENTS || !good(arg) {
            return Err(ManifestError::Argument(index));
        }
    }
    for (index, (name, value)) in parts.env.iter().enumerate() {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let first = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if index >= MAX_ENVIRONMENT || !plain || !first || !good(name) || !good(value) {
            return Err(ManifestError::Environment(name.chars().take(64).collect()));
        }
        if name.starts_with(LOADER_PREFIX) || LOADER_VARIABLES.contains(&name.as_str()) {
            return Err(ManifestError::LoaderVariable(name.clone()));
        }
    }
    Ok(())
}

fn check_entries(entries: &[Entry]) -> Result<(), ManifestError> {
    if entries.len() > MAX_ENTRIES {
        return Err(ManifestError::TooManyEntries);
    }
    let mut total: u64 = 0;
    let mut previous: Option<&FilePath> = None;
    let mut directories = BTreeSet::new();
    for entry in entries {
        let path = entry.path();
        if previous.is_some_and(|previous| previous >= path) {
            return Err(ManifestError::NotSorted(path.clone()));
        }
        if RESERVED.iter().any(|reserved| first_component(path) == *reserved) {
            return Err(ManifestError::Reserved(path.clone()));
        }
        // A parent's path is a prefix of its child's, so it sorts before it: one pass is enough.
        if path.parent().is_some_and(|parent| !directories.contains(parent.as_str())) {
            return Err(ManifestError::NoParent(path.clone()));
        }
        match entry {
            Entry::Directory { path } => {
                directories.insert(path.as_str());
            }
            Entry::File { size, .. } => {
                total = total.checked_add(*size).ok_or(ManifestError::TooLarge)?;
            }
            Entry::Symlink { path, target } => {
                if target.is_empty() || target.len() > MAX_PATH || target.chars().any(char::is_control) {
                    return Err(ManifestError::Target(path.clone()));
                }
            }
        }
        previous = Some(path);
    }
    if total > MAX_TOTAL_SIZE {
        return Err(ManifestError::TooLarge);
    }
    Ok(())
}

fn first_component(path: &FilePath) -> &str {
    let end = path.relative().find('/').map_or(path.as_str().len(), |slash| slash + 1);
    path.as_str().get(..end).unwrap_or(path.as_str())
}

fn check_writable(parts: &ManifestParts, tree: &Tree<'_>) -> Result<(), ManifestError> {
    let mut previous: Option<&FilePath> = None;
    for (index, path) in parts.writable.iter().enumerate() {
        if previous.is_some_and(|previous| previous >= path) {
            return Err(ManifestError::NotSorted(path.clone()));
        }
        // Everything below a directory sorts after it and begins with it and a slash.
        let below = alloc::format!("{path}/");
        let filled = tree.0.range(below.as_str()..).next().is_some_and(|(next, _)| next.starts_with(&below));
        let nested = parts.writable.iter().any(|other| other != path && path.is_within(other));
        let directory = matches!(tree.0.get(path.as_str()), Some(Entry::Directory { .. }));
        if index >= MAX_WRITABLE || !directory || filled || nested {
            return Err(ManifestError::Writable(path.clone()));
        }
        previous = Some(path);
    }
    Ok(())
}

/// The entries by path, to look up what a path leads to.
struct Tree<'a>(BTreeMap<&'a str, &'a Entry>);

impl<'a> Tree<'a> {
    fn of(entries: &'a [Entry]) -> Self {
        Self(entries.iter().map(|entry| (entry.path().as_str(), entry)).collect())
    }

    /// Follows symlinks as the kernel would inside the root.
    fn leads_to_executable(&self, path: &FilePath) -> bool {
        let mut links = 0;
        let mut rest: Vec<String> = path.relative().rsplit('/').map(ToString::to_string).collect();
        let mut at = String::new();
        while let Some(component) = rest.pop() {
            match component.as_str() {
                "" | "." => continue,
                ".." => {
                    at.truncate(at.rfind('/').unwrap_or(0));
                    continue;
                }
                name => {
                    at.push('/');
                    at.push_str(name);
                }
            }
            match self.0.get(at.as_str()) {
                Some(Entry::Directory { .. }) => {}
                Some(Entry::File { executable, .. }) => return *executable && rest.is_empty(),
                Some(Entry::Symlink { target, .. }) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return false;
                    }
                    let base = if target.starts_with('/') { 0 } else { at.rfind('/').unwrap_or(0) };
                    at.truncate(base);
                    rest.extend(target.rsplit('/').map(ToString::to_string));
                }
                None => return false,
            }
        }
        false
    }
}
