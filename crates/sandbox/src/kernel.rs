//! The system calls that have no safe form elsewhere. All unsafe code of the workspace is here and in [`crate::secret`].
//!
//! Invariant: [`fork`] and [`unshare`] are called by a stage alone ([`crate::stage`]), which is a process with one thread.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// What a stage waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// A child changed its state.
    Child,
    /// Somebody asks this process to end.
    End,
}

/// Which side of a fork this is.
pub(crate) enum Forked {
    /// The child.
    Child,
    /// The parent, with the child's pid as it sees it.
    Parent(Pid),
}

/// fork(2).
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: the process has one thread (see the module), so no lock is held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        pid => {
            Pid::from_raw(pid).filter(|_| pid > 0).map(Forked::Parent).ok_or_else(io::Error::last_os_error)
        }
    }
}

/// unshare(2), for namespaces only.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: only namespace flags are passed, none that unshares memory or descriptors under the feet of safe code.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// Blocks the signals that [`wait_for_signal`] waits for. A program inherits that, so before it [`unblock_signals`].
pub(crate) fn block_signals() -> io::Result<()> {
    mask(libc::SIG_BLOCK)
}

/// Undoes [`block_signals`], for the program that is executed next.
pub(crate) fn unblock_signals() -> io::Result<()> {
    mask(libc::SIG_UNBLOCK)
}

fn mask(how: libc::c_int) -> io::Result<()> {
    let set = awaited();
    // SAFETY: `set` is initialised and lives through the call; the former mask is not asked for.
    match unsafe { libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Waits for one of the blocked signals.
pub(crate) fn wait_for_signal() -> io::Result<Told> {
    let set = awaited();
    loop {
        // SAFETY: `set` is initialised and lives through the call; no information on the signal is asked for.
        match unsafe { libc::sigwaitinfo(&raw const set, std::ptr::null_mut()) } {
            libc::SIGCHLD => return Ok(Told::Child),
            number if number > 0 => return Ok(Told::End),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

fn awaited() -> libc::sigset_t {
    // SAFETY: a signal set is plain numbers, for which zero is a value; sigemptyset makes it the empty one.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// Nothing but standard input, output and error goes to the program that is executed next: close_range(2), Linux 5.11.
pub(crate) fn close_others_on_exec() -> io::Result<()> {
    // SAFETY: descriptors are only marked, none is closed under the feet of who owns it.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, 3u32, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The command's process enters control groups before it is executed, so that no moment of it is outside. Each path is
/// that of a `cgroup.procs`.
pub(crate) fn enter_groups(command: &mut Command, groups: Vec<PathBuf>) -> io::Result<()> {
    let open = |path: PathBuf| std::fs::OpenOptions::new().write(true).open(path).map(OwnedFd::from);
    let files: Vec<OwnedFd> = groups.into_iter().map(open).collect::<io::Result<_>>()?;
    let enter = move || {
        for file in &files {
            // "0" is the writing process, cgroups(7).
            rustix::io::write(file, b"0")?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes one system call for each file: no allocation, no lock.
    unsafe { command.pre_exec(enter) };
    Ok(())
}
