//! What the data folder tells: room, permissions, the database, the enclave log, sockets that nobody answers at, the clock.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use client::time;
use store::{DatabaseUrl, Store};

use super::{Finding, Weight};

/// Free room below which the next app or log may not fit, and below which the database stops.
const ROOM_WANTED: u64 = 2 << 30;
const ROOM_NEEDED: u64 = 100 << 20;
/// A part of the log's bound from which it is worth a thought.
const LOG_WANTED: u64 = logs::enclave::MAX_LOG as u64 / 4 * 3;

/// All findings about an existing folder; one that is not there yet has only its room.
pub(super) async fn look(data: &Path) -> Vec<Finding> {
    let mut findings = vec![room(data)];
    if data.is_dir() {
        findings.push(permissions(data));
        findings.extend(database(data).await);
        findings.extend(log(data));
        findings.push(sockets(data));
        findings.extend(clock(data));
    }
    findings
}

fn room(data: &Path) -> Finding {
    let existing = super::existing(data);
    let free = rustix::fs::statvfs(existing).map(|found| found.f_bavail.saturating_mul(found.f_frsize));
    let (weight, found) = match free {
        Ok(free) if free < ROOM_NEEDED => (Weight::Needed, Err(format!("{} MiB are free", free >> 20))),
        Ok(free) if free < ROOM_WANTED => (Weight::Wanted, Err(format!("{} MiB are free", free >> 20))),
        Ok(free) => (Weight::Needed, Ok(format!("{} GiB are free", free >> 30))),
        Err(error) => (Weight::Needed, Err(error.to_string())),
    };
    Finding::of("disk space", weight, found, "make room, or choose another disk with --data DIR")
        .because("without room the database and the enclave log can't be written, and every start is refused")
}

fn permissions(data: &Path) -> Finding {
    let found = fs::metadata(data).map_err(|error| error.to_string()).and_then(|found| {
        let (mode, user) = (found.mode() & 0o777, rustix::process::geteuid().as_raw());
        match (mode & 0o066, found.uid() == user || user == 0) {
            (0, true) => Ok(format!("mode {mode:03o}, user {}", found.uid())),
            (_, true) => Err(format!("mode {mode:03o}: others can read or write it")),
            (_, false) => Err(format!("it is of user {}, and you are {user}", found.uid())),
        }
    });
    Finding::of(
        "data permissions",
        Weight::Needed,
        found,
        &format!("chmod go-rw {}, as its owner", data.display()),
    )
    .because("keys of the CA and of tokens, and the software TPM's state, are in it")
}

/// A database that an `up` has made; another one is the configuration's.
async fn database(data: &Path) -> Option<Finding> {
    let path = data.join("db.sqlite");
    if !path.exists() {
        return None;
    }
    let found = match Store::schema(&DatabaseUrl::sqlite(&path)).await {
        Err(error) => Err(error.to_string()),
        Ok(schema) if schema.reached > schema.known => Err(format!(
            "its schema is of a newer program: step {}, and this one knows {}",
            schema.reached, schema.known
        )),
        Ok(schema) if schema.reached < schema.known => {
            Ok(format!("schema step {}; the next start brings it to {}", schema.reached, schema.known))
        }
        Ok(schema) => Ok(format!("schema step {}, as this program has it", schema.known)),
    };
    let mend = "use the newer program, or restore a backup of the older one's time: docs/operations.md";
    Some(
        Finding::of("database", Weight::Needed, found, mend).because("accounts, apps and enclaves are in it"),
    )
}

fn log(data: &Path) -> Option<Finding> {
    let size = fs::metadata(data.join("agent/enclave-log.cel")).ok()?.len();
    let bound = logs::enclave::MAX_LOG;
    let said = format!("{} KiB of {} MiB", size >> 10, bound >> 20);
    let found = if size > LOG_WANTED { Err(said) } else { Ok(said) };
    let mend = "restart the machine when it suits (a software TPM: end `up` and start it anew): the log begins anew with each boot";
    Some(
        Finding::of("enclave log", Weight::Wanted, found, mend)
            .because("every start and stop is logged; a full log refuses every start"),
    )
}

fn sockets(data: &Path) -> Finding {
    let entries = fs::read_dir(data.join("run")).into_iter().flatten().flatten();
    let sockets = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()));
    let (mut alive, mut stale) = (0, Vec::new());
    for socket in sockets {
        match UnixStream::connect(socket.path()) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                stale.push(socket.file_name().to_string_lossy().into_owned());
            }
            Ok(_) | Err(_) => alive += 1,
        }
    }
    // Some that answer beside some that do not: a part has gone while the others work.
    let found = match (alive, stale.len()) {
        (0, 0) => Ok("none".to_owned()),
        (0, left) => {
            Ok(format!("{left} left over by an end that nobody asked for; the next `up` replaces them"))
        }
        (alive, 0) => Ok(format!("{alive} answer")),
        (_, _) => Err(format!("nobody answers at {}", stale.join(", "))),
    };
    Finding::of(
        "sockets",
        Weight::Needed,
        found,
        "end `sealwright up` and start it again; its log says which part ended",
    )
    .because("the parts talk to each other over them")
}

/// The clock against the CA's own dates: both are of this machine.
fn clock(data: &Path) -> Option<Finding> {
    let pem = fs::read_to_string(data.join("ca/root.pem")).ok()?;
    let certificate = pki::Certificate::from_pem(&pem).ok()?;
    let (from, until) = (certificate.not_before(), certificate.not_after());
    let now = time::now();
    let found = match now {
        _ if now < from => {
            Err(format!("it is {} here, and the CA was made {}", time::format(now), time::format(from)))
        }
        _ if now > until => {
            Err(format!("it is {} here, and the CA ended {}", time::format(now), time::format(until)))
        }
        _ => Ok(time::format(now)),
    };
    Some(
        Finding::of("clock", Weight::Needed, found, "set the clock: timedatectl set-ntp true")
            .because("certificates, tokens and verdicts hold for a time, and a clock that is wrong makes all of them wrong"),
    )
}
