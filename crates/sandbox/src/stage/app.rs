//! From the facade to its app: the app's user, namespaces, root and bounds.

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive, mount_change,
};
use rustix::mount::{mount_remount, unmount};
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Uid, pivot_root, set_dumpable_behavior, setrlimit, setsid,
};
use rustix::thread::{UnshareFlags, set_no_new_privs, set_thread_res_gid, set_thread_res_uid};
use serde::{Deserialize, Serialize};
use workload::launch::{APP_USER, AppLaunch, Isolation};

use super::enclave::mount_proc;
use super::{StageError, UserMap, end_with_parent, flags, fork_bound, step, unshare_users};
use crate::kernel;

/// The first argument.
pub(crate) const STAGE: &str = "sandbox-app";
/// The outermost process of the app and the first of its pid namespace, which are its user's too.
pub(crate) const STAGE_PROCESSES: u32 = 2;
/// What of `/proc` an app has no business with: kernel memory and keys. Most of it is closed to it anyway.
const COVERED: [&str; 6] =
    ["/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/sysrq-trigger", "/proc/kmsg"];
/// An app is killed before its facade when memory runs out.
const FIRST_TO_GO: &str = "1000";

/// What is on standard input, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) isolation: Isolation,
    pub(crate) app: AppLaunch,
    /// Whether to go all the way and execute nothing.
    pub(crate) attempt: bool,
}

pub(crate) fn run() -> Result<u8, StageError> {
    end_with_parent()?;
    let plan: Plan = serde_json::from_reader(io::stdin().lock())
        .map_err(|error| StageError::Step("read the plan", error.into()))?;
    let nothing = File::open("/dev/null").map_err(step("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&nothing).map_err(step("close standard input"))?;
    kernel::close_others_on_exec().map_err(step("close descriptors"))?;
    set_no_new_privs(true).map_err(step("give up new privileges"))?;
    for group in &plan.app.groups {
        OpenOptions::new()
            .write(true)
            .open(group)
            .and_then(|mut file| io::Write::write_all(&mut file, b"0"))
            .map_err(step("enter a control group"))?;
    }
    fs::write("/proc/self/oom_score_adj", FIRST_TO_GO).map_err(step("be the first to go"))?;
    become_user(&plan.isolation)?;
    let namespaces = &plan.isolation.app;
    let own_groups = if namespaces.user { UnshareFlags::NEWCGROUP } else { UnshareFlags::empty() };
    kernel::unshare(flags(namespaces) | own_groups).map_err(step("make namespaces"))?;
    if !namespaces.pid {
        enter(&plan.isolation, &plan.app)?;
        return become_app(&plan);
    }
    // Another process of the app's user could trace these two otherwise.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(step("forbid tracing"))?;
    kernel::block_signals().map_err(step("block signals"))?;
    let Some(first) = fork_bound()? else {
        enter(&plan.isolation, &plan.app)?;
        // The first process of a pid namespace has no default actions: an app that handles no SIGTERM would not end by
        // one. So the app is the second.
        let Some(app) = fork_bound()? else { return become_app(&plan) };
        return super::shepherd(app);
    };
    super::shepherd(first)
}

/// The app's user, and nobody else in its namespace.
fn become_user(isolation: &Isolation) -> Result<(), StageError> {
    if !isolation.app.user {
        return Ok(());
    }
    let outside = if isolation.app_uid { APP_USER } else { 0 };
    let ids = &[(APP_USER, outside)];
    unshare_users(&UserMap { users: ids, groups: ids }, || Ok(()))?;
    let (user, group) = (Uid::from_raw(APP_USER), Gid::from_raw(APP_USER));
    set_thread_res_gid(group, group, group).map_err(step("change the group"))?;
    set_thread_res_uid(user, user, user).map_err(step("change the user"))?;
    end_with_parent()?;
    // No namespaces of users below this one: each is a way to kernel code that wants privileges. A kernel without the
    // file has none of them either.
    drop(fs::write("/proc/sys/user/max_user_namespaces", "0"));
    Ok(())
}

/// The first process's mounts: its own `/proc`, and the app's root as the only one.
fn enter(isolation: &Isolation, app: &AppLaunch) -> Result<(), StageError> {
    if !isolation.app.mount {
        return Ok(());
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(step("keep mounts to ourselves"))?;
    let own_proc = isolation.app.pid && isolation.app.proc;
    if !isolation.own_root {
        return if own_proc { mount_proc("/proc") } else { Ok(()) };
    }
    let root = Path::new(&app.mount_point);
    if own_proc {
        mount_proc(&format!("{}/proc", app.mount_point))?;
    }
    // A mount of this namespace's own: the others are locked together, mount_namespaces(7).
    mount_bind_recursive(root, root).map_err(step("bind the root"))?;
    std::env::set_current_dir(root).map_err(step("go to the root"))?;
    // The old root is laid over the new one and taken off: pivot_root(2), "pivot_root(., .)".
    pivot_root(".", ".").map_err(step("change the root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(step("leave the old root"))?;
    std::env::set_current_dir("/").map_err(step("go to the root"))?;
    if own_proc { cover_proc() } else { Ok(()) }
}

/// The machine's switches are read-only and its secrets covered.
fn cover_proc() -> Result<(), StageError> {
    mount_bind("/proc/sys", "/proc/sys").map_err(step("cover /proc/sys"))?;
    let flags =
        MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_remount("/proc/sys", flags, "").map_err(step("cover /proc/sys"))?;
    for path in COVERED.into_iter().filter(|path| Path::new(path).exists()) {
        mount_bind("/dev/null", path).map_err(step("cover a file of /proc"))?;
    }
    Ok(())
}

fn become_app(plan: &Plan) -> Result<u8, StageError> {
    let Plan { isolation, app, attempt } = plan;
    setsid().map_err(step("start a session"))?;
    limits(isolation, app)?;
    if isolation.landlock {
        crate::landlock::restrict(isolation, app)?;
    }
    if isolation.seccomp {
        crate::seccomp::install()?;
    }
    if *attempt {
        return Ok(0);
    }
    match execute(isolation, app)? {}
}

fn execute(isolation: &Isolation, app: &AppLaunch) -> Result<Infallible, StageError> {
    let mut command = if isolation.own_root {
        Command::new(app.command.as_str())
    } else {
        let mut command = Command::new(Path::new(&app.root).join(app.command.relative()));
        command.current_dir(&app.root);
        command
    };
    kernel::unblock_signals().map_err(step("unblock signals"))?;
    let error = command.args(&app.args).env_clear().envs(&app.env).exec();
    Err(StageError::Execute(app.command.as_str().to_owned(), error))
}

/// Control groups bound the app as a whole. Where there are none, `RLIMIT_DATA` bounds the private writable memory of each
/// process, which is poor: it counts neither shared memory nor a second process. `RLIMIT_AS` would be worse: it counts
/// what a runtime reserves and never uses. `RLIMIT_NPROC` counts per namespace of users (Linux 5.14), exactly.
fn limits(isolation: &Isolation, app: &AppLaunch) -> Result<(), StageError> {
    crate::secret::no_core_dump().map_err(step("forbid core dumps"))?;
    let set = |resource, most: u64| {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(step("set a limit"))
    };
    if let (Some(memory), true) = (app.resources.memory, app.groups.is_empty()) {
        set(Resource::Data, memory)?;
    }
    if let (Some(processes), true) = (app.resources.processes, isolation.app.user) {
        set(Resource::Nproc, u64::from(processes) + u64::from(STAGE_PROCESSES))?;
    }
    Ok(())
}
