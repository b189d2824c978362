//! Live processes, from `/proc`: whose children they are, and which of them have to do with a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sandbox::Process;

use crate::poll::until;

/// A live process, and why it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The process.
    pub process: Process,
    /// Its parent.
    pub parent: u32,
    /// Its command line.
    pub command: String,
}

impl Found {
    fn of(pid: u32) -> Option<Self> {
        let process = Process::of_pid(pid)?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ").trim_end().to_owned();
        Some(Self { process, parent, command })
    }

    /// Sends it a signal; it may have ended.
    pub fn signal(&self, which: Signal) {
        if let Some(pid) = i32::try_from(self.process.pid).ok().and_then(Pid::from_raw) {
            kill_process(pid, which).ok();
        }
    }

    /// Bytes of memory that it has, its share of files included: `VmRSS` of proc(5).
    #[must_use]
    pub fn resident(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
    }

    /// Whether something that the kernel tells of it names the folder: command line, environment, working directory,
    /// executable, what it has mounted, which files it has open.
    fn mentions(&self, folder: &str) -> bool {
        let proc = PathBuf::from(format!("/proc/{}", self.process.pid));
        let texts =
            ["cmdline", "environ", "mountinfo"].map(|name| fs::read(proc.join(name)).unwrap_or_default());
        let open = fs::read_dir(proc.join("fd")).into_iter().flatten().flatten().map(|entry| entry.path());
        let links = ["cwd", "exe", "root"].map(|name| proc.join(name));
        texts.iter().any(|text| String::from_utf8_lossy(text).contains(folder))
            || links
                .into_iter()
                .chain(open)
                .any(|link| fs::read_link(link).is_ok_and(|target| target.to_string_lossy().contains(folder)))
    }
}

fn all() -> Vec<Found> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Found::of).collect()
}

/// Every live process but this one that has to do with the folder; zombies are none.
#[must_use]
pub fn processes_of(folder: &Path) -> Vec<Found> {
    // A mount is told by its path below the mount of its file system: the last parts name the folder too.
    let parts: Vec<_> = folder.components().rev().take(2).collect();
    let tail: PathBuf = parts.into_iter().rev().collect();
    let tail = format!("{}/", tail.display());
    let exactly = tail.trim_end_matches('/').to_owned();
    let own = std::process::id();
    let of_folder = |found: &Found| {
        found.process.pid != own && (found.mentions(&tail) || found.command.ends_with(&exactly))
    };
    all().into_iter().filter(of_folder).collect()
}

/// The process and everything below it, parents first.
#[must_use]
pub fn tree(root: u32) -> Vec<Found> {
    let mut by_parent: BTreeMap<u32, Vec<Found>> = BTreeMap::new();
    let mut found = Vec::new();
    for process in all() {
        if process.process.pid == root {
            found.push(process);
        } else {
            by_parent.entry(process.parent).or_default().push(process);
        }
    }
    let mut next = 0;
    while let Some(pid) = found.get(next).map(|found| found.process.pid) {
        found.extend(by_parent.remove(&pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// How many mappings of secret memory a process has: memfd_secret(2).
///
/// # Panics
/// Where there is no such process.
#[must_use]
pub fn secret_pages(pid: u32) -> usize {
    let maps =
        fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process lives and may be looked at");
    maps.lines().filter(|line| line.contains("/secretmem")).count()
}

/// Whether the limits of a process let it leave a core dump: proc(5), `/proc/PID/limits`.
///
/// # Panics
/// Where there is no such process.
#[must_use]
pub fn may_dump_core(pid: u32) -> bool {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("the process lives");
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let words: Vec<&str> = core.unwrap_or_default().split_ascii_whitespace().collect();
    words.get(..2) != Some(&["0", "0"][..])
}

/// Waits until none of these lives, and nothing else that has to do with the folder.
///
/// # Panics
/// When something still lives after that time: an orphan.
pub fn ended(at_most: Duration, processes: &[Found], folder: &Path) {
    let mut left = Vec::new();
    let look = || {
        left = processes_of(folder);
        left.extend(
            processes.iter().filter(|found| found.process.is_alive().expect("/proc can be read")).cloned(),
        );
        left.is_empty().then_some(())
    };
    let looked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until(at_most, "the end of all", look)));
    assert!(looked.is_ok(), "orphans of {}: {left:#?}", folder.display());
}
