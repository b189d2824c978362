//! The control groups of one enclave.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use workload::Resources;

use super::{Controller, Groups, GroupsError, Hierarchy, Version, at};
use crate::Process;
use crate::groups::find::CONTROL;
use crate::stage::app::STAGE_PROCESSES;

/// Processes and threads of an app that names no bound.
const DEFAULT_PROCESSES: u32 = 4096;
const PROCESSES: &str = "cgroup.procs";
/// What the names of enclaves' groups begin with.
const NAME: &str = "sealwright-";
/// A group is busy for as long as its last process is ending.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(2);
const REMOVAL_PAUSE: Duration = Duration::from_millis(2);

/// Makes one hierarchy ready, see [`Groups::claim`].
pub(super) fn claim(hierarchy: &Hierarchy) -> Result<(), GroupsError> {
    if hierarchy.version == Version::One {
        return Ok(());
    }
    if hierarchy.vacate {
        let control = hierarchy.base.join(CONTROL);
        make(&control)?;
        write(&control.join(PROCESSES), "0")?;
    }
    turn_on(hierarchy, &hierarchy.base)
}

fn turn_on(hierarchy: &Hierarchy, group: &Path) -> Result<(), GroupsError> {
    let names: Vec<String> =
        hierarchy.controllers.iter().map(|controller| format!("+{}", controller.name())).collect();
    write(&group.join("cgroup.subtree_control"), &names.join(" "))
}

fn make(path: &Path) -> Result<(), GroupsError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(at("make control group", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), GroupsError> {
    fs::write(path, text).map_err(at("write", path))
}

/// The groups of one enclave, one in each hierarchy. They are removed when this is dropped, with what still runs in them.
#[derive(Debug, Default)]
pub struct Group {
    /// The enclave's group in each hierarchy.
    paths: Vec<PathBuf>,
    /// Where the kernel counts what it killed for memory.
    memory: Option<(Version, PathBuf)>,
}

impl Groups {
    /// Removes the groups that a former run has left, with what still runs in them: those whose names begin so, in the
    /// hierarchies of this process. Gives the names that are gone.
    ///
    /// # Errors
    /// [`GroupsError`], of the first group that stays.
    pub fn sweep(&self, prefix: &str) -> Result<Vec<String>, GroupsError> {
        let mut swept = Vec::new();
        for hierarchy in self.hierarchies() {
            let base = &hierarchy.base;
            for entry in fs::read_dir(base).map_err(at("look into", base))? {
                let entry = entry.map_err(at("look into", base))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if !name.strip_prefix(NAME).is_some_and(|name| name.starts_with(prefix)) {
                    continue;
                }
                remove_patiently(&entry.path()).map_err(at("remove", &entry.path()))?;
                swept.push(name);
            }
        }
        Ok(swept)
    }

    /// Makes the groups of one enclave, with the bounds of its app. The user is who may move the app in.
    ///
    /// # Errors
    /// [`GroupsError`]; what was made is removed.
    pub fn make(&self, name: &str, resources: &Resources, user: Option<u32>) -> Result<Group, GroupsError> {
        let mut group = Group::default();
        for hierarchy in self.hierarchies() {
            let path = hierarchy.base.join(format!("{NAME}{name}"));
            let leftover = Group { paths: vec![path.clone()], memory: None };
            drop(leftover);
            group.paths.push(path.clone());
            let app = path.join("app");
            make(&path)?;
            if hierarchy.version == Version::Two {
                turn_on(hierarchy, &path)?;
            }
            make(&path.join("facade"))?;
            make(&app)?;
            for controller in &hierarchy.controllers {
                bound(hierarchy.version, *controller, &app, resources)?;
                if *controller == Controller::Memory {
                    group.memory = Some((hierarchy.version, app.clone()));
                }
            }
            if let Some(user) = user {
                // Version 2 asks for the right to write in the common ancestor too.
                for entered in [&app, &path] {
                    let processes = entered.join(PROCESSES);
                    chown(&processes, Some(user), None).map_err(at("give away", &processes))?;
                }
            }
        }
        Ok(group)
    }
}

fn bound(
    version: Version,
    controller: Controller,
    app: &Path,
    resources: &Resources,
) -> Result<(), GroupsError> {
    match (controller, version) {
        (Controller::Memory, Version::One) => {
            let Some(memory) = resources.memory else { return Ok(()) };
            write(&app.join("memory.limit_in_bytes"), &memory.to_string())?;
            // With swap accounting only; else swap is not bounded, and there is no file.
            if_there(&app.join("memory.memsw.limit_in_bytes"), &memory.to_string())
        }
        (Controller::Memory, Version::Two) => {
            let Some(memory) = resources.memory else { return Ok(()) };
            write(&app.join("memory.max"), &memory.to_string())?;
            if_there(&app.join("memory.swap.max"), "0")?;
            // An app of which one process was killed is in no state that anybody tested.
            if_there(&app.join("memory.oom.group"), "1")
        }
        (Controller::Pids, Version::One | Version::Two) => {
            let processes = resources.processes.unwrap_or(DEFAULT_PROCESSES).saturating_add(STAGE_PROCESSES);
            write(&app.join("pids.max"), &processes.to_string())
        }
        // Each group has the same weight as its neighbours.
        (Controller::Cpu, Version::One | Version::Two) => Ok(()),
    }
}

fn if_there(path: &Path, text: &str) -> Result<(), GroupsError> {
    if path.exists() { write(path, text) } else { Ok(()) }
}

impl Group {
    /// `cgroup.procs` of where the facade begins.
    #[must_use]
    pub fn of_facade(&self) -> Vec<PathBuf> {
        self.paths.iter().map(|path| path.join("facade").join(PROCESSES)).collect()
    }

    /// `cgroup.procs` of where the app goes.
    #[must_use]
    pub fn of_app(&self) -> Vec<PathBuf> {
        self.paths.iter().map(|path| path.join("app").join(PROCESSES)).collect()
    }

    /// Whether the kernel has killed a process of the app because its memory was used up.
    #[must_use]
    pub fn ran_out_of_memory(&self) -> bool {
        let Some((version, app)) = &self.memory else { return false };
        let file = match version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = fs::read_to_string(app.join(file)).unwrap_or_default();
        let killed = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.and_then(|count| count.trim().parse::<u64>().ok()).is_some_and(|count| count > 0)
    }

    /// Removes one group with all that is below it.
    fn remove(path: &Path) -> io::Result<()> {
        for group in [path.join("app"), path.join("facade"), path.to_owned()] {
            for pid in fs::read_to_string(group.join(PROCESSES)).unwrap_or_default().lines() {
                if let Some(process) = pid.parse().ok().and_then(Process::of_pid) {
                    process.kill()?;
                }
            }
            match fs::remove_dir(&group) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for path in &self.paths {
            // What is left after that is an empty group at worst, which the next start of the controller takes away.
            remove_patiently(path).ok();
        }
    }
}

fn remove_patiently(path: &Path) -> io::Result<()> {
    let started = Instant::now();
    loop {
        match Group::remove(path) {
            Err(_) if started.elapsed() < REMOVAL_PATIENCE => std::thread::sleep(REMOVAL_PAUSE),
            removed => return removed,
        }
    }
}
