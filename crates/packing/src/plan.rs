//! The list of what will be packed, before anything is read: paths of the app, and where each comes from.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use workload::{FilePath, MAX_ENTRIES, ManifestError, PathError};

use crate::FileSpec;

/// Deepest directory that is packed.
const MAX_DEPTH: usize = 64;

/// Why an app can't be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Reading a file or a directory did not work.
    #[error("{}", .path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file name that is not UTF-8, or a path that an app can't have.
    #[error("{} has a name that an app can't have", .path.display())]
    Name {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: Option<PathError>,
    },
    /// A socket, a pipe or a device.
    #[error("{} is neither a file, a directory nor a symlink", .0.display())]
    Special(PathBuf),
    /// Two different things for one path.
    #[error("{0} comes from two places")]
    Conflict(FilePath),
    /// A directory tree without end.
    #[error("{} is more than {MAX_DEPTH} directories deep", .0.display())]
    TooDeep(PathBuf),
    /// More entries than a manifest may have.
    #[error("more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// A single file must not go to `/`.
    #[error("{} is a file and can't be the root", .0.display())]
    FileAsRoot(PathBuf),
    /// A shared object was not found in the usual directories.
    #[error("{needed_by} needs the shared object {name}, which is in none of the usual directories")]
    Library {
        /// Its name.
        name: String,
        /// Who needs it.
        needed_by: FilePath,
    },
    /// An executable whose headers make no sense.
    #[error("{} begins like an ELF file and is none", .0.display())]
    Elf(PathBuf),
    /// The result is no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// What goes to one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Planned {
    Directory,
    File { source: PathBuf, executable: bool, libraries: bool },
    Symlink { target: String },
}

/// The app's file system by path. Every parent of an entry is an entry.
#[derive(Default)]
pub(crate) struct Plan(pub(crate) BTreeMap<FilePath, Planned>);

impl Plan {
    /// Adds what one line of `files` names.
    pub(crate) fn add_spec(&mut self, base: &Path, spec: &FileSpec) -> Result<(), PackError> {
        let from = base.join(&spec.from);
        let metadata = match fs::metadata(&from) {
            Err(error) if spec.optional && error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.map_err(|source| PackError::Io { path: from.clone(), source })?,
        };
        let walk = Walk { top: &from, spec };
        if metadata.is_dir() {
            if let Some(to) = &spec.to {
                self.add(to.clone(), Planned::Directory)?;
            }
            return self.add_directory(&walk, &from, spec.to.as_ref(), 0);
        }
        let Some(to) = spec.to.clone() else { return Err(PackError::FileAsRoot(from)) };
        self.add_file(&walk, to, from.clone(), &metadata)
    }

    fn add_directory(
        &mut self,
        walk: &Walk<'_>,
        from: &Path,
        to: Option<&FilePath>,
        depth: usize,
    ) -> Result<(), PackError> {
        if depth > MAX_DEPTH {
            return Err(PackError::TooDeep(from.to_owned()));
        }
        let io = |source| PackError::Io { path: from.to_owned(), source };
        for child in fs::read_dir(from).map_err(io)? {
            let child = child.map_err(io)?;
            let source = child.path();
            let name = child.file_name();
            let named = |source_error| PackError::Name { path: source.clone(), source: source_error };
            let name = name.to_str().ok_or_else(|| named(None))?;
            if walk.excludes(&source, name) {
                continue;
            }
            let path = match to {
                Some(to) => to.join(name),
                None => format!("/{name}").parse(),
            };
            let path = path.map_err(|error| named(Some(error)))?;
            let metadata = fs::symlink_metadata(&source)
                .map_err(|error| PackError::Io { path: source.clone(), source: error })?;
            if metadata.is_dir() {
                self.add(path.clone(), Planned::Directory)?;
                self.add_directory(walk, &source, Some(&path), depth + 1)?;
            } else if metadata.is_symlink() {
                let target = fs::read_link(&source)
                    .map_err(|error| PackError::Io { path: source.clone(), source: error })?;
                let target = target.to_str().ok_or_else(|| named(None))?.to_owned();
                self.add(path, Planned::Symlink { target })?;
            } else {
                self.add_file(walk, path, source, &metadata)?;
            }
        }
        Ok(())
    }

    fn add_file(
        &mut self,
        walk: &Walk<'_>,
        to: FilePath,
        source: PathBuf,
        metadata: &fs::Metadata,
    ) -> Result<(), PackError> {
        if !metadata.is_file() {
            return Err(PackError::Special(source));
        }
        let executable = metadata.permissions().mode() & 0o111 != 0;
        self.add(to, Planned::File { source, executable, libraries: walk.spec.libraries })
    }

    /// Adds one entry and the directories above it. The same thing twice is fine, two things at one path are not.
    pub(crate) fn add(&mut self, path: FilePath, planned: Planned) -> Result<(), PackError> {
        let mut parent = path.parent();
        while let Some(directory) = parent {
            parent = directory.parent();
            self.0.entry(directory).or_insert(Planned::Directory);
        }
        if self.0.len() > MAX_ENTRIES {
            return Err(PackError::TooManyEntries);
        }
        match self.0.get(&path) {
            None => {
                self.0.insert(path, planned);
                Ok(())
            }
            Some(there) if *there == planned => Ok(()),
            Some(_) => Err(PackError::Conflict(path)),
        }
    }
}

/// One walk through a directory of the host.
struct Walk<'a> {
    top: &'a Path,
    spec: &'a FileSpec,
}

impl Walk<'_> {
    fn excludes(&self, source: &Path, name: &str) -> bool {
        let below = source.strip_prefix(self.top).ok().and_then(Path::to_str).unwrap_or(name);
        self.spec.exclude.iter().any(|pattern| {
            if pattern.contains('/') {
                matches(pattern.trim_matches('/'), below)
            } else {
                matches(pattern, name)
            }
        })
    }
}

/// Whether `text` has the form of `pattern`, in which `*` stands for any number of characters other than `/`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    let end = rest.find('/').unwrap_or(rest.len());
    (0..=end).filter_map(|at| rest.get(at..)).any(|tail| matches(after, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_part_of_one_name() {
        let cases = [
            ("tests", "tests", true),
            ("tests", "test", false),
            ("*.pyc", "a.pyc", true),
            ("*.pyc", "a.py", false),
            ("lib*.so.*", "libc.so.6", true),
            ("a/*/c", "a/b/c", true),
            ("a/*", "a/b/c", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
