//! `cargo xtask tidy`: the rules of the house that no compiler checks. Prints every finding, fails if there is one.

mod codes;
mod files;
mod floors;
mod locked;
mod tests_named;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages;

/// One broken rule and where.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    /// Relative to the repository, with the line where there is one.
    place: String,
    /// What is wrong, and what to do about it.
    text: String,
}

impl Finding {
    fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// One text file of the repository.
struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
}

/// Runs every check.
pub fn run(root: &Path) -> Result<()> {
    let packages = packages::read(root)?;
    let sources = read_sources(root)?;
    let mut findings = floors::check(root, &packages);
    findings.extend(files::check(&sources));
    findings.extend(codes::check(&sources));
    findings.extend(tests_named::check(&sources));
    findings.extend(locked::check(&packages, &sources));
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    println!("tidy: {} crates, {} files, nothing to say", packages.len(), sources.len());
    Ok(())
}

/// All text files that are committed or about to be.
fn read_sources(root: &Path) -> Result<Vec<Source>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("start git ls-files")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    }
    let listing = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let mut sources = Vec::new();
    for path in listing.split('\0').filter(|path| !path.is_empty()) {
        let file: PathBuf = root.join(path);
        // A file that was deleted but not yet committed so is listed; a link is not its target.
        if !fs::symlink_metadata(&file).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let bytes = fs::read(&file).with_context(|| format!("read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}
