//! From a specification to a manifest and the files behind it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use names::Digest;
use workload::{Entry, FilePath, Manifest, ManifestParts};

use crate::libraries::add_libraries;
use crate::plan::{PackError, Plan, Planned};
use crate::{AppSpec, hash_chunks};

/// How far [`pack`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files that were hashed.
    pub files_done: usize,
    /// Files in all.
    pub files: usize,
    /// Bytes that were hashed.
    pub bytes_done: u64,
}

/// An app that is ready to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// What it is.
    pub manifest: Manifest,
    /// A file of this machine for each content.
    pub sources: BTreeMap<Digest, PathBuf>,
}

/// Resolves a specification whose `from` paths are relative to `base`, and hashes every file.
///
/// # Errors
/// [`PackError`]: what can't be read, named or found, or the rule of a manifest that it breaks.
pub fn pack(spec: &AppSpec, base: &Path, mut progress: impl FnMut(Progress)) -> Result<Packed, PackError> {
    let mut plan = Plan::default();
    for file in &spec.files {
        plan.add_spec(base, file)?;
    }
    for directory in &spec.writable {
        plan.add(directory.clone(), Planned::Directory)?;
    }
    add_libraries(&mut plan)?;

    let files = plan.0.values().filter(|planned| matches!(planned, Planned::File { .. })).count();
    let mut at = Progress { files_done: 0, files, bytes_done: 0 };
    let mut sources = BTreeMap::new();
    let mut entries = Vec::with_capacity(plan.0.len());
    progress(at);
    for (path, planned) in plan.0 {
        let entry = match planned {
            Planned::Directory => Entry::Directory { path },
            Planned::Symlink { target } => Entry::Symlink { path, target },
            Planned::File { source, executable, .. } => {
                let (size, sha256) = hash_file(&source)?;
                sources.entry(sha256).or_insert(source);
                at.files_done += 1;
                at.bytes_done = at.bytes_done.saturating_add(size);
                progress(at);
                Entry::File { path, executable, size, sha256 }
            }
        };
        entries.push(entry);
    }
    let manifest = Manifest::try_from(parts(spec, entries))?;
    Ok(Packed { manifest, sources })
}

fn parts(spec: &AppSpec, entries: Vec<Entry>) -> ManifestParts {
    let mut writable: Vec<FilePath> = spec.writable.clone();
    writable.sort();
    writable.dedup();
    ManifestParts {
        command: spec.command.clone(),
        args: spec.args.clone(),
        env: spec.env.clone(),
        endpoint: spec.endpoint.clone(),
        entries,
        writable,
        resources: spec.resources,
    }
}

fn hash_file(source: &Path) -> Result<(u64, Digest), PackError> {
    let io = |error| PackError::Io { path: source.to_owned(), source: error };
    let file = File::open(source).map_err(io)?;
    hash_chunks(file, |_| Ok(())).map_err(io)
}
