//! A running `enclave connect`: where its door is, what it says, and its end.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::commands::User;
use crate::poll::until;

/// Longest time until the door is open: a proof, on a busy machine.
const OPEN: Duration = Duration::from_secs(60);
/// Longest time to end.
const END: Duration = Duration::from_secs(20);

/// A running `enclave connect`. Dropped, it is killed.
pub struct Door {
    child: Child,
    opened: Value,
    said: PathBuf,
}

impl User<'_> {
    /// Opens a door and waits until it is open.
    #[must_use]
    pub fn connect(&self, arguments: &[&str]) -> Door {
        let [stdout, stderr] = ["out", "err"].map(|name| self.fresh_path(&format!("door-{name}")));
        let open = |path| fs::File::create(path).expect("the folder is ours");
        let arguments = [&["enclave", "connect"], arguments, &["--allow-simulated", "-o", "json"]].concat();
        let mut command = self.command(&arguments);
        command.stdin(Stdio::null()).stdout(open(&stdout)).stderr(open(&stderr));
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let opened = until(OPEN, "an open door", || {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                panic!("{status}: {}", fs::read_to_string(&stderr).unwrap_or_default());
            }
            serde_json::from_slice(&fs::read(&stdout).ok()?).ok()
        });
        Door { child, opened, said: stderr }
    }
}

impl Door {
    /// The path of its socket, or its address with scheme.
    #[must_use]
    pub fn place(&self) -> &str {
        self.text("place")
    }

    /// What programs show over TCP.
    #[must_use]
    pub fn bearer(&self) -> &str {
        self.text("bearer")
    }

    /// The address that a browser opens, once.
    #[must_use]
    pub fn open_url(&self) -> &str {
        self.text("open")
    }

    fn text(&self, name: &str) -> &str {
        self.opened[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.opened))
    }

    /// What it has told so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Waits until it tells something.
    pub fn says(&self, what: &str) {
        until(END, what, || self.said().contains(what).then_some(()));
    }

    /// Ctrl-C; the exit code.
    #[must_use]
    pub fn interrupt(mut self) -> i32 {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
        kill_process(pid, Signal::INT).expect("a child can be signalled");
        self.wait()
    }

    /// The exit code of an end that it comes to by itself.
    #[must_use]
    pub fn ended(mut self) -> i32 {
        self.wait()
    }

    fn wait(&mut self) -> i32 {
        let status =
            until(END, "the door's end", || self.child.try_wait().expect("a child can be waited for"));
        status.code().unwrap_or(-1)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("-- the door said:\n{}\n--", self.said());
        }
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}
