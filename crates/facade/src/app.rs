//! The app as a process: started, watched, its output kept in bounds, its end noticed.
//!
//! Invariant: only this module waits for children. As the first process of a pid namespace the facade is also the
//! parent of every orphan in it and reaps them.

use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait, waitpid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::upstream::Address;

/// An app that does not listen by then has failed.
pub const LISTEN_DEADLINE: Duration = Duration::from_secs(60);
/// How long what it printed last may take to reach its log.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Between a polite signal and the end.
const TERM_DEADLINE: Duration = Duration::from_secs(3);
/// The output file is cut back to [`KEPT_OUTPUT`] when it grows beyond this.
const MAX_OUTPUT: u64 = 4 << 20;
const KEPT_OUTPUT: u64 = 1 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// Why the app is not there.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Something else listens at its address already.
    #[error("the app's address is in use")]
    AddressInUse,
    /// Its command could not be run.
    #[error("start the app")]
    Spawn(#[source] io::Error),
    /// It ended before it listened.
    #[error("the app ended: {0}")]
    Ended(Ending),
    /// It did not listen within [`LISTEN_DEADLINE`].
    #[error("the app did not listen within {} s", LISTEN_DEADLINE.as_secs())]
    NotListening,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Somebody else waited for it, or the kernel has no such child.
    Unknown,
}

impl Ending {
    /// Whether the command was never run, as its stage says.
    #[must_use]
    pub fn is_not_started(self) -> bool {
        self == Self::Code(sandbox::NOT_EXECUTED.into())
    }

    /// Whether a promised isolation step did not work, as its stage says.
    #[must_use]
    pub fn is_not_isolated(self) -> bool {
        self == Self::Code(sandbox::NOT_ISOLATED.into())
    }
}

