//! From the controller to the facade: the enclave's user and namespaces.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde::{Deserialize, Serialize};
use workload::launch::{APP_USER, Namespaces};

use super::{StageError, UserMap, end_with_parent, flags, fork_bound, step, unshare_users};
use crate::{Identity, kernel};

/// The first argument.
pub(crate) const STAGE: &str = "sandbox-enclave";
/// The facade's name among the machine's processes.
const NAME: &str = "sealwright-facade";

/// The second argument, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) namespaces: Namespaces,
    pub(crate) identity: Identity,
    /// Whether the app's user is mapped too.
    pub(crate) app_uid: bool,
}

pub(crate) fn run(arguments: &[OsString]) -> Result<u8, StageError> {
    let unreadable = || step("read the plan")(io::Error::from(io::ErrorKind::InvalidInput));
    let [plan, separator, program, arguments @ ..] = arguments else { return Err(unreadable()) };
    let plan: Plan = plan.to_str().and_then(|text| serde_json::from_str(text).ok()).ok_or_else(unreadable)?;
    if separator != "--" {
        return Err(unreadable());
    }
    end_with_parent()?;
    set_no_new_privs(true).map_err(step("give up new privileges"))?;
    crate::secret::no_core_dump().map_err(step("forbid core dumps"))?;
    become_user(&plan)?;
    let flags = flags(&plan.namespaces);
    kernel::unshare(flags).map_err(step("make namespaces"))?;
    if !plan.namespaces.pid {
        enter(&plan.namespaces)?;
        execute(program, arguments)?;
    }
    kernel::block_signals().map_err(step("block signals"))?;
    let Some(facade) = fork_bound()? else {
        enter(&plan.namespaces)?;
        execute(program, arguments)?;
        return Err(unreadable());
    };
    super::shepherd(facade)
}

fn execute(program: &OsString, arguments: &[OsString]) -> Result<Infallible, StageError> {
    let mut command = Command::new(program);
    if program.as_os_str() == crate::OWN_PROGRAM {
        command.arg0(NAME);
    }
    kernel::unblock_signals().map_err(step("unblock signals"))?;
    let error = command.args(arguments).exec();
    Err(StageError::Execute(program.to_string_lossy().into_owned(), error))
}

/// The enclave's user, as root of its own namespace of users where there is one.
fn become_user(plan: &Plan) -> Result<(), StageError> {
    let change = |uid: u32| -> Result<(), StageError> {
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
        set_thread_groups(&[]).map_err(step("leave groups"))?;
        set_thread_res_gid(group, group, group).map_err(step("change the group"))?;
        set_thread_res_uid(user, user, user).map_err(step("change the user"))?;
        // The change has cleared it, prctl(2).
        end_with_parent()
    };
    match (plan.identity, plan.namespaces.user) {
        (Identity::Own(uid), false) => change(uid),
        (Identity::Own(uid), true) => {
            let both = [(0, uid), (APP_USER, crate::app_uid(uid))];
            let ids = if plan.app_uid { &both[..] } else { &both[..1] };
            unshare_users(&UserMap { users: ids, groups: ids }, || change(uid))?;
            end_with_parent()
        }
        (Identity::Controllers, false) => Ok(()),
        (Identity::Controllers, true) => {
            let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            unshare_users(&UserMap { users: &[(0, uid)], groups: &[(0, gid)] }, || Ok(()))?;
            end_with_parent()
        }
    }
}

/// What the first process does with its new mounts.
fn enter(namespaces: &Namespaces) -> Result<(), StageError> {
    if namespaces.mount {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).map_err(step("keep mounts to ourselves"))?;
    }
    if namespaces.mount && namespaces.pid && namespaces.proc {
        mount_proc("/proc")?;
    }
    Ok(())
}

/// A `/proc` of the present pid namespace.
pub(crate) fn mount_proc(path: &str) -> Result<(), StageError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", path, "proc", flags, None).map_err(step("mount /proc"))
}
