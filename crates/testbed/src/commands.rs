//! The user's command, as a shell runs it.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::poll::until;
use crate::world::World;

/// Everybody's password here.
pub const PASSWORD: &str = "correct horse battery staple of the testbed";
/// Longest time for one command.
const COMMAND: Duration = Duration::from_secs(150);

/// What a command said.
#[derive(Debug, Clone)]
pub struct Said {
    /// What was typed.
    pub typed: String,
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Said {
    /// The stable code of a failure.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.stderr.lines().find_map(|line| line.trim().strip_prefix("code: "))
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A user at the command line.
pub struct User<'a> {
    world: &'a World,
    name: String,
}

impl<'a> User<'a> {
    pub(crate) fn new(world: &'a World, name: &str) -> Self {
        Self { world, name: name.to_owned() }
    }

    /// The account's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Signs up, which logs in.
    pub fn sign_up(&self) -> Said {
        self.with_password(&["auth", "signup", &self.name])
    }

    /// Logs in.
    pub fn log_in(&self) -> Said {
        self.with_password(&["auth", "login", &self.name])
    }

    fn with_password(&self, arguments: &[&str]) -> Said {
        let arguments = [arguments, &["--password-stdin"]].concat();
        let said = self.run_with(&arguments, format!("{PASSWORD}\n").as_bytes());
        assert_eq!(said.code, 0, "{said:#?}");
        said
    }

    /// Runs the command, whatever comes of it.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, b"")
    }

    /// Runs the command with these bytes on its standard input.
    #[must_use]
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Said {
        run(&mut self.command(arguments), input)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command("sealwright");
        command.arg("--context").arg(self.world.context()).args(["--user", &self.name]).args(arguments);
        command
    }

    /// A path in the world's folder that nothing else has.
    pub(crate) fn fresh_path(&self, name: &str) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.world.path(&format!("{}-{name}-{number}", self.name))
    }

    /// Runs the command, which must end with this code.
    pub fn ends_with(&self, code: i32, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, code, "{said:#?}");
        said
    }

    /// Runs the command, which must succeed.
    pub fn ok(&self, arguments: &[&str]) -> Said {
        self.ends_with(0, arguments)
    }

    /// What a command that succeeds prints, as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.ok(&[arguments, &["-o", "json"]].concat()).json()
    }

    /// The user's enclaves.
    pub fn enclaves(&self) -> Vec<Value> {
        let list = self.json(&["enclave", "list"]);
        list["enclaves"].as_array().cloned().unwrap_or_else(|| panic!("no list: {list}"))
    }

    /// One enclave, as soon as it is in one of these states.
    pub fn enclave_in(&self, name: &str, states: &[&str], at_most: Duration) -> Value {
        until(at_most, &format!("{name} {}", states.join(" or ")), || {
            let enclave = self.json(&["enclave", "show", name]);
            states.contains(&enclave["state"].as_str()?).then_some(enclave)
        })
    }

    /// The enclave proves what it is, at the level of a software TPM.
    pub fn verify(&self, name: &str) -> Value {
        let report = self.json(&["enclave", "verify", name, "--allow-simulated"]);
        assert_eq!(report["trusted"], true, "{report:#}");
        report
    }

    /// The app's answer to `GET path` over the proved connection.
    pub fn get(&self, name: &str, path: &str) -> String {
        self.ok(&["enclave", "request", name, "GET", path, "--allow-simulated"]).stdout
    }
}

/// Runs a command to its end, within [`COMMAND`].
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Said {
    let typed = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{typed}: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read has gone; what it says is what counts.
        stdin.write_all(input).ok();
    }
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let status = Killed(child).wait(&typed);
    let text = |reader: JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&reader.join().expect("a reader does not panic")).into_owned()
    };
    Said { typed, code: status, stdout: text(stdout), stderr: text(stderr) }
}

fn drain(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What came until it broke is what there is.
            stream.read_to_end(&mut bytes).ok();
        }
        bytes
    })
}

/// A child that does not outlive its test.
struct Killed(Child);

impl Killed {
    fn wait(mut self, typed: &str) -> i32 {
        let status = until(COMMAND, typed, || self.0.try_wait().expect("a child can be waited for"));
        status.code().unwrap_or(-1)
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // After `wait` it has ended; otherwise the test has failed.
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}
