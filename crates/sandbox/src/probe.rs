//! Tries every isolation step for real, because kernels, containers and security modules say yes and no in many ways.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use workload::launch::{Isolation as Plan, Namespaces};

use crate::feature::{Feature, Isolation, Support, field};
use crate::groups::{Controller, Groups};
use crate::stage::attempt;
use crate::{Custody, Enclosure, Identity, OWN_PROGRAM, landlock};

/// One attempt may take this long.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);
/// An attempt may be what an enclave is at the same time: nothing is left of it.
const OWN: Identity = Identity::Own(crate::DEFAULT_BASE);
const MAX_REASON: usize = 200;

/// Tries each step, outermost first; a step is tried on top of those that worked. Takes some tens of milliseconds. The
/// launcher is a program that begins with [`crate::take_over`].
#[must_use]
pub fn probe(launcher: &Path) -> Isolation {
    let mut found = Isolation::unknown();
    let groups = Groups::find();
    for (feature, controller) in [
        (Feature::MemoryLimit, Controller::Memory),
        (Feature::ProcessLimit, Controller::Pids),
        (Feature::CpuShare, Controller::Cpu),
    ] {
        found.insert(feature, groups.lacks(controller).map_or(Support::Available, Support::Missing));
    }
    found.insert(Feature::SecretMemory, secret_memory());
    // Most machines allow all of it: then one attempt is enough.
    let all =
        Namespaces { user: true, pid: true, network: true, mount: true, ipc: true, uts: true, proc: true };
    let app = Namespaces { network: false, uts: false, ..all };
    let app_uid = rustix::process::geteuid().is_root();
    let plan = Plan { enclave: all, app, own_root: true, app_uid, seccomp: true, landlock: true };
    let identity = if app_uid { OWN } else { Identity::Controllers };
    let at_once = attempt(launcher, &plan, identity) == Support::Available;
    for feature in Feature::ALL {
        if found.has(feature) || matches!(feature, Feature::SecretMemory) || of_groups(feature) {
            continue;
        }
        let support = match (feature, at_once) {
            (Feature::OwnUid, _) if !app_uid => Support::Missing("only root can give it".into()),
            (_, true) => Support::Available,
            (_, false) => one_more(launcher, &found, feature),
        };
        found.insert(feature, support);
    }
    // It works with any version; what an old one lacks is said all the same.
    match landlock::lacking(landlock::version()) {
        Some(lacking) if landlock::version() == 0 => found.without(Feature::Landlock, lacking),
        Some(lacking) if found.has(Feature::Landlock) => found.in_part(Feature::Landlock, lacking),
        Some(_) | None => found,
    }
}

const fn of_groups(feature: Feature) -> bool {
    matches!(feature, Feature::MemoryLimit | Feature::ProcessLimit | Feature::CpuShare)
}

fn secret_memory() -> Support {
    match crate::secret::custody() {
        Ok(Custody::SecretMemory) => Support::Available,
        Ok(other) => {
            Support::Missing(format!("the kernel has no memfd_secret; keys are in {} pages", other.code()))
        }
        Err(error) => Support::Missing(error.to_string()),
    }
}

/// Tries `feature` on top of what worked, if what it stands on is there.
fn one_more(launcher: &Path, found: &Isolation, feature: Feature) -> Support {
    let needed: &[Feature] = match feature {
        Feature::OwnUid
        | Feature::User
        | Feature::Seccomp
        | Feature::Landlock
        | Feature::MemoryLimit
        | Feature::ProcessLimit
        | Feature::CpuShare
        | Feature::SecretMemory => &[],
        Feature::Pid | Feature::Network | Feature::Mount | Feature::Ipc | Feature::Uts | Feature::AppUser => {
            &[Feature::User]
        }
        Feature::Proc => &[Feature::Pid, Feature::Mount],
        Feature::AppPid | Feature::AppMount | Feature::AppIpc => &[Feature::AppUser],
        Feature::AppProc => &[Feature::AppPid, Feature::AppMount],
        Feature::OwnRoot => &[Feature::Mount, Feature::AppMount],
    };
    if let Some(absent) = needed.iter().find(|needed| !found.has(**needed)) {
        return Support::Missing(format!("needs: {}", absent.describe()));
    }
    let mut plan = found.plan();
    if let Some(field) = field(&mut plan, feature) {
        *field = true;
    }
    let own = feature == Feature::OwnUid || found.has(Feature::OwnUid);
    attempt(launcher, &plan, if own { OWN } else { Identity::Controllers })
}

/// A facade's and an app's whole way, with nothing at its end.
fn attempt(launcher: &Path, plan: &Plan, identity: Identity) -> Support {
    match run(launcher, plan, identity) {
        Ok(support) => support,
        Err(error) => Support::Missing(format!("{}: {error}", launcher.display())),
    }
}

/// The command that takes a facade's and an app's whole way with these steps, with nothing at its end: it succeeds where
/// every step is allowed. What it takes is what isolation costs a start.
///
/// # Errors
/// Where the plan can't be written.
pub fn rehearsal(launcher: &Path, plan: &Plan, identity: Identity) -> std::io::Result<Command> {
    let json = serde_json::to_string(plan)?;
    let args = [attempt::STAGE.as_ref(), json.as_ref()];
    let enclosure = Enclosure { launcher, isolation: *plan, identity, groups: vec![] };
    enclosure.command(Path::new(OWN_PROGRAM), &args)
}

fn run(launcher: &Path, plan: &Plan, identity: Identity) -> std::io::Result<Support> {
    let mut child = rehearsal(launcher, plan, identity)?
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() > TIME_LIMIT {
            child.kill()?;
        }
        std::thread::sleep(PAUSE);
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(Support::Available);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
    let reason = line.map_or_else(|| output.status.to_string(), str::to_owned);
    Ok(Support::Missing(reason.chars().take(MAX_REASON).collect()))
}