impl Ending {
    /// The stable code: `exit-3`, `signal-9`, `unknown`.
    #[must_use]
    pub fn code(self) -> String {
        match self {
            Self::Code(code) => format!("exit-{code}"),
            Self::Signal(number) => format!("signal-{number}"),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// A started app.
#[derive(Debug)]
pub struct App {
    pid: Pid,
    address: Address,
    children: tokio::signal::unix::Signal,
    /// Ends when all that it printed is in its log.
    output: oneshot::Receiver<()>,
}

impl App {
    /// Starts the app. Call it on a thread that never ends: its parent-death signal is tied to the thread, prctl(2).
    ///
    /// # Errors
    /// [`AppError`].
    pub async fn start(mut command: Command, address: Address, output: &Path) -> Result<Self, AppError> {
        // Without a network namespace the port may be somebody else's; requests must not go there.
        if address.connect().await.is_ok() {
            return Err(AppError::AddressInUse);
        }
        let children = signal(SignalKind::child()).map_err(AppError::Spawn)?;
        let (reader, writer) = io::pipe().map_err(AppError::Spawn)?;
        let file = File::options().read(true).append(true).open(output).map_err(AppError::Spawn)?;
        let copy = writer.try_clone().map_err(AppError::Spawn)?;
        let child = command.stdout(writer).stderr(copy).spawn().map_err(AppError::Spawn)?;
        drop(command); // it holds the writing end
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| AppError::Spawn(io::ErrorKind::InvalidData.into()))?;
        let (printed, output) = oneshot::channel();
        std::thread::Builder::new()
            .name("app-output".to_owned())
            .spawn(move || {
                keep_output(reader, file);
                drop(printed);
            })
            .map_err(AppError::Spawn)?;
        debug!(pid = pid.as_raw_nonzero(), "app started");
        Ok(Self { pid, address, children, output })
    }

    /// Waits until it accepts connections.
    ///
    /// # Errors
    /// [`AppError`], also when it ends before.
    pub async fn listening(&mut self) -> Result<(), AppError> {
        let address = self.address.clone();
        let connected = async {
            let started = Instant::now();
            let mut pause = FIRST_PAUSE;
            loop {
                match address.connect().await {
                    Ok(_) => return Ok(()),
                    Err(error) if started.elapsed() > LISTEN_DEADLINE => {
                        warn!(%error, "the app does not listen");
                        return Err(AppError::NotListening);
                    }
                    Err(_) => tokio::time::sleep(pause).await,
                }
                pause = LAST_PAUSE.min(pause * 2);
            }
        };
        tokio::select! {
            connected = connected => connected,
            ending = self.ended() => Err(AppError::Ended(ending)),
        }
    }

    /// Waits for its end, and reaps orphans meanwhile. Cancel safe.
    pub async fn ended(&mut self) -> Ending {
        loop {
            if let Some(ending) = reap(self.pid) {
                return ending;
            }
            self.children.recv().await;
        }
    }

    /// Asks it to end, waits a little, ends it.
    pub async fn stop(mut self) {
        // Its stage passes it on.
        kill(self.pid, Signal::TERM);
        if tokio::time::timeout(TERM_DEADLINE, self.ended()).await.is_err() {
            info!("the app did not end when asked");
            kill(self.pid, Signal::KILL);
            self.ended().await;
        }
        self.printed().await;
    }

    /// Waits a little until its last words are in its log: this process may end next, and its copying with it.
    pub async fn printed(self) {
        // Something that left the app's group may hold the pipe open for as long as it likes.
        tokio::time::timeout(LAST_WORDS, self.output).await.ok();
    }
}

/// Collects every child that has ended; how the given one did, if it is among them.
fn reap(app: Pid) -> Option<Ending> {
    let first_process = rustix::process::getpid() == Pid::INIT;
    loop {
        // Any child, also one that has left our process group.
        let ended =
            if first_process { wait(WaitOptions::NOHANG) } else { waitpid(Some(app), WaitOptions::NOHANG) };
        match ended {
            Ok(Some((pid, status))) if pid == app => return Some(ending(status)),
            Ok(Some((pid, _))) => debug!(pid = pid.as_raw_nonzero(), "orphan reaped"),
            Ok(None) => return None,
            Err(Errno::INTR) => {}
            Err(_) => return Some(Ending::Unknown),
        }
    }
}

fn ending(status: WaitStatus) -> Ending {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ending::Code(code),
        (None, Some(number)) => Ending::Signal(number),
        (None, None) => Ending::Unknown,
    }
}

fn kill(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal) {
        debug!(%error, "signal");
    }
}

/// Copies the app's output to its file until the last writer is gone. An app must never block on a full pipe, so what
/// can't be written is dropped.
fn keep_output(mut output: PipeReader, mut file: File) {
    let mut size = file.metadata().map_or(0, |metadata| metadata.len());
    let mut piece = [0u8; 8192];
    loop {
        let count = match output.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if file.write_all(piece.get(..count).unwrap_or_default()).is_ok() {
            size += count as u64;
        }
        if size > MAX_OUTPUT {
            size = cut(&mut file, size).unwrap_or(0);
        }
    }
}

/// Keeps the end of the file only.
fn cut(file: &mut File, size: u64) -> io::Result<u64> {
    let mut kept = Vec::new();
    file.seek(SeekFrom::Start(size.saturating_sub(KEPT_OUTPUT)))?;
    file.take(KEPT_OUTPUT).read_to_end(&mut kept)?;
    file.set_len(0)?;
    file.write_all(&kept)?;
    Ok(kept.len() as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn output_is_kept_in_bounds_and_its_end_survives() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let appending = File::options().read(true).append(true).open(file.path()).unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let keeper = std::thread::spawn(move || keep_output(reader, appending));
        for number in 0..600_000 {
            writeln!(writer, "line {number:06}").unwrap();
        }
        drop(writer);
        keeper.join().unwrap();
        let kept = std::fs::read_to_string(file.path()).unwrap();
        assert!(kept.len() as u64 <= MAX_OUTPUT, "{}", kept.len());
        assert!(kept.len() as u64 >= KEPT_OUTPUT && kept.ends_with("line 599999\n"));
    }
}
