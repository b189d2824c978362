//! Group `original`: sign-up and login beside the original Node.js server, rebuilt from its public description
//! (`fixtures/original`), both on a PostgreSQL of their own.
//!
//! The costs of the two hashes are measured bare, in the same run, and taken off: what is left is what the servers do around them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fixtures::{Access, Server as Postgres};
use serde_json::json;
use tokio::process::{Child, Command};

use crate::asking::{Ask, Plan, Server, Span, Way, ask};
use crate::hashes::{Memory, bare, said};
use crate::logins::{AT_ONCE, SPAN, log_ins, sign_ups};
use crate::processes::{postgres, seconds, seconds_with_descendants};
use crate::report::Report;
use crate::stage::{PASSWORD, Stage, started};
use crate::stats::median;

const ROUNDS: usize = 3;
const SIGN_UPS: usize = 64;
/// Of bare hashing.
const WINDOW: Duration = Duration::from_secs(3);

/// Milliseconds of processor time of one request: the server alone, and with its database.
#[derive(Default)]
struct Costs {
    server: Vec<f64>,
    whole: Vec<f64>,
    rate: Vec<f64>,
}

/// A server, and whose processor time counts.
struct Side {
    server: Server,
    pid: u32,
    database: u32,
    sign_ups: Costs,
    log_ins: Costs,
}

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let [(ours, our_url), (theirs, their_url)] = [new_database().await?, new_database().await?];
    let stage = Stage::open_with(&["--database", &our_url]).await?;
    let (node, port) = node(&their_url).await?;
    let databases = [&our_url, &their_url].map(|url| postgres(url).context("PostgreSQL has a process"));
    let [our_database, their_database] = databases;
    let mut own = Side::new(Server::gateway(&stage), stage.pid()?, our_database?);
    let address = format!("127.0.0.1:{port}");
    let server = Server { address, way: Way::Plain };
    let mut original = Side::new(server, node.id().context("the original runs")?, their_database?);
    let threads = std::thread::available_parallelism().context("count the processors")?.get();
    let (mut argon2id, mut bcrypt) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // By turns, so that a disturbance hits all.
        let prefix = format!("round-{round}");
        own.turn(sign_ups(&prefix, SIGN_UPS)?, log_ins(&prefix, SIGN_UPS)).await?;
        original.turn(asks("/signup", &prefix), asks("/login", &prefix)).await?;
        let hashed = bare(Memory::Fresh, threads, WINDOW).await?;
        argon2id.push(1e3 * hashed.processor / hashed.hashes as f64);
        let hashed = said(bare_bcrypt(threads)?).await?;
        bcrypt.push(1e3 * hashed.processor / hashed.hashes as f64);
    }
    let hashes = [median(&mut argon2id), median(&mut bcrypt)];
    tell(report, "logins", &mut own.log_ins, &mut original.log_ins, hashes);
    tell(report, "sign-ups", &mut own.sign_ups, &mut original.sign_ups, hashes);
    report.figure(
        "the hash alone, processor time",
        &[
            ("Argon2id 19 MiB, 2 passes", hashes[0], "ms"),
            ("bcrypt at cost 10", hashes[1], "ms"),
            ("ratio", hashes[1] / hashes[0], "x"),
        ],
    );
    drop(node);
    stage.close().await?;
    tokio::task::spawn_blocking(move || drop((ours, theirs))).await.context("end PostgreSQL")
}

fn tell(report: &mut Report, what: &str, ours: &mut Costs, theirs: &mut Costs, [argon2id, bcrypt]: [f64; 2]) {
    let (own, own_whole) = (median(&mut ours.server), median(&mut ours.whole));
    let (their, their_whole) = (median(&mut theirs.server), median(&mut theirs.whole));
    report.figure(
        &format!("{what} per core-second, gateway / original"),
        &[
            ("ratio", their / own, "x"),
            ("gateway", 1e3 / own, ""),
            ("original", 1e3 / their, ""),
            ("ratio with the databases", their_whole / own_whole, "x"),
            ("gateway, two cores and the asker,", median(&mut ours.rate), "a second"),
            ("original, likewise,", median(&mut theirs.rate), "a second"),
        ],
    );
    report.figure(
        &format!("processor time of one of the {what}"),
        &[
            ("gateway", own, "ms"),
            ("of it besides the hash", own - argon2id, "ms"),
            ("its database", own_whole - own, "ms"),
            ("original", their, "ms"),
            ("of it besides the hash", their - bcrypt, "ms"),
            ("its database", their_whole - their, "ms"),
        ],
    );
}

