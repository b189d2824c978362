//! The small steps between a controller and a facade, and between a facade and its app: the facade's own binary, started
//! again, makes namespaces around itself and becomes what it was made for.
//!
//! ```text
//! controller   `sealwright-facade sandbox-enclave PLAN -- --config FILE`
//!   outside      as the enclave's user, in new namespaces; waits
//!     facade       first process of the enclave
//!       outside      `sealwright-facade sandbox-app`, the plan on standard input: as the app's user; waits, passes SIGTERM on
//!         first        first process of the app's namespaces: reaps, passes SIGTERM on, ends all with the app
//!           app          no privileges, Landlock, system call filter
//! ```
//!
//! A process of its own, because namespaces of users want one with a single thread, and because what is measured as the
//! facade is then all the code that ever runs between the controller and the app. Everything below a process that is
//! killed is killed by the kernel: by parent-death signals, and with the first process of a pid namespace.

pub(crate) mod app;
pub(crate) mod attempt;
pub(crate) mod enclave;

use std::ffi::OsString;
use std::fs;
use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process, pidfd_open,
    set_parent_process_death_signal, wait, waitpid,
};
use rustix::thread::UnshareFlags;
use workload::launch::Namespaces;

use crate::kernel::{self, Forked, Told};

/// A step did not work, and nothing was started. The facade's and apps' own codes are others.
pub const NOT_ISOLATED: u8 = 125;
/// The program could not be executed.
pub const NOT_EXECUTED: u8 = 127;

