//! Floors and arrows: every crate says its floor, and knows only what that floor may know.

use std::fs;
use std::path::Path;

use super::Finding;
use crate::packages::{Floor, Package, Use};

/// Crates outside `crates/`: examples are measured applications, not parts; they belong to no floor.
const EXAMPLES: &str = "examples";

/// Checks folder, floor, `no_std` and arrows of every crate.
pub fn check(root: &Path, packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let folder = package.folder.strip_prefix(root).unwrap_or(&package.folder);
        if folder.starts_with(EXAMPLES) {
            continue;
        }
        let place = format!("{}/Cargo.toml", folder.display());
        if folder != Path::new("crates").join(&package.name) {
            findings.push(Finding::new(&place, format!("crate {} must lie in crates/{0}", package.name)));
        }
        let Some(floor) = package.floor else {
            findings.push(Finding::new(place, "package.metadata.floor must be pure, io, service or tool"));
            continue;
        };
        findings.extend(arrows(&place, package, floor, packages));
        if floor == Floor::Pure {
            findings.extend(purity(&place, package));
        }
    }
    findings
}

fn arrows(place: &str, package: &Package, floor: Floor, packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dependency in package.dependencies.iter().filter(|dependency| dependency.ours) {
        let other = packages.iter().find(|other| other.name == dependency.name).and_then(|other| other.floor);
        // Tests of any crate may stand on forged evidence: forge is a tool, so nothing of it gets into a program.
        let allowed = match (other, dependency.used_for) {
            (None, _) => false,
            (Some(Floor::Tool), Use::Tests) => true,
            (Some(Floor::Pure | Floor::Io), Use::Tests) => true,
            (Some(other), _) => floor.may_know(other),
        };
        if !allowed {
            let text = format!("a crate of the floor {floor:?} may not know {} ({other:?})", dependency.name);
            findings.push(Finding::new(place, text));
        }
    }
    findings
}

fn purity(place: &str, package: &Package) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        if !dependency.ours && dependency.default_features && dependency.used_for == Use::Normal {
            let text = format!("a pure crate takes {} with default-features = false", dependency.name);
            findings.push(Finding::new(place, text));
        }
    }
    // `cfg_attr(not(test), no_std)` would do as well; what matters is that the program is built without std.
    let root = fs::read_to_string(package.folder.join("src/lib.rs")).unwrap_or_default();
    if !root.lines().any(|line| line.trim_start().starts_with("#![") && line.contains("no_std")) {
        findings.push(Finding::new(place, "a pure crate is #![no_std]"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::Dependency;

    fn package(name: &str, floor: Option<Floor>, knows: &[(&str, Use)]) -> Package {
        let dependency = |(name, used_for): &(&str, Use)| Dependency {
            name: (*name).to_owned(),
            used_for: *used_for,
            default_features: true,
            ours: true,
        };
        let folder = Path::new("/repository/crates").join(name);
        Package { name: name.to_owned(), folder, floor, dependencies: knows.iter().map(dependency).collect() }
    }

    fn findings_of(floor: Floor, knows: Floor, used_for: Use) -> usize {
        let packages =
            [package("other", Some(knows), &[]), package("one", Some(floor), &[("other", used_for)])];
        arrows("place", &packages[1], floor, &packages).len()
    }

    #[test]
    fn arrows_point_down_and_never_between_services() {
        let floors = [Floor::Pure, Floor::Io, Floor::Service, Floor::Tool];
        let allowed = [
            (Floor::Pure, vec![Floor::Pure]),
            (Floor::Io, vec![Floor::Pure, Floor::Io]),
            (Floor::Service, vec![Floor::Pure, Floor::Io]),
            (Floor::Tool, floors.to_vec()),
        ];
        for (floor, may_know) in allowed {
            for other in floors {
                assert_eq!(
                    findings_of(floor, other, Use::Normal) == 0,
                    may_know.contains(&other),
                    "{floor:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn tests_may_use_tools_but_no_foreign_service() {
        assert_eq!(findings_of(Floor::Service, Floor::Tool, Use::Tests), 0);
        assert_eq!(findings_of(Floor::Service, Floor::Service, Use::Tests), 1);
    }

    #[test]
    fn a_crate_without_a_floor_or_in_another_folder_is_found() {
        let mut lost = package("lost", Some(Floor::Io), &[]);
        lost.folder = "/repository/crates/elsewhere".into();
        let root = Path::new("/repository");
        assert_eq!(check(root, &[package("unsaid", None, &[])]).len(), 1);
        assert_eq!(check(root, &[lost]).len(), 1);
        assert_eq!(check(root, &[package("good", Some(Floor::Io), &[])]).len(), 0);
    }
}
