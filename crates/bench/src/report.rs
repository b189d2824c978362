//! What was measured: for people on standard output, goals first; for programs as JSON lines.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtMost(bound) => format!("at most {bound}"),
            Self::AtLeast(bound) => format!("at least {bound}"),
        }
    }
}

/// The figures of one group.
pub(crate) struct Report {
    group: String,
    lines: Vec<Value>,
    goals: Vec<String>,
    figures: Vec<String>,
    reached: bool,
}

impl Report {
    pub(crate) fn open(group: &str) -> Result<Self> {
        let machine = machine();
        println!("\n== {group} ({machine})");
        let mut facts = json!({"group": group, "machine": machine});
        facts["load_before"] = json!(load());
        Ok(Self {
            group: group.to_owned(),
            lines: vec![facts],
            goals: vec![],
            figures: vec![],
            reached: true,
        })
    }

    /// A figure that has a goal.
    pub(crate) fn goal(&mut self, name: &str, value: f64, unit: &str, goal: Goal) {
        let reached = goal.is_reached(value);
        self.reached &= reached;
        let word = if reached { "reached" } else { "NOT REACHED" };
        let separator = if unit.is_empty() { "" } else { " " };
        self.goals.push(format!("{name}: {}{separator}{unit}  ({}: {word})", short(value), goal.words()));
        let goal = goal.words();
        self.lines
            .push(json!({"name": name, "value": value, "unit": unit, "goal": goal, "reached": reached}));
    }

    /// Figures that stand beside the goals.
    pub(crate) fn figure(&mut self, name: &str, values: &[(&str, f64, &str)]) {
        let words: Vec<String> =
            values.iter().map(|(what, value, unit)| format!("{what} {} {unit}", short(*value))).collect();
        let line = format!("{name}: {}", words.join(", "));
        eprintln!("   . {line}");
        self.figures.push(line);
        let mut fields = Map::new();
        fields.insert("name".into(), json!(name));
        for (what, value, unit) in values {
            fields.insert(format!("{what} [{unit}]"), json!(value));
        }
        self.lines.push(Value::Object(fields));
    }

    /// Prints and writes; answers whether every goal is reached.
    pub(crate) fn finish(mut self) -> Result<bool> {
        self.goals.iter().chain(&self.figures).for_each(|line| println!("  {line}"));
        println!("  load average after: {}", load());
        self.lines.push(json!({"load_after": load()}));
        let path = folder()?.join(format!("{}.jsonl", self.group));
        let mut file = File::create(&path).with_context(|| format!("write {}", path.display()))?;
        for line in &self.lines {
            writeln!(file, "{line}").with_context(|| format!("write {}", path.display()))?;
        }
        Ok(self.reached)
    }
}

/// `target/bench`: beside the profile's folder that this program stands in.
fn folder() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find the own executable")?;
    let target = own.parent().and_then(|profile| profile.parent()).context("find the target folder")?;
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("make folder {}", folder.display()))?;
    Ok(folder)
}

fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown cpu", |(_, model)| model);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cpus} cpus, Linux {}, {}, load {}", kernel.trim(), rustc(), load())
}

fn rustc() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
