//! The figures: what verification, batches of evidence, enclaves, the facade, logins and requests cost, beside the bare work.
//!
//! `bench [GROUP]...`; all groups where none is named. Ratios come first, machine facts beside them; each figure is also a line of
//! `target/bench/GROUP.jsonl`. A goal that is not reached is said plainly and is no error: whoever reads the figures decides.
//!
//! Not here: assertions that tests make. Callers: `make bench`; nothing depends on this.

mod asker;
mod asking;
mod bare;
mod bare_axum;
mod bare_server;
mod batch;
mod create;
mod enclaves;
mod facade;
mod floods;
mod full;
mod hashes;
mod load;
mod logins;
mod memory;
mod node;
mod original;
mod processes;
mod reads;
mod report;
mod stage;
mod stats;
mod verify;

use anyhow::{Context, Result, bail};

use report::Report;

const GROUPS: [&str; 10] =
    ["verify", "batch", "create", "facade", "logins", "original", "reads", "memory", "enclaves", "floods"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    attested_tls::install_provider();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        [bare_server::ARGUMENT, app] => {
            return runtime.block_on(bare_server::serve(app.parse().context("the app's port")?));
        }
        [bare_axum::ARGUMENT, id, name] => return runtime.block_on(bare_axum::serve(id, name)),
        [asker::ARGUMENT] => return runtime.block_on(asker::run()),
        [hashes::ARGUMENT, memory, threads, seconds] => {
            return runtime.block_on(hashes::run(memory, threads, seconds));
        }
        _ => {}
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
            "facade" => runtime.block_on(facade::run(&mut report))?,
            "logins" => runtime.block_on(logins::run(&mut report))?,
            "original" => runtime.block_on(original::run(&mut report))?,
            "reads" => runtime.block_on(reads::run(&mut report))?,
            "memory" => runtime.block_on(memory::run(&mut report))?,
            "enclaves" => runtime.block_on(enclaves::run(&mut report))?,
            _ => runtime.block_on(floods::run(&mut report))?,
        }
        reached &= report.finish()?;
    }
    if !reached {
        println!("\nNOT EVERY GOAL IS REACHED: see the lines above.");
    }
    Ok(())
}
