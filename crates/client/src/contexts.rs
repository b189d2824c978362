//! The contexts of this user by name: files in `contexts/` of the configuration folder, and which of them is current.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::context::{Context, ContextError, profiles_folder};
use crate::files::{self, FileError};

/// Longest name.
const NAME_BYTES: usize = 63;
/// Most contexts that are listed.
const LISTED: usize = 1000;

/// What a context is called on this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextName(String);

/// Why a text is no name of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a context's name is 1 to {NAME_BYTES} lower-case letters, digits and inner hyphens")]
pub struct NotAContextName;

impl ContextName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where a context of this name is kept.
    ///
    /// # Errors
    /// [`ContextError::NoFolder`].
    pub fn path(&self) -> Result<PathBuf, ContextError> {
        Ok(folder()?.join(format!("{self}.json")))
    }
}

impl FromStr for ContextName {
    type Err = NotAContextName;
    fn from_str(text: &str) -> Result<Self, NotAContextName> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let edges = !text.starts_with('-') && !text.ends_with('-');
        let good = !text.is_empty() && text.len() <= NAME_BYTES && edges && text.bytes().all(plain);
        good.then(|| Self(text.to_owned())).ok_or(NotAContextName)
    }
}

impl fmt::Display for ContextName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ContextName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// One context that this user has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name; the current context may be a file elsewhere, which has none.
    pub name: Option<ContextName>,
    /// Its file.
    pub path: PathBuf,
    /// Whether verbs use it now.
    pub current: bool,
    /// What it says, or why it can't be read.
    pub context: Result<Context, String>,
}

fn folder() -> Result<PathBuf, ContextError> {
    let current = Context::current_path()?;
    Ok(current.with_file_name("contexts"))
}

/// The file that a choice means: a name, where there is such a context; else a path.
///
/// # Errors
/// [`ContextError::NoFolder`].
pub fn resolve(choice: &Path) -> Result<PathBuf, ContextError> {
    let name = choice.to_str().and_then(|text| text.parse::<ContextName>().ok());
    let named = name.map(|name| name.path()).transpose()?;
    match named {
        Some(named) if named.exists() || !choice.exists() => Ok(named),
        Some(_) | None => Ok(choice.to_owned()),
    }
}

/// All contexts by name, and the current one if it is none of them.
///
/// # Errors
/// [`ContextError`] where the folder can't be read.
pub fn list() -> Result<Vec<Listed>, ContextError> {
    let folder = folder()?;
    let current = Context::current_path()?;
    let current = fs::canonicalize(&current).ok();
    let mut names: Vec<ContextName> = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(FileError::io("list", &folder)(error).into()),
        Ok(entries) => entries
            .flatten()
            .take(LISTED)
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok())
            .collect(),
    };
    names.sort();
    let read = |path: &Path| Context::load(path).map_err(|error| error.to_string());
    let mut listed = Vec::new();
    for name in names {
        let path = name.path()?;
        let current = current.is_some() && fs::canonicalize(&path).ok() == current;
        listed.push(Listed { name: Some(name), context: read(&path), path, current });
    }
    if let Some(path) = current.filter(|_| !listed.iter().any(|one| one.current)) {
        listed.insert(0, Listed { name: None, context: read(&path), path, current: true });
    }
    Ok(listed)
}

/// Keeps a new context under a name.
///
/// # Errors
/// [`ContextError::Exists`] where the name is in use.
pub fn create(name: &ContextName, context: &Context) -> Result<PathBuf, ContextError> {
    let path = name.path()?;
    if fs::symlink_metadata(&path).is_ok() {
        return Err(ContextError::Exists(name.clone()));
    }
    context.save(&path)?;
    Ok(path)
}

/// The users who have a key at this context.
#[must_use]
pub fn users(path: &Path) -> Vec<String> {
    let entries = profiles_folder(path).ok().and_then(|folder| fs::read_dir(folder).ok());
    let names = entries.into_iter().flatten().flatten().filter(|entry| entry.path().join("key.pk8").exists());
    names.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Forgets a context, and the keys and sessions of its users with it. Where it was the current one, there is none then.
///
/// # Errors
/// [`ContextError::Missing`], [`ContextError::File`].
pub fn delete(name: &ContextName) -> Result<(), ContextError> {
    let path = name.path()?;
    let found = fs::symlink_metadata(&path).map_err(|_| ContextError::Missing(path.clone()))?;
    let current = Context::current_path()?;
    let is_current = fs::canonicalize(&current).ok().is_some_and(|c| Some(c) == fs::canonicalize(&path).ok());
    // A link to a file elsewhere is only a name for it: what is beside that file stays.
    let users = path.with_extension("users");
    if found.is_file() && users.exists() {
        fs::remove_dir_all(&users).map_err(FileError::io("remove", &users))?;
    }
    files::remove(&path)?;
    let link = fs::symlink_metadata(&current).is_ok_and(|found| found.file_type().is_symlink());
    if is_current && link {
        files::remove(&current)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_not_a_path() {
        for good in ["work", "a-1", "0"] {
            assert!(good.parse::<ContextName>().is_ok(), "{good}");
        }
        let long = "a".repeat(NAME_BYTES + 1);
        for bad in ["", ".", "a/b", "a.json", "-a", "a-", "A", long.as_str()] {
            assert_eq!(bad.parse::<ContextName>(), Err(NotAContextName), "{bad}");
        }
    }
}
