//! Group `memory`: what `up` holds with 0, 10 and 100 enclaves, and what each enclave holds itself.

use anyhow::{Result, ensure};
use client::EnclaveName;

use crate::processes::{descendants, program, proportional, resident};
use crate::report::Report;
use crate::stage::Stage;

const STEPS: [usize; 3] = [0, 10, 100];
/// Running enclaves of one account, as the quota is where nothing is said.
const PER_USER: usize = 5;

/// Megabytes: resident, and with shared pages counted by their part.
#[derive(Debug, Default, Clone, Copy)]
struct Memory {
    resident: f64,
    proportional: f64,
    processes: usize,
}

impl Memory {
    fn of(pids: impl IntoIterator<Item = u32>) -> Self {
        pids.into_iter().fold(Self::default(), |sum, pid| Self {
            resident: sum.resident + resident(pid),
            proportional: sum.proportional + proportional(pid),
            processes: sum.processes + 1,
        })
    }
}

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let stage = Stage::open().await?;
    let mut enclaves = 0;
    let mut empty = Memory::default();
    for step in STEPS {
        while enclaves < step {
            let mut user = stage.new_user(&format!("user-{enclaves}")).await?;
            for _ in 0..PER_USER.min(step - enclaves) {
                let name: EnclaveName = format!("enclave-{enclaves}").parse()?;
                stage.create_for(&mut user, &name).await?;
                enclaves += 1;
            }
        }
        let up = stage.pid()?;
        let memory = Memory::of([up]);
        if step == 0 {
            empty = memory;
        }
        let children: Vec<(String, u32)> =
            descendants(up).into_iter().map(|pid| (program(pid), pid)).collect();
        let of = |name: &str| {
            Memory::of(children.iter().filter(|(program, _)| program == name).map(|(_, pid)| *pid))
        };
        let (facades, apps, tpm) = (of("sealwright-facade"), of("hello"), of("swtpm"));
        let known = ["sealwright-facade", "hello", "swtpm"];
        let others = children.iter().filter(|(program, _)| !known.contains(&program.as_str()));
        let others = Memory::of(others.map(|(_, pid)| *pid));
        ensure!(apps.processes == step, "{} apps run, not {step}", apps.processes);
        let each = |memory: Memory| 1.0 / (memory.processes.max(1) as f64);
        report.figure(
            &format!("{step} enclaves, resident memory"),
            &[
                ("up", memory.resident, "MB"),
                ("of it for each enclave", (memory.resident - empty.resident) / step.max(1) as f64, "MB"),
                ("software TPM", tpm.resident, "MB"),
                ("one of the processes around an app", facades.resident * each(facades), "MB"),
                ("an app", apps.resident * each(apps), "MB"),
                ("other processes", others.resident, "MB"),
            ],
        );
        let all = Memory::of(children.iter().map(|(_, pid)| *pid).chain([up]));
        report.figure(
            &format!("{step} enclaves, shared pages counted once"),
            &[
                ("everything", all.proportional, "MB"),
                ("up", memory.proportional, "MB"),
                (
                    "facade and what starts it and the app, for each enclave",
                    facades.processes as f64 / step.max(1) as f64,
                    "",
                ),
                ("those processes", facades.proportional / step.max(1) as f64, "MB"),
                ("an app", apps.proportional / step.max(1) as f64, "MB"),
            ],
        );
    }
    stage.close().await
}
