//! Bare Argon2id: the check of one password against a hash of the gateway's own making, on some threads, nothing around it. A process of its own.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use api::Secret;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Block, Params};
use passwords::{Hasher, Hashing, Rules};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::stage::PASSWORD;

/// The argument that makes this program hash; memory, threads and seconds follow.
pub(crate) const ARGUMENT: &str = "hash";

/// Where a hash gets its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// From the allocator each time, as the plain call of the crate does.
    Fresh,
    /// Each thread has its own, taken once.
    Kept,
}

impl Memory {
    const fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Kept => "kept",
        }
    }
}

/// What was done.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Hashed {
    pub(crate) hashes: u64,
    pub(crate) seconds: f64,
    /// Processor seconds.
    pub(crate) processor: f64,
}

/// Hashes in a process of its own.
pub(crate) async fn bare(memory: Memory, threads: usize, window: Duration) -> Result<Hashed> {
    let mut command = Command::new(std::env::current_exe().context("find the own executable")?);
    command.args([ARGUMENT, memory.word(), &threads.to_string(), &window.as_secs_f64().to_string()]);
    said(command).await
}

/// The last line that a process prints.
pub(crate) async fn said(mut command: Command) -> Result<Hashed> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output();
    let output = output.await.with_context(|| format!("run {:?}", command.as_std().get_program()))?;
    ensure!(output.status.success(), "hashing ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The process's work.
pub(crate) async fn run(memory: &str, threads: &str, seconds: &str) -> Result<()> {
    let memory = match memory {
        "fresh" => Memory::Fresh,
        "kept" => Memory::Kept,
        other => bail!("{other} is no kind of memory"),
    };
    let threads: usize = threads.parse().context("threads")?;
    let window = Duration::from_secs_f64(seconds.parse().context("seconds")?);
    // The gateway's own hash says its parameters.
    let hasher = Hasher::start(Hashing::default(), Rules::new("sealwright", None)).await?;
    let hash = hasher.hash_new(Secret::new(PASSWORD.to_owned()), "bench").await?;
    let hash = PasswordHash::new(&hash).map_err(|error| anyhow::anyhow!("the gateway's hash: {error}"))?;
    let count = AtomicU64::new(0);
    let (began, before) = (Instant::now(), processor_time());
    let until = began + window;
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| work(memory, &hash, until, &count))).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })?;
    let done = Hashed {
        hashes: count.load(Ordering::Relaxed),
        seconds: began.elapsed().as_secs_f64(),
        processor: processor_time().saturating_sub(before).as_secs_f64(),
    };
    println!("{}", serde_json::to_string(&done)?);
    Ok(())
}

fn work(memory: Memory, hash: &PasswordHash, until: Instant, count: &AtomicU64) -> Result<()> {
    let params = Params::try_from(hash).map_err(|error| anyhow::anyhow!("its parameters: {error}"))?;
    let plain = Argon2::default();
    let own = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params.clone());
    let mut blocks = match memory {
        Memory::Fresh => Vec::new(),
        Memory::Kept => vec![Block::default(); params.block_count()],
    };
    let salt = hash.salt.as_ref().context("a hash has a salt")?;
    let expected = hash.hash.as_ref().context("a hash has an output")?;
    let mut output = vec![0; expected.len()];
    while Instant::now() < until {
        match memory {
            Memory::Fresh => plain
                .verify_password(PASSWORD.as_bytes(), hash)
                .map_err(|error| anyhow::anyhow!("the right password: {error}"))?,
            Memory::Kept => {
                own.hash_password_into_with_memory(PASSWORD.as_bytes(), salt, &mut output, &mut blocks)
                    .map_err(|error| anyhow::anyhow!("hash: {error}"))?;
                ensure!(output == expected.as_ref(), "the right password has another hash");
            }
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// What this process has used of the processors so far.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(now).unwrap_or_default()
}
