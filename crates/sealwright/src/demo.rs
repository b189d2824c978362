//! The story, told by real attempts: sign-up to a verified enclave, and every refusal with its reason code.
//!
//! It runs the command itself as a user would, in a folder of its own, and fails where anything is not as told.

mod cli;
mod lab;
mod raw;
mod refusals;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::arguments::DemoOptions;
use crate::failure::Failure;
use cli::Stage;

/// Tells the story.
pub(crate) async fn run(options: DemoOptions) -> Result<(), Failure> {
    attested_tls::install_provider();
    let folder = Folder::make(options.data)?;
    let told = tell(&folder.path).await;
    if told.is_err() {
        eprintln!("demo: what happened is in {}", folder.path.display());
        folder.keep();
    }
    Ok(told?)
}

async fn tell(folder: &Path) -> Result<()> {
    let mut stage = Stage::open(folder)?;
    chapter("Start: all parts in one process, on a software TPM");
    stage.start_up().await?;
    chapter("Two people sign up, and publish and create what they need");
    let example = example("hello")?;
    for user in ["alice", "bob"] {
        stage.password(user, &["auth", "signup", user]).await?;
    }
    stage.ok("alice", &["app", "publish", &example]).await?;
    stage.ok("alice", &["enclave", "create", "notes", "--app", "hello"]).await?;
    stage.ok("bob", &["enclave", "create", "diary", "--app", "hello"]).await?;
    chapter("Each verifies, then speaks");
    for (user, enclave) in [("alice", "notes"), ("bob", "diary")] {
        stage.ok(user, &["enclave", "verify", enclave, "--allow-simulated"]).await?;
        stage.ok(user, &["enclave", "request", enclave, "GET", "/", "--allow-simulated"]).await?;
    }
    chapter("And what is refused, each by a real attempt");
    let count = refusals::all(&mut stage).await?;
    chapter("The end");
    stage.stop().await?;
    println!(
        "{count} attempts, {count} refused for the right reason. Everything was of level `simulated`, and said so."
    );
    Ok(())
}

fn chapter(title: &str) {
    println!("\n== {title}");
}

/// An example's `app.yaml`: below the current folder, or below the repository that this was built from.
fn example(name: &str) -> Result<String> {
    let relative = PathBuf::from("examples").join(name).join("app.yaml");
    let beside =
        std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.parent()?.join(&relative)));
    let found = [Some(relative), beside].into_iter().flatten().find(|path| path.exists());
    let path = found
        .with_context(|| format!("examples/{name}/app.yaml is not here: run the demo in the repository"))?;
    Ok(path.to_string_lossy().into_owned())
}

/// The demo's folder: given and kept, or made and removed.
struct Folder {
    path: PathBuf,
    remove: std::cell::Cell<bool>,
}

impl Folder {
    fn make(given: Option<PathBuf>) -> Result<Self> {
        let remove = given.is_none();
        let path = given
            .unwrap_or_else(|| std::env::temp_dir().join(format!("sealwright-demo-{}", std::process::id())));
        std::fs::create_dir_all(&path).with_context(|| format!("make folder {}", path.display()))?;
        let path = path.canonicalize().context("find the demo's folder")?;
        Ok(Self { path, remove: std::cell::Cell::new(remove) })
    }

    fn keep(&self) {
        self.remove.set(false);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.remove.get() {
            // Measured copies are read-only, also for their owner. A folder that stays is said, and no harm.
            if let Err(error) = packing::remove_copy(&self.path) {
                eprintln!("demo: {} stays: {error}", self.path.display());
            }
        }
    }
}
