//! Group `logins`: what a login costs the gateway beside the bare Argon2id check in it, and what the logins of others do to a plain request.

use std::time::Duration;

use anyhow::{Context, Result};
use api::accounts::Credentials;
use api::{Secret, paths};

use crate::asking::{Ask, Asking, Plan, Server, Span, ask};
use crate::hashes::{Memory, bare};
use crate::processes;
use crate::report::{Goal, Report};
use crate::stage::{PASSWORD, Stage};
use crate::stats::median;

/// More than log in at one time, so that no account has two attempts under way, which would count against it.
const ACCOUNTS: usize = 64;
/// Logins at one time: the hashing threads are never out of work.
pub(crate) const AT_ONCE: usize = 8;
const ROUNDS: usize = 5;
pub(crate) const WINDOW: Duration = Duration::from_secs(4);
pub(crate) const SPAN: Span = Span::Window { from: 1.0, until: 5.0 };
const WANTED: f64 = 0.95;
/// Milliseconds between the plain requests.
const PAUSE: u64 = 10;
const PLAIN_SPAN: Span = Span::Window { from: 1.5, until: 9.5 };
const LONG_SPAN: Span = Span::Window { from: 1.0, until: 11.0 };

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let stage = Stage::open().await?;
    let server = Server::gateway(&stage);
    let up = stage.pid()?;
    sign_up(&server, "login", ACCOUNTS).await?;
    let logins = Plan::http1(&server, AT_ONCE, log_ins("login", ACCOUNTS), SPAN);
    let threads = std::thread::available_parallelism().context("count the processors")?.get();
    let (mut ratios, mut per_login, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let (mut per_hash, mut per_kept, mut hash_rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // By turns, so that a disturbance hits all.
        let hashed = bare(Memory::Fresh, threads, WINDOW).await?;
        let kept = bare(Memory::Kept, threads, WINDOW).await?;
        let asked = ask(&logins, &[&|| processes::seconds(up)]).await?;
        let used = asked.processor.first().copied().unwrap_or_default();
        let login = 1e3 * used / asked.answered.answers as f64;
        let hash = 1e3 * hashed.processor / hashed.hashes as f64;
        ratios.push(hash / login);
        per_login.push(login);
        per_hash.push(hash);
        per_kept.push(1e3 * kept.processor / kept.hashes as f64);
        rates.push(asked.answered.answers as f64 / asked.answered.seconds);
        hash_rates.push(hashed.hashes as f64 / hashed.seconds);
    }
    let (login, hash, kept) = (median(&mut per_login), median(&mut per_hash), median(&mut per_kept));
    report.goal(
        "logins per core-second of the gateway, of the bare Argon2id rate",
        median(&mut ratios),
        "x",
        Goal::AtLeast(WANTED),
    );
    report.figure(
        "processor time",
        &[
            ("a login", login, "ms"),
            ("a bare Argon2id check", hash, "ms"),
            ("what the gateway adds", login - hash, "ms"),
            ("with kept memory a bare check is", kept, "ms"),
        ],
    );
    report.figure(
        &format!("{threads} hashing threads, the asker beside them"),
        &[
            ("logins per core-second", 1e3 / login, ""),
            ("bare checks per core-second", 1e3 / hash, ""),
            ("logins", median(&mut rates), "a second"),
            ("bare checks, no asker beside them,", median(&mut hash_rates), "a second"),
        ],
    );
    beside(report, &stage, &server, &logins).await?;
    stage.close().await
}

/// Somebody's plain requests, alone and beside the logins of others.
async fn beside(report: &mut Report, stage: &Stage, server: &Server, logins: &Plan) -> Result<()> {
    let plain = Plan { pause: PAUSE, ..Plan::http1(server, 1, vec![me(stage)?], PLAIN_SPAN) };
    let quiet = ask(&plain, &[]).await?.answered;
    let others = Asking::start(&Plan { span: LONG_SPAN, ..logins.clone() }).await?;
    let loaded = ask(&plain, &[]).await?.answered;
    let others = others.end(&[]).await?.answered;
    report.figure(
        "GET /v1/me, one connection",
        &[
            ("p50 quiet", quiet.p50, "ms"),
            ("p99 quiet", quiet.p99, "ms"),
            ("p50 beside logins", loaded.p50, "ms"),
            ("p99 beside logins", loaded.p99, "ms"),
            ("p99 of quiet", loaded.p99 / quiet.p99, "x"),
            ("logins meanwhile", others.answers as f64 / others.seconds, "a second"),
        ],
    );
    Ok(())
}

/// `GET /v1/me` of the stage's user.
pub(crate) fn me(stage: &Stage) -> Result<Ask> {
    let session = stage.gateway.profile().session()?.context("the bench's user is logged in")?;
    let bearer = format!("Bearer {}", session.access_token().expose());
    Ok(Ask { method: "GET".into(), path: paths::ME.into(), bearer: Some(bearer), body: None })
}

/// Makes the accounts; what it cost.
pub(crate) async fn sign_up(server: &Server, prefix: &str, accounts: usize) -> Result<()> {
    let requests = sign_ups(prefix, accounts)?;
    ask(&Plan::http1(server, AT_ONCE, requests, Span::Once), &[]).await.context("sign up").map(drop)
}

/// Sign-ups of so many accounts.
pub(crate) fn sign_ups(prefix: &str, accounts: usize) -> Result<Vec<Ask>> {
    (0..accounts).map(|number| post(paths::USERS, prefix, number)).collect()
}

/// A login to each of them.
pub(crate) fn log_ins(prefix: &str, accounts: usize) -> Vec<Ask> {
    (0..accounts).filter_map(|number| post(paths::SESSIONS, prefix, number).ok()).collect()
}

fn post(path: &str, prefix: &str, number: usize) -> Result<Ask> {
    let credentials = Credentials {
        name: format!("{prefix}-{number}"),
        password: Secret::new(PASSWORD.to_owned()),
        second_factor: None,
    };
    let body = serde_json::to_string(&credentials)?;
    Ok(Ask { method: "POST".into(), path: path.into(), bearer: None, body: Some(body) })
}
