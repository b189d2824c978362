//! What processes use, as /proc says: processor time and memory. Missing processes count nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Positions of proc(5)'s `stat` behind the command's closing bracket: parent, own user and system time, those of children that were waited for.
const PARENT: usize = 1;
const OWN_TIMES: [usize; 2] = [11, 12];
const ALL_TIMES: [usize; 4] = [11, 12, 13, 14];
/// Of a second: the unit of those times on every machine that these programs are made for.
const TICKS: f64 = 100.0;

/// Processor seconds of one process, all its threads.
pub(crate) fn seconds(pid: u32) -> f64 {
    times(pid, &OWN_TIMES)
}

/// Processor seconds of a process and of everything that descends from it.
pub(crate) fn seconds_with_descendants(pid: u32) -> f64 {
    descendants(pid).into_iter().chain([pid]).map(|pid| times(pid, &ALL_TIMES)).sum()
}

/// Everything that descends from a process and is there now.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for process in all() {
        if let Some(parent) = stat(process).and_then(|stat| stat.get(PARENT)?.parse().ok()) {
            children.entry(parent).or_default().push(process);
        }
    }
    let (mut found, mut open) = (Vec::new(), vec![pid]);
    while let Some(parent) = open.pop() {
        let born = children.remove(&parent).unwrap_or_default();
        open.extend(&born);
        found.extend(born);
    }
    found
}

/// All processes.
pub(crate) fn all() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect()
}

/// The name of a process's program.
pub(crate) fn program(pid: u32) -> String {
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    exe.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Resident memory in megabytes.
pub(crate) fn resident(pid: u32) -> f64 {
    megabytes(format!("/proc/{pid}/status").as_ref(), "VmRSS:")
}

/// Memory in megabytes in which what is shared counts for each by its part.
pub(crate) fn proportional(pid: u32) -> f64 {
    megabytes(format!("/proc/{pid}/smaps_rollup").as_ref(), "Pss:")
}

/// The first process of a PostgreSQL server on this machine, by the URL of one of its databases (`…?host=FOLDER&…`).
pub(crate) fn postgres(url: &str) -> Option<u32> {
    let folder: PathBuf = url.split(['?', '&']).find_map(|part| part.strip_prefix("host="))?.into();
    let file = std::fs::read_to_string(folder.join("data/postmaster.pid")).ok()?;
    file.lines().next()?.trim().parse().ok()
}

fn times(pid: u32, positions: &[usize]) -> f64 {
    let Some(stat) = stat(pid) else { return 0.0 };
    let ticks = positions.iter().filter_map(|position| stat.get(*position)?.parse::<u64>().ok()).sum::<u64>();
    ticks as f64 / TICKS
}

/// The fields behind the command, which may hold spaces and brackets.
fn stat(pid: u32) -> Option<Vec<String>> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = line.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn megabytes(file: &Path, field: &str) -> f64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes: f64 =
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default();
    kilobytes / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_time_and_holds_memory() {
        let own = std::process::id();
        while seconds(own) == 0.0 {
            std::hint::black_box(own);
        }
        assert!(seconds_with_descendants(own) >= seconds(own));
        assert!(resident(own) > 0.1 && proportional(own) > 0.1);
        assert_eq!(seconds(0), 0.0);
    }

    #[test]
    fn a_child_descends_from_its_parent() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("run sleep");
        assert!(descendants(std::process::id()).contains(&child.id()));
        child.kill().expect("end it");
        child.wait().expect("wait for it");
    }
}
