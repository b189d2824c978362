//! The workspace's crates as `cargo metadata` tells them: name, folder, floor, dependencies.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Who may know whom; see ARCHITECTURE.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// No I/O, clock, randomness or async.
    Pure,
    /// One outside world each.
    Io,
    /// A part of the system, with `run(config)`.
    Service,
    /// Composes everything.
    Tool,
}

impl Floor {
    /// The floor of `package.metadata.floor`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "pure" => Some(Self::Pure),
            "io" => Some(Self::Io),
            "service" => Some(Self::Service),
            "tool" => Some(Self::Tool),
            _ => None,
        }
    }

    /// Whether a crate of this floor may depend on one of the other.
    pub fn may_know(self, other: Self) -> bool {
        match self {
            Self::Pure => other == Self::Pure,
            Self::Io | Self::Service => matches!(other, Self::Pure | Self::Io),
            Self::Tool => true,
        }
    }
}

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// In the program.
    Normal,
    /// In the build script.
    Build,
    /// In the tests only.
    Tests,
}

/// One entry of a crate's dependency tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The crate's name, not its alias.
    pub name: String,
    /// What it is for.
    pub used_for: Use,
    /// Whether its default features are on.
    pub default_features: bool,
    /// Whether it is a folder of this repository.
    pub ours: bool,
}

/// One crate of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name in Cargo.toml.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What `package.metadata.floor` says; none where it says nothing or something unknown.
    pub floor: Option<Floor>,
    /// All its dependency tables.
    pub dependencies: Vec<Dependency>,
}

/// Asks cargo for the workspace's own crates.
pub fn read(root: &Path) -> Result<Vec<Package>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("start cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("read the answer of cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    packages.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let text = |field: &str| value[field].as_str().with_context(|| format!("a package has no {field}"));
    let manifest = PathBuf::from(text("manifest_path")?);
    let dependencies = value["dependencies"].as_array().context("a package has no dependencies")?;
    Ok(Package {
        name: text("name")?.to_owned(),
        folder: manifest.parent().context("a manifest lies in a folder")?.to_path_buf(),
        floor: value["metadata"]["floor"].as_str().and_then(Floor::parse),
        dependencies: dependencies.iter().map(dependency).collect::<Result<_>>()?,
    })
}

fn dependency(value: &Value) -> Result<Dependency> {
    let used_for = match value["kind"].as_str() {
        None => Use::Normal,
        Some("build") => Use::Build,
        Some("dev") => Use::Tests,
        Some(other) => bail!("unknown kind of dependency: {other}"),
    };
    Ok(Dependency {
        name: value["name"].as_str().context("a dependency has no name")?.to_owned(),
        used_for,
        default_features: value["uses_default_features"].as_bool().unwrap_or(true),
        ours: value["path"].is_string(),
    })
}
