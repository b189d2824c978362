//! The two command lines: from the controller to a facade, and from a facade to its app. Both start a stage of
//! [`crate::take_over`]; nothing of this machine but the launcher itself is run on the way.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use workload::launch::{AppLaunch, Isolation};

use crate::stage::{app, enclave};

/// The program that a process runs, by whatever path: also where its user could not pass the folders to it.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// Who the processes of an enclave are to this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// A user of its own, and one more for the app ([`crate::app_uid`]); only root can give them.
    Own(u32),
    /// The same user as the controller.
    Controllers,
}

/// What is put around a facade.
#[derive(Debug, Clone)]
pub struct Enclosure<'a> {
    /// A program that begins with [`crate::take_over`].
    pub launcher: &'a Path,
    /// The steps that this machine allows.
    pub isolation: Isolation,
    /// Whose processes they are.
    pub identity: Identity,
    /// Control groups that the facade begins in: paths of `cgroup.procs`.
    pub groups: Vec<PathBuf>,
}

impl Enclosure<'_> {
    /// The command that starts `program`, a facade, as the first process of a new enclave; [`OWN_PROGRAM`] is the
    /// launcher itself.
    ///
    /// Spawn it from a thread that never ends: a parent-death signal is sent when the spawning thread ends, prctl(2).
    ///
    /// # Errors
    /// A control group that is not there.
    pub fn command(self, program: &Path, args: &[&OsStr]) -> io::Result<Command> {
        let Isolation { enclave: namespaces, app_uid, .. } = self.isolation;
        let plan = enclave::Plan { namespaces, identity: self.identity, app_uid };
        let mut command = Command::new(self.launcher);
        command.arg(enclave::STAGE).arg(serde_json::to_string(&plan)?).arg("--").arg(program).args(args);
        if !self.groups.is_empty() {
            crate::kernel::enter_groups(&mut command, self.groups)?;
        }
        Ok(command)
    }
}

/// The command that starts the app of an enclave; its root was prepared before where it has one. Its standard input and
/// its environment are set; where its output goes is the caller's to say. Spawn it as [`Enclosure::command`].
///
/// # Errors
/// Where there is no memory for the plan.
pub fn app_command(launcher: &Path, isolation: &Isolation, app: &AppLaunch) -> io::Result<Command> {
    app_command_of(launcher, isolation, app, false)
}

pub(crate) fn app_command_of(
    launcher: &Path,
    isolation: &Isolation,
    app: &AppLaunch,
    attempt: bool,
) -> io::Result<Command> {
    let plan = app::Plan { isolation: *isolation, app: app.clone(), attempt };
    let memory = rustix::fs::memfd_create("app-plan", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(&serde_json::to_vec(&plan)?)?;
    file.rewind()?;
    let mut command = Command::new(launcher);
    command.arg(app::STAGE).env_clear().stdin(Stdio::from(file));
    Ok(command)
}
