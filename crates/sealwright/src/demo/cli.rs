//! Runs the command as a user would, shows what is typed and what comes back, and knows what should have come.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ensemble::Ready;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// Nobody's password: made for this run and forgotten with it.
const PASSWORD: &str = "a passphrase for the demo only";
/// Longest time for everything to answer.
const START: Duration = Duration::from_secs(120);
/// Longest time for one command.
const COMMAND: Duration = Duration::from_secs(120);
/// Lines of a command's output that are shown.
const SHOWN: usize = 40;

/// What a command said.
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Said {
    /// The stable reason code of a failure.
    pub(super) fn reason(&self) -> Option<&str> {
        self.stderr.lines().find_map(|line| line.trim().strip_prefix("code: "))
    }
}

/// The demo's folder, the running `up`, and the command.
pub(super) struct Stage {
    folder: PathBuf,
    command: PathBuf,
    up: Option<Child>,
}

impl Stage {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let command = std::env::current_exe().context("find the own executable")?;
        Ok(Self { folder: folder.to_path_buf(), command, up: None })
    }

    /// The folder of `up`.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The demo's own folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The context that `up` wrote.
    pub(super) fn context(&self) -> PathBuf {
        self.data().join("client/context.json")
    }

    fn prepare(&self) -> Command {
        let mut command = Command::new(&self.command);
        // Its own configuration folder, so that the caller's context stays as it is.
        command.env("XDG_CONFIG_HOME", self.folder.join("config")).env("NO_COLOR", "1");
        command.env_remove("SEALWRIGHT_CONTEXT").env_remove("SEALWRIGHT_USER").kill_on_drop(true);
        command
    }

    /// Starts `up` and waits until everything answers.
    pub(super) async fn start_up(&mut self) -> Result<()> {
        let ready = self.folder.join("ready.json");
        let data = self.data();
        println!("$ sealwright up --data {}", data.display());
        let mut command = self.prepare();
        command.arg("up").arg("--data").arg(&data).arg("--ready-file").arg(&ready).stdin(Stdio::null());
        self.up = Some(command.spawn().context("start `sealwright up`")?);
        let wait = async {
            loop {
                if let Ok(bytes) = tokio::fs::read(&ready).await {
                    return serde_json::from_slice::<Ready>(&bytes).context("read the ready file");
                }
                if let Some(up) = &mut self.up
                    && let Some(status) = up.try_wait()?
                {
                    bail!("`sealwright up` ended with {status}");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(START, wait).await.context("`sealwright up` was not ready in time")??;
        Ok(())
    }

    /// Ends `up` as Ctrl-C does.
    pub(super) async fn stop(&mut self) -> Result<()> {
        let Some(mut up) = self.up.take() else { return Ok(()) };
        let pid = up.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("`sealwright up` has ended already")?;
        rustix::process::kill_process(pid, rustix::process::Signal::INT)
            .context("interrupt `sealwright up`")?;
        let ended = tokio::time::timeout(Duration::from_secs(30), up.wait()).await;
        let status = ended.context("`sealwright up` did not end in time")??;
        if !status.success() {
            bail!("`sealwright up` ended with {status}");
        }
        Ok(())
    }

    /// Runs a command that must succeed.
    pub(super) async fn ok(&self, user: &str, arguments: &[&str]) -> Result<Said> {
        let said = self.shown(user, arguments, None).await?;
        if said.code != 0 {
            bail!("`sealwright {}` ended with {}", arguments.join(" "), said.code);
        }
        Ok(said)
    }

    /// Runs a command that reads a password, and must succeed.
    pub(super) async fn password(&self, user: &str, arguments: &[&str]) -> Result<()> {
        let with_flag = [arguments, &["--password-stdin"]].concat();
        let said = self.shown(user, &with_flag, Some(PASSWORD)).await?;
        if said.code != 0 {
            bail!("`sealwright {}` ended with {}", arguments.join(" "), said.code);
        }
        Ok(())
    }

    /// Runs a command and shows it.
    async fn shown(&self, user: &str, arguments: &[&str], input: Option<&str>) -> Result<Said> {
        println!("\n{user}$ sealwright {}", arguments.join(" "));
        let said = self.quiet(&self.context(), user, arguments, input).await?;
        for line in said.stdout.lines().chain(said.stderr.lines()).take(SHOWN) {
            println!("    {line}");
        }
        Ok(said)
    }

    /// Runs a command at some context, showing nothing.
    pub(super) async fn quiet(
        &self,
        context: &Path,
        user: &str,
        arguments: &[&str],
        input: Option<&str>,
    ) -> Result<Said> {
        let mut command = self.prepare();
        command.arg("--context").arg(context).args(["--user", user]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("start the command")?;
        if let Some(mut stdin) = child.stdin.take() {
            let line = input.map(|input| format!("{input}\n")).unwrap_or_default();
            stdin.write_all(line.as_bytes()).await.context("type")?;
        }
        let output = tokio::time::timeout(COMMAND, child.wait_with_output()).await;
        let output = output.context("the command took too long")??;
        Ok(Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
