//! The two command lines: from the controller to a facade, and from a facade to its app.
//!
//! Both begin with a parent-death signal and go through `unshare --fork --kill-child`, which sets one more on the first
//! process of its pid namespace. So when a parent is killed, however hard, everything below it is killed by the kernel.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use workload::launch::{AppLaunch, Isolation, Namespaces};

const TOOL_DIRECTORIES: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// Who the processes of an enclave are to this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// A user of its own; only root can give one.
    Own(u32),
    /// The same user as the controller.
    Controllers,
}

/// The command that starts `program`, a facade, as the first process of a new enclave.
///
/// Spawn it from a thread that never ends: a parent-death signal is sent when the spawning thread ends, prctl(2).
#[must_use]
pub fn enclave_command(
    isolation: &Isolation,
    identity: Identity,
    program: &Path,
    args: &[&OsStr],
) -> Command {
    let mut command = Command::new(tool("setpriv"));
    command.args(["--pdeathsig", "KILL"]);
    if let Identity::Own(uid) = identity {
        let uid = uid.to_string();
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups"]);
    }
    command.arg("--");
    unshare(&mut command, &isolation.enclave, &["--map-root-user"]);
    if isolation.enclave.any() {
        command.arg("--");
    }
    command.arg(program).args(args);
    command
}

/// The command that starts the app of an enclave; its root was prepared before where it has one.
/// Standard input is empty, the environment is the app's; where its output goes is the caller's to say.
#[must_use]
pub fn app_command(isolation: &Isolation, app: &AppLaunch) -> Command {
    let mut command = Command::new(tool("setpriv"));
    command.args(["--no-new-privs", "--pdeathsig", "KILL", "--"]);
    limits(&mut command, isolation, app);
    unshare(&mut command, &isolation.app, &["--map-user=1000", "--map-group=1000"]);
    if isolation.own_root {
        command.arg(format!("--root={}", app.mount_point)).arg("--wd=/");
    }
    if isolation.app.any() {
        command.arg("--");
    }
    if isolation.own_root {
        command.arg(app.command.as_str());
    } else {
        command.arg(Path::new(&app.root).join(app.command.relative())).current_dir(&app.root);
    }
    command.args(&app.args).env_clear().envs(&app.env).stdin(Stdio::null());
    command
}

/// `RLIMIT_DATA`: private writable memory of each process; `RLIMIT_NPROC`: processes and threads of the app's user.
/// The second counts per user namespace (Linux 5.14), so it is set only where the app has one of its own.
fn limits(command: &mut Command, isolation: &Isolation, app: &AppLaunch) {
    command.arg(tool("prlimit")).arg("--core=0:0");
    if let Some(memory) = app.resources.memory {
        command.arg(format!("--data={memory}:{memory}"));
    }
    if let (Some(processes), true) = (app.resources.processes, isolation.app.user) {
        command.arg(format!("--nproc={processes}:{processes}"));
    }
    command.arg("--");
}

fn unshare(command: &mut Command, namespaces: &Namespaces, map: &[&str]) {
    if namespaces.any() {
        command.arg(tool("unshare")).args(flags(namespaces, map));
    }
}

/// Where a tool of this machine is. Never by a search path: the app's environment, which the publisher wrote, is already
/// there when these tools run, outside the app's root.
pub(crate) fn tool(name: &str) -> PathBuf {
    let there =
        TOOL_DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.exists());
    there.unwrap_or_else(|| Path::new("/usr/bin").join(name))
}

/// The arguments of `unshare(1)` for these namespaces.
pub(crate) fn flags<'a>(namespaces: &Namespaces, map: &[&'a str]) -> Vec<&'a str> {
    let mut flags = Vec::new();
    if namespaces.user {
        flags.push("--user");
        flags.extend(map);
    }
    let plain = [
        (namespaces.network, "--net"),
        (namespaces.mount, "--mount"),
        (namespaces.ipc, "--ipc"),
        (namespaces.uts, "--uts"),
    ];
    flags.extend(plain.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag));
    if namespaces.pid {
        flags.extend(["--pid", "--fork", "--kill-child"]);
    }
    if namespaces.pid && namespaces.proc {
        flags.push("--mount-proc");
    }
    flags
}
