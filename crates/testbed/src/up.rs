//! A running `sealwright up`.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use ensemble::Ready;
use rustix::process::{Pid, Signal, kill_process};

use crate::poll::until;
use crate::processes::{Found, ended, tree};
use crate::world::World;

/// Longest time to be ready; the first start makes a TPM.
const START: Duration = Duration::from_secs(120);
/// Longest time to end in order.
const STOP: Duration = Duration::from_secs(30);
/// Longest time until the kernel has ended what is below a killed process.
const GONE: Duration = Duration::from_secs(5);
/// Lines of the log that a failed test shows.
const SHOWN: usize = 60;

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit code, if it had one.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Its standard error.
    pub log: String,
}

/// A running `sealwright up`. Dropped, it is killed.
pub struct Up {
    child: Child,
    data: PathBuf,
    ready_file: PathBuf,
    log: PathBuf,
    ready: Option<Ready>,
    over: bool,
}

impl Up {
    pub(crate) fn begin(world: &World, number: u32, config: Option<&Path>) -> Self {
        let ready_file = world.path(&format!("ready-{number}.json"));
        let log = world.log_file(number);
        let mut command = world.up_command();
        command.arg("--ready-file").arg(&ready_file);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        let output = fs::File::create(&log).expect("the folder is ours");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, data: world.data(), ready_file, log, ready: None, over: false }
    }

    /// Waits until everything answers.
    #[must_use]
    pub fn ready(mut self) -> Self {
        let ready = until(START, "`sealwright up` ready", || {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                self.over = true;
                panic!("`sealwright up` ended with {status}");
            }
            // Written whole or not at all.
            serde_json::from_slice(&fs::read(&self.ready_file).ok()?).ok()
        });
        self.ready = Some(ready);
        self
    }

    /// Where everything is.
    ///
    /// # Panics
    /// Before it is ready.
    #[must_use]
    pub fn place(&self) -> &Ready {
        self.ready.as_ref().expect("it was waited for")
    }

    /// It and everything below it.
    #[must_use]
    pub fn tree(&self) -> Vec<Found> {
        tree(self.child.id())
    }

    /// The software TPM.
    ///
    /// # Panics
    /// Where it does not run.
    #[must_use]
    pub fn software_tpm(&self) -> Found {
        let is_tpm = |found: &Found| found.command.contains("swtpm socket");
        self.tree().into_iter().find(is_tpm).expect("`up` has a software TPM")
    }

    /// kill -9; then nothing of it may live.
    pub fn kill9(mut self) {
        let below = self.tree();
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
        self.over = true;
        ended(GONE, &below, &self.data);
    }

    /// Ctrl-C; it ends in order, and then nothing of it lives.
    pub fn interrupt(mut self) -> Ended {
        let below = self.tree();
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
        kill_process(pid, Signal::INT).expect("a child can be signalled");
        let ended_as = self.wait(STOP, "the end of `sealwright up` after Ctrl-C");
        ended(GONE, &below, &self.data);
        ended_as
    }

    /// Waits for an end that nobody asked for; then nothing of it lives.
    pub fn ended_by_itself(mut self) -> Ended {
        let below = self.tree();
        let ended_as = self.wait(START, "the end of `sealwright up` by itself");
        ended(GONE, &below, &self.data);
        ended_as
    }

    fn wait(&mut self, at_most: Duration, what: &str) -> Ended {
        let status = until(at_most, what, || self.child.try_wait().expect("a child can be waited for"));
        self.over = true;
        Ended {
            code: status.code(),
            signal: status.signal(),
            log: fs::read_to_string(&self.log).unwrap_or_default(),
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let skipped = log.lines().count().saturating_sub(SHOWN);
            let last: Vec<&str> = log.lines().skip(skipped).collect();
            eprintln!("-- {}:\n{}\n--", self.log.display(), last.join("\n"));
        }
        if self.over {
            return;
        }
        let below = self.tree();
        self.child.kill().and_then(|()| self.child.wait()).ok();
        if !std::thread::panicking() {
            ended(GONE, &below, &self.data);
        }
    }
}
