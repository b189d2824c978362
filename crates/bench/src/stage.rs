//! `sealwright up` as a child, and a user who has published `hello`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::Secret;
use client::attested::{AppRequest, Connection, Proved};
use client::{
    Context as ClientContext, EnclaveName, Gateway, Packed, Profile, SignIn, Simulated, Trust, UserName,
};
use http::Method;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use workload::AppName;

const USER: &str = "bench";
/// Made for this run and forgotten with it.
pub(crate) const PASSWORD: &str = "a passphrase for the bench only";
const READY: Duration = Duration::from_secs(120);
const ENCLAVE_READY: Duration = Duration::from_secs(60);
/// It ends a hundred enclaves first.
const END: Duration = Duration::from_secs(120);

/// A program that was built beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe().context("find the own executable")?.with_file_name(name);
    if !path.exists() {
        bail!("{} is missing: cargo build --release -p sealwright -p facade -p hello", path.display());
    }
    Ok(path)
}

/// Everything that a user needs.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    up: Child,
    pub(crate) gateway: Gateway,
    pub(crate) app: AppName,
}

impl Stage {
    pub(crate) async fn open() -> Result<Self> {
        Self::open_with(&[]).await
    }

    /// With more arguments of `up`.
    pub(crate) async fn open_with(more: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        // Root's enclaves are users of their own, who must pass it.
        let passable = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(folder.path(), passable).context("open the folder")?;
        let (data, ready) = (folder.path().join("data"), folder.path().join("ready.json"));
        let log = std::fs::File::create(folder.path().join("up.log")).context("make a log")?;
        let mut command = Command::new(beside("sealwright")?);
        command.arg("up").arg("--data").arg(&data).arg("--ready-file").arg(&ready).args(more);
        command.env("XDG_CONFIG_HOME", folder.path().join("config")).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut up = command.spawn().context("start `sealwright up`")?;
        let wait = async {
            while !ready.exists() {
                if let Some(status) = up.try_wait()? {
                    bail!("`sealwright up` ended with {status}");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        tokio::time::timeout(READY, wait).await.context("`sealwright up` was not ready in time")??;
        let path = data.join("client/context.json");
        let context = ClientContext::load(&path)?;
        let mut gateway = signed_up(&context, &path, USER).await?;
        let app = publish(folder.path(), &mut gateway).await?;
        Ok(Self { folder, up, gateway, app })
    }

    /// The data folder of `up`.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The process of `up`.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.up.id().context("`sealwright up` has ended already")
    }

    /// One more account, logged in.
    pub(crate) async fn new_user(&self, name: &str) -> Result<Gateway> {
        signed_up(self.gateway.context(), &self.data().join("client/context.json"), name).await
    }

    /// The command as this user would type it.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = Command::new(beside("sealwright")?);
        command.env("XDG_CONFIG_HOME", self.folder.path().join("config")).kill_on_drop(true);
        command.arg("--context").arg(self.data().join("client/context.json")).args(["--user", USER]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(command)
    }

    /// As [`Self::create`], for somebody else.
    pub(crate) async fn create_for(&self, user: &mut Gateway, name: &EnclaveName) -> Result<()> {
        user.create(name, &self.app, None).await?;
        user.wait(name, ENCLAVE_READY, |_| {}).await?;
        Ok(())
    }

    /// Asks for an enclave and waits until it runs.
    pub(crate) async fn create(
        &mut self,
        name: &EnclaveName,
        on_stage: impl FnMut(&api::enclaves::Stage),
    ) -> Result<()> {
        self.gateway.create(name, &self.app, None).await?;
        self.gateway.wait(name, ENCLAVE_READY, on_stage).await?;
        Ok(())
    }

    /// Starts an enclave that was stopped, and waits until it runs.
    pub(crate) async fn start(&mut self, name: &EnclaveName) -> Result<()> {
        self.gateway.start_enclave(name).await?;
        self.gateway.wait(name, ENCLAVE_READY, |_| {}).await?;
        Ok(())
    }

    /// A connection to an enclave that is proved.
    pub(crate) async fn prove(&mut self, name: &EnclaveName) -> Result<Connection<Proved>> {
        let trust = Trust { simulated: Some(Simulated::Allowed), policy: None };
        let expected = self.gateway.expected(name, &trust).await?;
        let answered = self.gateway.ask_enclave(&expected).await?;
        Ok(self.gateway.judge_enclave(answered, &expected)?)
    }

    /// Asks the app for its greeting over a proved connection.
    pub(crate) async fn greet(&mut self, name: &EnclaveName) -> Result<()> {
        let mut connection = self.prove(name).await?;
        let token = self.gateway.enclave_token(name).await?;
        let request = AppRequest { method: Method::GET, path: "/".to_owned(), body: None };
        let answer = connection.request(&token, request).await?;
        if answer.status.is_success() { Ok(()) } else { bail!("the app answers {}", answer.status) }
    }

    /// Ends `up` as Ctrl-C does.
    pub(crate) async fn close(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("a process has an id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::INT)
            .context("interrupt `sealwright up`")?;
        let ended = tokio::time::timeout(END, self.up.wait()).await;
        ended.context("`sealwright up` did not end in time")??;
        Ok(())
    }
}

async fn signed_up(context: &ClientContext, path: &Path, name: &str) -> Result<Gateway> {
    let user: UserName = name.parse()?;
    let mut gateway = Gateway::new(context, Profile::open_or_create(path, &user)?)?;
    let sign_in = SignIn { password: Secret::new(PASSWORD.to_owned()), second_factor: None };
    gateway.sign_up(&sign_in).await?;
    gateway.log_in(path, &sign_in).await?;
    Ok(gateway)
}

async fn publish(folder: &Path, gateway: &mut Gateway) -> Result<AppName> {
    let file = folder.join("app.yaml");
    let yaml = format!(
        "name: hello\nversion: \"1.0.0\"\ncommand: /usr/bin/hello\nargs: [\"--port\", \"8080\"]\nport: 8080\nfiles:\n\
        \x20 - {{from: {}, to: /usr/bin/hello, libraries: true}}\n",
        beside("hello")?.display()
    );
    std::fs::write(&file, yaml).context("write app.yaml")?;
    let packed = Packed::from_file(&file, |_| {})?;
    gateway.publish_app(&packed, |_| {}).await?;
    Ok(packed.name)
}

/// The example app without anything around it, on a port of its own choice.
pub(crate) async fn bare_app() -> Result<(Child, u16)> {
    let mut command = Command::new(beside("hello")?);
    command.args(["--port", "0"]).env_clear().kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped());
    started(command).await
}

/// Starts a server that says in one line, at its end, on which port it listens.
pub(crate) async fn started(mut command: Command) -> Result<(Child, u16)> {
    let mut child = command.spawn().context("start a server")?;
    let mut line = String::new();
    let stdout = child.stdout.take().context("its output")?;
    BufReader::new(stdout).read_line(&mut line).await.context("read its first line")?;
    let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
    Ok((child, port.context("a server did not say its port")?))
}
