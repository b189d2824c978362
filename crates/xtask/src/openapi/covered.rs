//! `cargo xtask covered FILE`: every documented operation has been answered with success by some test.
//!
//! The gateway's test rig writes a line `METHOD PATH STATUS CODE` for each exchange into the file that `CONTRACT_LOG` names; which test
//! came first does not matter, because the file is read when all are done.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{committed, operations};

/// Fails where an operation was never answered with a documented success; tells how much of the rest was seen.
pub fn covered(root: &Path, log: &Path) -> Result<()> {
    let log = fs::read_to_string(log).with_context(|| format!("read {}", log.display()))?;
    let seen: BTreeSet<&str> = log.lines().collect();
    let document = committed(root)?;
    let (mut missing, mut problems, mut unseen) = (Vec::new(), 0, Vec::new());
    for (path, method, operation) in operations(&document) {
        let operation_line = format!("{} {path}", method.to_uppercase());
        let answers = operation["responses"].as_object().context("an operation has responses")?;
        let statuses = answers.keys().filter(|status| !status.starts_with(['4', '5']));
        if !statuses.into_iter().any(|status| seen.contains(format!("{operation_line} {status} -").as_str()))
        {
            missing.push(operation_line.clone());
        }
        for (status, answer) in answers {
            let codes = answer
                .pointer("/content/application~1problem+json/schema/allOf/1/properties/code/enum")
                .and_then(serde_json::Value::as_array);
            for code in codes.into_iter().flatten().filter_map(serde_json::Value::as_str) {
                problems += 1;
                let line = format!("{operation_line} {status} {code}");
                if !seen.contains(line.as_str()) {
                    unseen.push(line);
                }
            }
        }
    }
    println!(
        "covered: {} of {problems} documented problems were answered by some test",
        problems - unseen.len()
    );
    if !missing.is_empty() {
        bail!("no test has these operations succeed:\n  {}", missing.join("\n  "));
    }
    Ok(())
}
