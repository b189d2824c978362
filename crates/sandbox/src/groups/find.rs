//! Where this process can make control groups, from what `/proc` says.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{Controller, Groups, Hierarchy, Version};

/// Where our own process is in a claimed hierarchy of version 2.
pub(crate) const CONTROL: &str = "sealwright-control";

/// One mount of a hierarchy: proc(5), `/proc/pid/mountinfo`.
struct Mount<'a> {
    /// What of the hierarchy is mounted.
    root: &'a str,
    point: &'a str,
    version: Version,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let version = match right.next()? {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        Some(Self { root, point, version, options: right.nth(1)? })
    }

    /// The directory of the group that this process is in.
    fn own(&self, groups: &str) -> Option<PathBuf> {
        let path = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, names, path) = (parts.next()?, parts.next()?, parts.next()?);
            let ours = match self.version {
                Version::One => {
                    !names.is_empty()
                        && names.split(',').all(|name| self.options.split(',').any(|option| option == name))
                }
                Version::Two => names.is_empty(),
            };
            ours.then_some(path)
        })?;
        let below = path.strip_prefix(self.root.trim_end_matches('/')).unwrap_or(path);
        Some(Path::new(self.point).join(below.trim_start_matches('/')))
    }

    fn has(&self, controller: Controller, own: &Path) -> bool {
        match self.version {
            Version::One => self.options.split(',').any(|option| option == controller.name()),
            Version::Two => fs::read_to_string(own.join("cgroup.controllers"))
                .is_ok_and(|text| text.split_ascii_whitespace().any(|name| name == controller.name())),
        }
    }
}

pub(super) fn find(mounts: &str, groups: &str) -> Groups {
    let mut found = Groups::default();
    let mounts: Vec<(Mount<'_>, PathBuf)> = mounts
        .lines()
        .filter_map(Mount::read)
        .filter_map(|mount| mount.own(groups).map(|own| (mount, own)))
        .collect();
    for controller in Controller::ALL {
        let Some((mount, own)) = mounts.iter().find(|(mount, own)| mount.has(controller, own)) else {
            let why = format!("no control group hierarchy with the controller {} is here", controller.name());
            found.missing.push((controller, why));
            continue;
        };
        match usable(mount.version, own) {
            Err(why) => found.missing.push((controller, why)),
            Ok(hierarchy) => match found.hierarchies.iter_mut().find(|known| known.base == hierarchy.base) {
                Some(known) => known.controllers.push(controller),
                None => found.hierarchies.push(Hierarchy { controllers: vec![controller], ..hierarchy }),
            },
        }
    }
    found
}

fn usable(version: Version, own: &Path) -> Result<Hierarchy, String> {
    let closed = |path: &Path| format!("{} can't be written by this user", path.display());
    let open = |path: &Path| access(path, Access::WRITE_OK).map_err(|_| closed(path));
    let hierarchy = |base: PathBuf, vacate| Hierarchy { version, base, controllers: vec![], vacate };
    match version {
        Version::One => open(own).map(|()| hierarchy(own.to_owned(), false)),
        Version::Two => {
            let base = if own.ends_with(CONTROL) { own.parent().unwrap_or(own) } else { own };
            for name in ["", "cgroup.procs", "cgroup.subtree_control"] {
                open(&base.join(name))?;
            }
            // The one group without this file is the root, which may have processes and groups.
            let vacate = base.join("cgroup.type").exists();
            let processes = fs::read_to_string(base.join("cgroup.procs")).unwrap_or_default();
            let own = std::process::id().to_string();
            if vacate && processes.lines().any(|process| process != own) {
                return Err(format!(
                    "other processes are in {}: start this one in a group of its own (systemd-run --user --scope -p Delegate=yes)",
                    base.display()
                ));
            }
            Ok(hierarchy(base.to_owned(), vacate))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line(root: &str, point: &Path, kind: &str, options: &str) -> String {
        format!("30 24 0:26 {root} {} rw,nosuid shared:9 - {kind} {kind} {options}\n", point.display())
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each_controller() {
        let dir = tempfile::tempdir().unwrap();
        let [memory, pids] = ["memory", "pids"].map(|name| dir.path().join(name));
        fs::create_dir_all(memory.join("service")).unwrap();
        fs::create_dir(&pids).unwrap();
        let mounts =
            line("/", &memory, "cgroup", "rw,memory") + &line("/container", &pids, "cgroup", "rw,pids");
        let found = find(&mounts, "4:memory:/service\n3:pids:/container\n0::/\n");
        let bases: Vec<&Path> = found.hierarchies.iter().map(|hierarchy| hierarchy.base.as_path()).collect();
        assert_eq!(bases, [memory.join("service").as_path(), &pids]);
        assert_eq!(found.lacks(Controller::Memory), None);
        assert!(found.lacks(Controller::Cpu).unwrap().contains("cpu"));
    }

    #[test]
    fn version_2_is_used_where_it_is_delegated_and_ours_alone() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("user.scope");
        fs::create_dir(&own).unwrap();
        fs::write(own.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        let write = |name: &str, text: &str| fs::write(own.join(name), text).unwrap();
        write("cgroup.subtree_control", "");
        write("cgroup.type", "domain\n");
        write("cgroup.procs", &format!("{}\n", std::process::id()));
        let mounts = line("/", dir.path(), "cgroup2", "rw");
        let found = find(&mounts, "0::/user.scope\n");
        assert_eq!(found.hierarchies.len(), 1);
        let hierarchy = found.hierarchies.first().unwrap();
        assert!(hierarchy.vacate && hierarchy.base == own && hierarchy.controllers == Controller::ALL);
        write("cgroup.procs", &format!("{}\n1\n", std::process::id()));
        let found = find(&mounts, "0::/user.scope\n");
        assert!(found.lacks(Controller::Memory).unwrap().contains("Delegate=yes"));
    }

    #[test]
    fn a_machine_without_control_groups_says_so() {
        let found = find("", "");
        assert!(found.hierarchies.is_empty());
        assert!(Controller::ALL.into_iter().all(|controller| found.lacks(controller).is_some()));
    }
}