/// Why a stage did not get to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    /// One step.
    #[error("{0}")]
    Step(&'static str, #[source] io::Error),
    /// The app's root.
    #[error(transparent)]
    Root(#[from] crate::RootError),
    /// The enclave's network.
    #[error(transparent)]
    Inside(#[from] crate::InsideError),
    /// Landlock.
    #[error(transparent)]
    Landlock(#[from] crate::landlock::LandlockError),
    /// The system call filter.
    #[error(transparent)]
    Seccomp(#[from] crate::seccomp::SeccompError),
    /// The program is not there, or can't be run.
    #[error("execute {0}")]
    Execute(String, #[source] io::Error),
}

impl StageError {
    const fn code(&self) -> u8 {
        match self {
            Self::Execute(..) => NOT_EXECUTED,
            Self::Step(..) | Self::Root(_) | Self::Inside(_) | Self::Landlock(_) | Self::Seccomp(_) => {
                NOT_ISOLATED
            }
        }
    }
}

/// Names a step for its error.
pub(crate) fn step<E: Into<io::Error>>(name: &'static str) -> impl FnOnce(E) -> StageError {
    move |error| StageError::Step(name, error.into())
}

/// Becomes a stage and never returns, where this process was started as one. To be called first in `main`, before there
/// is a second thread, by each program that is given to [`crate::Enclosure`] and [`crate::probe`] as the launcher.
pub fn take_over() {
    let mut arguments = std::env::args_os().skip(1);
    let ended = match arguments.next().as_ref().and_then(|first| first.to_str()) {
        Some(enclave::STAGE) => enclave::run(&arguments.collect::<Vec<OsString>>()),
        Some(app::STAGE) => app::run(),
        Some(attempt::STAGE) => attempt::run(&arguments.collect::<Vec<OsString>>()),
        Some(_) | None => return,
    };
    let code = ended.unwrap_or_else(|error| {
        let mut line = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            line.push_str(&format!(": {error}"));
            cause = error.source();
        }
        eprintln!("{line}");
        error.code()
    });
    std::process::exit(code.into());
}

/// This process is killed when its parent ends.
pub(crate) fn end_with_parent() -> Result<(), StageError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(step("set the parent-death signal"))
}

/// The flags of unshare(2), but for users, which come first.
pub(crate) fn flags(namespaces: &Namespaces) -> UnshareFlags {
    let all = [
        (namespaces.pid, UnshareFlags::NEWPID),
        (namespaces.network, UnshareFlags::NEWNET),
        (namespaces.mount, UnshareFlags::NEWNS),
        (namespaces.ipc, UnshareFlags::NEWIPC),
        (namespaces.uts, UnshareFlags::NEWUTS),
    ];
    all.into_iter().filter(|(wanted, _)| *wanted).map(|(_, flag)| flag).collect()
}

/// Users and groups of a new namespace: each id inside and which one it is outside.
pub(crate) struct UserMap<'a> {
    pub(crate) users: &'a [(u32, u32)],
    pub(crate) groups: &'a [(u32, u32)],
}

/// Makes a namespace of users with these in it. Who maps several must be root outside, so a child does it that stays
/// there while this process has gone in; `between` is done just before that.
pub(crate) fn unshare_users(
    map: &UserMap<'_>,
    between: impl FnOnce() -> Result<(), StageError>,
) -> Result<(), StageError> {
    let (read, write) = io::pipe().map_err(step("make a pipe"))?;
    let inside = rustix::process::getpid();
    match kernel::fork().map_err(step("fork"))? {
        Forked::Child => {
            drop(write);
            let gone_in = io::Read::read_exact(&mut &read, &mut [0]);
            let mapped = gone_in.and_then(|()| write_maps(inside, map));
            if let Err(error) = &mapped {
                eprintln!("map users: {error}");
            }
            std::process::exit(i32::from(mapped.is_err()));
        }
        Forked::Parent(mapper) => {
            between()?;
            kernel::unshare(UnshareFlags::NEWUSER).map_err(step("make a namespace of users"))?;
            io::Write::write_all(&mut &write, b"1").map_err(step("map users"))?;
            match waitpid(Some(mapper), WaitOptions::empty()).map_err(step("map users"))? {
                Some((_, status)) if status.exit_status() == Some(0) => Ok(()),
                Some(_) | None => Err(step("map users")(io::Error::from(io::ErrorKind::PermissionDenied))),
            }
        }
    }
}

/// user_namespaces(7): first no more groups, then the maps, each in one write.
fn write_maps(pid: Pid, map: &UserMap<'_>) -> io::Result<()> {
    let process = format!("/proc/{}", pid.as_raw_nonzero());
    let lines = |ids: &[(u32, u32)]| -> String {
        ids.iter().map(|(inside, outside)| format!("{inside} {outside} 1\n")).collect()
    };
    fs::write(format!("{process}/setgroups"), "deny")?;
    fs::write(format!("{process}/gid_map"), lines(map.groups))?;
    fs::write(format!("{process}/uid_map"), lines(map.users))
}

/// Forks; the child ends with this process, whenever that happens. In the child it returns `None`.
pub(crate) fn fork_bound() -> Result<Option<Pid>, StageError> {
    let own = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map_err(step("open a pidfd"))?;
    match kernel::fork().map_err(step("fork"))? {
        Forked::Parent(child) => Ok(Some(child)),
        Forked::Child => {
            end_with_parent()?;
            // A parent that ended before the line above sends no signal any more; its pidfd says so.
            let mut parent = [PollFd::new(&own, PollFlags::IN)];
            match poll(&mut parent, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
                Ok(0) => Ok(None),
                Ok(_) | Err(_) => std::process::exit(NOT_ISOLATED.into()),
            }
        }
    }
}

/// Waits for a child's end, reaps whatever else ends, and passes requests to end on. The signals were blocked before the
/// fork. As a code, the way a shell says it.
pub(crate) fn shepherd(child: Pid) -> Result<u8, StageError> {
    loop {
        match kernel::wait_for_signal().map_err(step("wait"))? {
            // It may have ended already.
            Told::End => drop(kill_process(child, Signal::TERM)),
            Told::Child => {
                while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                    if pid == child {
                        return Ok(code_of(status));
                    }
                }
            }
        }
    }
}

fn code_of(status: WaitStatus) -> u8 {
    let by_signal = || status.terminating_signal().map(|signal| signal + 128);
    status.exit_status().or_else(by_signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
