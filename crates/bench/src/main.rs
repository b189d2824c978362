//! The figures: what verification, batches of evidence, creation and the facade cost, beside the bare work.
//!
//! `bench [verify|batch|create|facade]...`; all four where none is named. Ratios come first, machine facts beside them;
//! each figure is also a line of `target/bench/GROUP.jsonl`. A goal that is not reached is said plainly and is no error:
//! whoever reads the figures decides.
//!
//! Not here: assertions that tests make. Callers: `make bench`; nothing depends on this.

mod bare;
mod bare_server;
mod batch;
mod create;
mod facade;
mod full;
mod load;
mod node;
mod report;
mod stage;
mod stats;
mod verify;

use anyhow::{Context, Result, bail};

use report::Report;

const GROUPS: [&str; 4] = ["verify", "batch", "create", "facade"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    attested_tls::install_provider();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    if let [bare_server::ARGUMENT, app] = arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice()
    {
        return runtime.block_on(bare_server::serve(app.parse().context("the app's port")?));
    }
    if let Some(unknown) = arguments.iter().find(|argument| !GROUPS.contains(&argument.as_str())) {
        bail!("{unknown} is no group: {}", GROUPS.join(", "));
    }
    if cfg!(debug_assertions) {
        eprintln!("bench: this is not a release build; the figures say nothing");
    }
    let mut reached = true;
    for group in
        GROUPS.iter().filter(|group| arguments.is_empty() || arguments.iter().any(|named| named == *group))
    {
        let mut report = Report::open(group)?;
        match *group {
            "verify" => verify::run(&mut report)?,
            "batch" => runtime.block_on(batch::run(&mut report))?,
            "create" => runtime.block_on(create::run(&mut report))?,
            _ => runtime.block_on(facade::run(&mut report))?,
        }
        reached &= report.finish()?;
    }
    if !reached {
        println!("\nNOT EVERY GOAL IS REACHED: see the lines above.");
    }
    Ok(())
}