impl Side {
    fn new(server: Server, pid: u32, database: u32) -> Self {
        Self { server, pid, database, sign_ups: Costs::default(), log_ins: Costs::default() }
    }

    async fn turn(&mut self, sign_ups: Vec<Ask>, log_ins: Vec<Ask>) -> Result<()> {
        let cost = self.cost(&Plan::http1(&self.server, AT_ONCE, sign_ups, Span::Once)).await?;
        self.sign_ups.add(cost);
        let cost = self.cost(&Plan::http1(&self.server, AT_ONCE, log_ins, SPAN)).await?;
        self.log_ins.add(cost);
        Ok(())
    }

    /// Milliseconds of the server and of its database for one request, and requests a second.
    async fn cost(&self, plan: &Plan) -> Result<[f64; 3]> {
        let cost = ask(plan, &[&|| seconds(self.pid), &|| seconds_with_descendants(self.database)]).await?;
        let answers = cost.answered.answers as f64;
        let [server, database] = cost.processor.as_slice() else { bail!("two clocks") };
        Ok([1e3 * server / answers, 1e3 * database / answers, answers / cost.answered.seconds])
    }
}

impl Costs {
    fn add(&mut self, [server, database, rate]: [f64; 3]) {
        self.server.push(server);
        self.whole.push(server + database);
        self.rate.push(rate);
    }
}

async fn new_database() -> Result<(Postgres, String)> {
    let started = tokio::task::spawn_blocking(|| {
        let postgres = Postgres::start(Access::Socket);
        let url = postgres.new_database();
        (postgres, url)
    });
    started.await.context("start PostgreSQL: scripts/install.sh bench installs it")
}

/// Where `scripts/bench.sh` put the fixture and its packages.
fn fixture(file: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("find the own executable")?;
    let target = own.parent().and_then(|profile| profile.parent()).context("find the target folder")?;
    let path = target.join("bench/original").join(file);
    if !path.exists() || !target.join("bench/original/node_modules").exists() {
        bail!("{} and its packages are missing: run scripts/bench.sh original", path.display());
    }
    Ok(path)
}

/// The original, on a database whose URL is `postgres:///NAME?host=FOLDER&user=USER`.
async fn node(url: &str) -> Result<(Child, u16)> {
    let (name, rest) = url.trim_start_matches("postgres:///").split_once('?').context("a URL of a socket")?;
    let mut command = Command::new("node");
    command.arg(fixture("server.js")?).env("NODE_ENV", "production").env("PGDATABASE", name);
    for part in rest.split('&') {
        match part.split_once('=') {
            Some(("host", folder)) => command.env("PGHOST", folder),
            Some(("user", user)) => command.env("PGUSER", user),
            Some(_) | None => bail!("{part} is unknown here"),
        };
    }
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped());
    started(command).await
}

fn bare_bcrypt(lanes: usize) -> Result<Command> {
    let mut command = Command::new("node");
    command.arg(fixture("hashes.js")?).arg(lanes.to_string()).arg(WINDOW.as_secs_f64().to_string());
    Ok(command)
}

fn asks(path: &str, prefix: &str) -> Vec<Ask> {
    let body = |number| json!({"username": format!("{prefix}-{number}"), "password": PASSWORD}).to_string();
    let ask =
        |number| Ask { method: "POST".into(), path: path.into(), bearer: None, body: Some(body(number)) };
    (0..SIGN_UPS).map(ask).collect()
}
