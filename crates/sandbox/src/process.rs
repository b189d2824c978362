//! A process of this machine by pid and start time, which together name it once.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process that can't be confused with a later one of the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its pid, as this process sees it.
    pub pid: u32,
    /// When it began, in clock ticks since boot: field 22 of `/proc/PID/stat`, proc(5).
    pub start_time: u64,
}

impl Process {
    /// The process that has this pid now.
    #[must_use]
    pub fn of_pid(pid: u32) -> Option<Self> {
        start_time(pid).map(|start_time| Self { pid, start_time })
    }

    /// A child of ours that nobody has waited for yet, also when it has ended already: nothing else can have its pid.
    #[must_use]
    pub fn of_child(pid: u32) -> Option<Self> {
        read(pid).ok().map(|(status, _)| Self { pid, start_time: status.start_time })
    }

    /// Whether it still runs; a zombie does not.
    ///
    /// # Errors
    /// Where that can't be known: no descriptor is left, `/proc` is closed. That is not the same as gone: who forgets a process
    /// for it, forgets one that may live.
    pub fn is_alive(&self) -> io::Result<bool> {
        match status(self.pid) {
            Ok(status) => Ok(status.start_time == self.start_time),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Kills it, and nothing else that may have got its pid meanwhile.
    ///
    /// # Errors
    /// What the kernel says, and where it can't be told whether it is that process; a process that is gone is no error.
    pub fn kill(&self) -> io::Result<()> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
        let gone = |error: rustix::io::Errno| {
            if error == rustix::io::Errno::SRCH { Ok(()) } else { Err(error.into()) }
        };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(error) => return gone(error),
        };
        // The descriptor holds on to one process; if that one has the right start time, it is ours.
        if !self.is_alive()? {
            return Ok(());
        }
        pidfd_send_signal(&pidfd, Signal::KILL).or_else(gone)
    }
}

fn start_time(pid: u32) -> Option<u64> {
    status(pid).ok().map(|status| status.start_time)
}

/// No such process, or it went while it was read: proc(5).
fn is_gone(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    error.kind() == io::ErrorKind::NotFound || code == Some(rustix::io::Errno::SRCH)
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Parent process id.
    pub parent: u32,
    /// Start time in clock ticks after boot.
    pub start_time: u64,
}

/// Reads parent and start time of a live process (proc(5), `/proc/pid/stat` fields 4 and 22).
///
/// # Errors
/// Where there is no such process, or it is a zombie.
pub fn status(pid: u32) -> io::Result<Status> {
    match read(pid)? {
        (status, Ended::No) => Ok(status),
        (_, Ended::Yes) => Err(io::Error::new(io::ErrorKind::NotFound, "process has ended")),
    }
}

/// Whether a process is only kept for its parent to wait for.
enum Ended {
    Yes,
    No,
}

fn read(pid: u32) -> io::Result<(Status, Ended)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "unexpected form of /proc/PID/stat");
    // The command name in parentheses may hold anything: fields are counted after the last one.
    let (_, rest) = text.rsplit_once(") ").ok_or_else(bad)?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).ok_or_else(bad);
    let ended = if matches!(fields.first(), Some(&"Z" | &"X")) { Ended::Yes } else { Ended::No };
    let parent = u32::try_from(number(1)?).map_err(|_| bad())?;
    Ok((Status { parent, start_time: number(19)? }, ended))
}

/// Whether a process is in a pid namespace below ours, as every process of an enclave is. Nothing that such a process can do
/// changes it, and nobody needs a right to ask: proc(5), `NSpid` of `/proc/PID/status` has one number for each namespace.
///
/// # Errors
/// Where there is no such process.
pub fn is_below(pid: u32) -> io::Result<bool> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let numbers = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
    // A kernel without pid namespaces has no such line, and no process below.
    Ok(numbers.is_some_and(|numbers| numbers.split_ascii_whitespace().count() > 1))
}

/// Whether a user without any group here could reach `path` and read it: the first directory or file that is closed to
/// others is named as the reason why not.
///
/// # Errors
/// The path that is closed, or unreadable for us.
pub fn reachable_by(uid: u32, path: &Path) -> Result<(), std::path::PathBuf> {
    let real = fs::canonicalize(path).map_err(|_| path.to_owned())?;
    for part in real.ancestors() {
        let metadata = fs::metadata(part).map_err(|_| part.to_owned())?;
        let mode = metadata.permissions().mode();
        let bits = if metadata.uid() == uid { mode >> 6 } else { mode };
        let needed = if metadata.is_dir() { 0o1 } else { 0o4 };
        if bits & needed == 0 {
            return Err(part.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_alive_until_it_is_killed() {
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let process = Process::of_pid(child.id()).unwrap();
        assert!(process.is_alive().unwrap());
        process.kill().unwrap();
        child.wait().unwrap();
        assert!(!process.is_alive().unwrap());
        process.kill().unwrap();
    }

    const WITHOUT_DESCRIPTORS: &str = "SANDBOX_TEST_WITHOUT_DESCRIPTORS";

    /// Not a test by itself, but what the next one runs in a process of its own.
    #[test]
    fn process_without_descriptors() {
        if std::env::var_os(WITHOUT_DESCRIPTORS).is_none() {
            return;
        }
        let (me, parent) = (std::process::id(), std::os::unix::process::parent_id());
        let process = Process::of_pid(parent).unwrap();
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, none).unwrap();
        process.is_alive().unwrap_err();
        process.kill().unwrap_err();
        Process { pid: me, ..process }.kill().unwrap_err();
    }

    #[test]
    fn a_process_that_can_not_be_looked_at_does_not_count_as_gone() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "process::tests::process_without_descriptors"]).env(WITHOUT_DESCRIPTORS, "1");
        let output = again.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    #[test]
    fn an_ended_process_is_not_found() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(status(pid).is_err());
    }

    #[test]
    fn this_process_is_in_no_namespace_below_and_one_that_is_gone_is_an_error() {
        assert!(!is_below(std::process::id()).unwrap());
        assert!(is_below(u32::MAX).is_err());
    }

    #[test]
    fn another_process_with_the_same_pid_is_left_alone() {
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let process = Process::of_pid(child.id()).unwrap();
        Process { start_time: process.start_time + 1, ..process }.kill().unwrap();
        assert!(process.is_alive().unwrap());
        process.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_closed_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o700)).unwrap();
        let file = inner.join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(reachable_by(2_000_000_000, &file), Err(inner.clone()));
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(reachable_by(2_000_000_000, &file), Ok(()));
    }
}
