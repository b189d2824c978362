//! Control groups: bounds on what all processes of an app use together. cgroups(7).
//!
//! ```text
//! BASE/sealwright-NAME/          the controller's: one for each enclave, in each hierarchy that has a controller for us
//! BASE/sealwright-NAME/facade/   where the facade begins; without limits
//! BASE/sealwright-NAME/app/      where the app's stage goes by itself: memory, swap and processes are bounded
//! ```
//! Version 1 and version 2 of the interface are both served, whichever has the controller. In version 2 only what was
//! delegated to us can be used: a group of our own, with no process but ours in it (systemd: `Delegate=yes`).

mod find;
mod group;

use std::io;
use std::path::{Path, PathBuf};

pub use group::Group;

/// What bounds one kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Memory and swap.
    Memory,
    /// Processes and threads.
    Pids,
    /// A fair share of the processors.
    Cpu,
}

impl Controller {
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Pids, Self::Cpu];

    /// The kernel's name for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
        }
    }
}

/// Version of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// One hierarchy in which we can make groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) version: Version,
    /// Where the groups of enclaves are made.
    pub(crate) base: PathBuf,
    pub(crate) controllers: Vec<Controller>,
    /// Whether the base has to be cleared of our own process first: version 2, 2.5.3 "No Internal Process Constraint".
    pub(crate) vacate: bool,
}

/// What did not work with a control group.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}", path.display())]
pub struct GroupsError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

pub(crate) fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> GroupsError {
    let path = path.to_owned();
    move |source| GroupsError { what, path, source }
}

/// The hierarchies of this machine in which this process can make groups.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    hierarchies: Vec<Hierarchy>,
    missing: Vec<(Controller, String)>,
}

impl Groups {
    /// None, for who wants none.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Looks, and changes nothing.
    #[must_use]
    pub fn find() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        find::find(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
    }

    /// Why a controller can't be used; `None` where it can.
    #[must_use]
    pub fn lacks(&self, controller: Controller) -> Option<String> {
        self.missing.iter().find(|(missing, _)| *missing == controller).map(|(_, why)| why.clone())
    }

    /// Makes the hierarchies ready: goes out of the base where it must be empty, and turns controllers on. Once, before
    /// the first group. A hierarchy that can't be made ready is left out; the errors say which.
    pub fn claim(&mut self) -> Vec<GroupsError> {
        let mut errors = Vec::new();
        self.hierarchies.retain(|hierarchy| match group::claim(hierarchy) {
            Ok(()) => true,
            Err(error) => {
                errors.push(error);
                false
            }
        });
        errors
    }

    pub(crate) fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }
}
