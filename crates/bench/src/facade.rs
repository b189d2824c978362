//! Group `facade`: what the facade adds to its app, and what of that a bare proxy would add.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use attested_tls::{Application, AttestedConnector, LocalKey};
use client::EnclaveName;
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};

use crate::bare_server;
use crate::load::{self, Line, Seen};
use crate::processes::{self, resident};
use crate::report::Report;
use crate::stage::{Stage, bare_app, started};
use crate::stats::percentile;

const CONNECTIONS: [usize; 2] = [1, 32];
const ROUNDS: usize = 3;
const WINDOW: Duration = Duration::from_secs(3);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    App,
    Bare,
    Facade,
    Edge,
}

impl Target {
    const ALL: [Self; 4] = [Self::App, Self::Bare, Self::Facade, Self::Edge];

    const fn name(self) -> &'static str {
        match self {
            Self::App => "app alone (bare hyper, plain TCP)",
            Self::Bare => "bare hyper proxy behind the same TLS",
            Self::Facade => "facade and app, on the facade's socket",
            Self::Edge => "edge, facade and app: what a user gets",
        }
    }
}

/// All four, running.
struct Targets {
    app: (Child, u16),
    bare: (Child, u16),
    connector: AttestedConnector,
    socket: PathBuf,
    edge: String,
    host: String,
    bearer: String,
}

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let mut stage = Stage::open().await?;
    let name: EnclaveName = "bench".parse()?;
    stage.create(&name, |_| {}).await?;
    stage.greet(&name).await?;
    let targets = Targets::open(&mut stage, &name).await?;
    let facade = facade_process(&stage).context("the facade's process is not found")?;
    let resting = resident(facade);
    for connections in CONNECTIONS {
        loads(report, &targets, connections).await?;
    }
    let pid = |child: &Child| child.id().unwrap_or_default();
    report.figure(
        "resident memory",
        &[
            ("facade at rest", resting, "MB"),
            ("facade after the load", resident(facade), "MB"),
            ("app alone", resident(pid(&targets.app.0)), "MB"),
            ("bare hyper proxy", resident(pid(&targets.bare.0)), "MB"),
        ],
    );
    drop(targets);
    stage.close().await
}

async fn loads(report: &mut Report, targets: &Targets, connections: usize) -> Result<()> {
    let mut seen = Target::ALL.map(|target| (target, Vec::new(), Vec::new()));
    for _ in 0..ROUNDS {
        for (target, rates, times) in &mut seen {
            let mut lines = Vec::new();
            for _ in 0..connections {
                lines.push(targets.connect(*target).await?);
            }
            let run = load::run(lines, &targets.host, &targets.bearer, WINDOW).await;
            let Seen { times: more, per_second } = run.with_context(|| target.name())?;
            rates.push(per_second);
            times.extend(more);
        }
    }
    let mut alone = None;
    for (target, mut rates, mut times) in seen {
        let rate = percentile(&mut rates, 0.5);
        let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
        let (rate_alone, p50_alone, p99_alone) = *alone.get_or_insert((rate, p50, p99));
        report.figure(
            &format!("{connections} connections, {}", target.name()),
            &[
                ("", rate, "requests/s"),
                ("of the app alone", 100.0 * rate / rate_alone, "%"),
                ("p50", p50, "ms"),
                ("p99", p99, "ms"),
                ("p50 added", p50 - p50_alone, "ms"),
                ("p99 added", p99 - p99_alone, "ms"),
            ],
        );
    }
    Ok(())
}

impl Targets {
    async fn open(stage: &mut Stage, name: &EnclaveName) -> Result<Self> {
        let enclave = stage.gateway.enclave(name).await?;
        let token = stage.gateway.enclave_token(name).await?;
        let profile = stage.gateway.profile();
        let key = LocalKey::load(&profile.folder().join("key.pk8")).context("load the user's key")?;
        let key = key.certified_key(&[profile.certificate().der()])?;
        let mut bare = Command::new(std::env::current_exe().context("find the own executable")?);
        let app = bare_app().await?;
        bare.arg(bare_server::ARGUMENT)
            .arg(app.1.to_string())
            .kill_on_drop(true)
            .stdout(std::process::Stdio::piped());
        Ok(Self {
            app,
            bare: started(bare).await?,
            connector: AttestedConnector::new(key, Application::Http1)?,
            socket: stage.data().join("enclaves").join(enclave.id.to_string()).join("run/tls"),
            edge: enclave.edge,
            host: enclave.host,
            bearer: format!("Bearer {}", token.token.expose()),
        })
    }

    async fn connect(&self, target: Target) -> Result<Line> {
        let tcp = async |address: String| -> Result<TcpStream> {
            let stream =
                TcpStream::connect(&address).await.with_context(|| format!("connect to {address}"))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        match target {
            Target::App => Line::open(tcp(format!("127.0.0.1:{}", self.app.1)).await?).await,
            Target::Bare => {
                let stream = tcp(format!("127.0.0.1:{}", self.bare.1)).await?;
                // An address is no server name: the server has none to serve.
                let peer = self.connector.connect("127.0.0.1", stream).await?;
                Line::open(peer.into_evidence_stream().0).await
            }
            Target::Facade => {
                let stream = UnixStream::connect(&self.socket).await.context("connect to the facade")?;
                let peer = self.connector.connect(&self.host, stream).await?;
                Line::open(peer.into_evidence_stream().0).await
            }
            Target::Edge => {
                let stream = tcp(self.edge.clone()).await?;
                let peer = self.connector.connect(&self.host, stream).await?;
                Line::open(peer.into_evidence_stream().0).await
            }
        }
    }
}

/// The process that runs the facade's binary with a configuration of this stage.
fn facade_process(stage: &Stage) -> Option<u32> {
    let folder = stage.data().join("enclaves");
    let is_facade = |pid: &u32| {
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        exe.ends_with("sealwright-facade")
            && String::from_utf8_lossy(&arguments).contains(&*folder.to_string_lossy())
    };
    processes::all().into_iter().find(is_facade)
}
